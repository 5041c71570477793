package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/danielgtaylor/huma/v2"
)

// SQLQuery is a query in ClickHouse's SQL. It is asked by the reader's own user,
// which may read the call tables of its tenants and nothing else.
type SQLQuery struct {
	Query  string `json:"query" minLength:"1" maxLength:"100000" doc:"one SELECT, without FORMAT"`
	Format string `json:"format,omitempty" enum:"json,csv,tsv" default:"json" doc:"json: an object a line; csv and tsv: names in the first line"`
}

type sqlInput struct {
	TE   string `header:"TE" doc:"trailers: an error in the middle of the answer comes as the trailer Kongdao-Error; otherwise the connection breaks"`
	Body SQLQuery
}

// Trailers of an answer to SQL.
const (
	TrailerError    = "Kongdao-Error"     // why the answer is not whole; empty when it is
	TrailerRows     = "Kongdao-Rows"      // rows of the answer
	TrailerRowsRead = "Kongdao-Rows-Read" // rows that ClickHouse read for it
)

// sqlOperation describes POST /sql: huma cannot know from a stream what is in it.
func sqlOperation() huma.Operation {
	text := func(example string) *huma.MediaType {
		return &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}, Example: example}
	}
	return huma.Operation{
		OperationID: "post-sql", Method: http.MethodPost, Path: "/api/v1/sql",
		Summary: "Post sql",
		Responses: map[string]*huma.Response{"200": {
			Description: "the rows, streamed",
			Content: map[string]*huma.MediaType{
				formats["json"].mime: text("{\"function\":\"feed\",\"n\":3}\n"),
				formats["csv"].mime:  text("function,n\r\nfeed,3\r\n"),
				formats["tsv"].mime:  text("function\tn\nfeed\t3\n"),
			},
		}},
	}
}

func (s *System) postSQL(ctx context.Context, in *sqlInput) (*huma.StreamResponse, error) {
	if who := readerOf(ctx); who != nil && who.operator && s.engine == nil {
		// A server has no user for operators: it would be the application's own.
		return nil, huma.Error403Forbidden("SQL on a clickhouse server needs the token of a reader: see readers in kongdao.yaml")
	}
	format, ok := formats[in.Body.Format]
	if in.Body.Format == "" {
		format, ok = formats["json"], true
	}
	if !ok {
		return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("format: is %q, want json, csv or tsv", in.Body.Format))
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		ctx, end := untilShutdown(ctx)
		defer end()
		ctx, cancel := context.WithTimeout(ctx, sqlTimeout)
		defer cancel()
		a := sqlAnswer{context: hc, format: format, trailers: strings.Contains(strings.ToLower(in.TE), "trailers")}
		read, err := s.ask(ctx, in.Body.Query, nil, a.write)
		a.end(read.Rows, answerOf(err))
	}}, nil
}

// sqlAnswer writes the rows of an answer as they come. The first of them decides
// whether it begins with 200: an error before that is an ordinary one.
type sqlAnswer struct {
	context  huma.Context
	format   format
	trailers bool // the client reads trailers

	out   *bufio.Writer // nil: nothing is sent
	rows  int64
	names []string
	row   []byte // reused
}

// flushEvery is how long rows may wait for more of them.
const flushEvery = 500 * time.Millisecond

func (a *sqlAnswer) write(rows driver.Rows) error {
	types := rows.ColumnTypes()
	a.names = rows.Columns()
	into := make([]any, len(types))
	for i, t := range types {
		into[i] = reflect.New(t.ScanType()).Interface()
	}
	flushed := time.Now()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return fmt.Errorf("read row: %w", err)
		}
		a.begin()
		a.rows++
		a.row = a.format.row(a.row[:0], a.names, into)
		if _, err := a.out.Write(a.row); err != nil {
			return err
		}
		if a.rows%1000 == 0 && time.Since(flushed) > flushEvery {
			if err := a.flush(); err != nil {
				return err
			}
			flushed = time.Now()
		}
	}
	if rows.Err() == nil {
		a.begin() // no rows are an answer, too
	}
	return rows.Err()
}

func (a *sqlAnswer) begin() {
	if a.out != nil {
		return
	}
	a.context.SetHeader("Content-Type", a.format.mime)
	a.context.SetHeader("Trailer", strings.Join([]string{TrailerError, TrailerRows, TrailerRowsRead}, ", "))
	a.context.SetStatus(http.StatusOK)
	a.out = bufio.NewWriterSize(a.context.BodyWriter(), 64<<10)
	_, _ = a.out.Write(a.format.head(nil, a.names)) // a broken connection shows at the first row, too
}

func (a *sqlAnswer) flush() error {
	if err := a.out.Flush(); err != nil {
		return err
	}
	if f, ok := a.context.BodyWriter().(http.Flusher); ok {
		f.Flush()
	}
	return nil
}

// end says how it went. Whoever does not read trailers has to notice by a connection
// that breaks that the answer is not whole.
func (a *sqlAnswer) end(read uint64, err error) {
	var shown huma.StatusError
	if err != nil && !errors.As(err, &shown) {
		shown = huma.Error500InternalServerError(err.Error())
	}
	if a.out == nil {
		a.refuse(shown)
		return
	}
	_ = a.out.Flush()
	if err != nil && !a.trailers {
		panic(http.ErrAbortHandler) // the way to break a connection, says net/http
	}
	a.context.SetHeader(TrailerRows, strconv.FormatInt(a.rows, 10))
	a.context.SetHeader(TrailerRowsRead, strconv.FormatUint(read, 10))
	if err != nil {
		a.context.SetHeader(TrailerError, strings.Join(strings.Fields(err.Error()), " "))
	}
}

// refuse answers with an error as huma would.
func (a *sqlAnswer) refuse(err huma.StatusError) {
	if err == nil {
		a.begin()
		_ = a.out.Flush()
		return
	}
	a.context.SetHeader("Content-Type", "application/problem+json")
	a.context.SetStatus(err.GetStatus())
	_, _ = a.context.BodyWriter().Write(problemJSON(err))
}
