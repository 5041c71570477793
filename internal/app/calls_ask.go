package app

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/internal/clickhouse"
)

const (
	// questionTimeout bounds a typed question; a stuck one must not hold ClickHouse.
	questionTimeout = 20 * time.Second
	// sqlTimeout bounds raw SQL: an export may take long. The reader's own limit in
	// ClickHouse is usually less.
	sqlTimeout = 15 * time.Minute
	// questionPatience is how long a question waits for one of them to end.
	questionPatience = 5 * time.Second
)

// errNoReader cannot happen behind forReaders.
var errNoReader = errors.New("nobody asks")

var errTooManyQuestions = errors.New("too many questions at a time")

// statusLeft is the answer to somebody who does not wait for it, as nginx logs it.
const statusLeft = 499

// ask runs a query as the reader of ctx; see [clickhouse.Ask].
func (s *System) ask(ctx context.Context, sql string, args []any, use func(driver.Rows) error) (r clickhouse.Reading, err error) {
	defer func() { s.questions.count(err) }()
	who := readerOf(ctx)
	if who == nil {
		return r, errNoReader
	}
	release, err := s.questions.take(ctx, who)
	if err != nil {
		return r, err
	}
	defer release()
	begin := time.Now()
	defer func() { s.questions.seconds.Observe(time.Since(begin).Seconds()) }()
	return clickhouse.Ask(ctx, who.options, sql, args, use)
}

// take waits for a place among the questions of who, and of all; release gives it
// back.
func (q *questions) take(ctx context.Context, who *reader) (release func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, questionPatience, errTooManyQuestions)
	defer cancel()
	places := []chan struct{}{who.slots}
	if !who.operator {
		places = append(places, q.slots)
	}
	for i, place := range places {
		select {
		case place <- struct{}{}:
		case <-ctx.Done():
			free(places[:i])
			return nil, context.Cause(ctx)
		}
	}
	return func() { free(places) }, nil
}

func free(places []chan struct{}) {
	for _, place := range places {
		<-place
	}
}

// question is ask with the time limit of a typed question, and an error that can be
// shown.
func (s *System) question(ctx context.Context, sql string, args []any, use func(driver.Rows) error) (clickhouse.Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	r, err := s.ask(ctx, sql, args, use)
	return r, answerOf(err)
}

// advice is what to do about errors of ClickHouse, by their code. The text of the
// server follows where it helps.
var advice = map[proto.Error]struct {
	status int
	text   string
	detail bool
}{
	proto.ErrTimeoutExceeded:            {http.StatusUnprocessableEntity, "the question takes too long: ask about less time, or one function", false},
	proto.ErrTooSlow:                    {http.StatusUnprocessableEntity, "the question would take too long: ask about less time, or one function", false},
	proto.ErrTooManyRows:                {http.StatusUnprocessableEntity, "the question reads more rows than this reader may: ask about less time, or one function", true},
	proto.ErrTooManyBytes:               {http.StatusUnprocessableEntity, "the question reads more bytes than this reader may: ask about less time, or fewer columns", true},
	proto.ErrTooManyRowsOrBytes:         {http.StatusUnprocessableEntity, "the answer is larger than this reader may have: narrow the question, or end it with a LIMIT", true},
	proto.ErrMemoryLimitExceeded:        {http.StatusUnprocessableEntity, "the question needs more memory than this reader may: ask about less time, group by fewer columns, or end it with a LIMIT", false},
	proto.ErrQuotaExceeded:              {http.StatusTooManyRequests, "this reader has used up its quota: wait for the next interval", true},
	proto.ErrTooManySimultaneousQueries: {http.StatusServiceUnavailable, "clickhouse answers too many questions already: try again", false},
	proto.ErrAccessDenied:               {http.StatusForbidden, "this reader may not do that: it reads the call tables of its tenants, and nothing else", true},
	proto.ErrReadonly:                   {http.StatusForbidden, "this reader may not do that: it only reads, and changes no settings", true},
	proto.ErrAuthenticationFailed:       {http.StatusInternalServerError, "clickhouse does not know this reader: create it there as docs/calllog.md says", false},
}

// answerOf makes an error of a question one that can be shown: what was wrong, and
// what to do. Nil stays nil.
func answerOf(err error) error {
	var shown huma.StatusError
	var refused *ch.Exception
	switch {
	case err == nil:
		return nil
	case errors.As(err, &shown):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return huma.Error422UnprocessableEntity("the question takes too long: ask about less time, or one function")
	case errors.Is(err, context.Canceled):
		return huma.NewError(statusLeft, "whoever asked has left")
	case errors.Is(err, errTooManyQuestions):
		return huma.Error503ServiceUnavailable("too many questions are being answered already: try again")
	case !errors.As(err, &refused):
		return huma.Error503ServiceUnavailable("clickhouse does not answer: " + err.Error())
	}
	a, known := advice[proto.Error(refused.Code)]
	switch {
	case !known:
		return huma.Error422UnprocessableEntity(serverText(refused))
	case a.detail:
		return huma.NewError(a.status, a.text+" (clickhouse: "+serverText(refused)+")")
	}
	return huma.NewError(a.status, a.text)
}

// serverText is the server's message, without the whole query again.
func serverText(e *ch.Exception) string {
	text := strings.TrimPrefix(e.Message, "DB::Exception: ")
	for _, tail := range []string{"Stack trace:", ". In scope "} {
		text, _, _ = strings.Cut(text, tail)
	}
	return strings.TrimRight(strings.TrimSpace(text), ". ")
}
