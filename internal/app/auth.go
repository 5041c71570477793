package app

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/api"
	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// reader is who asks about calls. Each is a user of ClickHouse that may only read,
// and there only the rows of its tenants: the limits are ClickHouse's, whatever the
// question.
type reader struct {
	name     string
	tenants  []string // whose calls it may see; empty: all
	options  clickhouse.Options
	slots    chan struct{} // holds one for each question of it that is being answered
	operator bool          // whoever is on this machine
}

func newReader(name string, tenants []string, o clickhouse.Options) reader {
	return reader{name: name, tenants: tenants, options: o, slots: make(chan struct{}, maxReaderQuestions)}
}

// sees reports whether r may see calls of the tenant. ClickHouse does not ask: this
// is for live calls, which are not there yet, and for helpful errors.
func (r *reader) sees(tenant string) bool {
	return len(r.tenants) == 0 || slices.Contains(r.tenants, tenant)
}

// readers know who may ask.
type readers struct {
	operator reader // without a token, on this machine: all tenants
	byToken  []tokenReader
}

type tokenReader struct {
	hash   [sha256.Size]byte
	reader reader
}

func (r *readers) add(token api.Secret, who reader) {
	r.byToken = append(r.byToken, tokenReader{sha256.Sum256([]byte(token.Reveal())), who})
}

// find is the reader of a token. It takes as long for every token: neither the
// hash's bytes nor the place in the list show.
func (r *readers) find(token string) *reader {
	hash := sha256.Sum256([]byte(token))
	var found *reader
	for i := range r.byToken {
		if subtle.ConstantTimeCompare(hash[:], r.byToken[i].hash[:]) == 1 {
			found = &r.byToken[i].reader
		}
	}
	return found
}

// readerKey is the key of a request's *reader in its context.
type readerKey struct{}

// readerOf is who asks; nil when nobody may be.
func readerOf(ctx context.Context) *reader {
	r, _ := ctx.Value(readerKey{}).(*reader)
	return r
}

// authenticate finds out who asks. A wrong token is refused everywhere; without one,
// whoever is on this machine is the operator.
func (s *System) authenticate(h huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		header := ctx.Header("Authorization")
		if header == "" {
			if s.readers != nil && local(ctx) {
				ctx = huma.WithValue(ctx, readerKey{}, &s.readers.operator)
			}
			next(ctx)
			return
		}
		token, found := cutScheme(header)
		var who *reader
		if found && s.readers != nil {
			who = s.readers.find(token)
		}
		if who == nil {
			ctx.SetHeader("WWW-Authenticate", "Bearer")
			_ = huma.WriteErr(h, ctx, http.StatusUnauthorized, "the token is not that of a reader: see readers in kongdao.yaml")
			return
		}
		next(huma.WithValue(ctx, readerKey{}, who))
	}
}

func cutScheme(header string) (token string, found bool) {
	scheme, token, found := strings.Cut(header, " ")
	return strings.TrimSpace(token), found && strings.EqualFold(scheme, "Bearer")
}

// local reports that a request comes from a program of this machine: not from a
// proxy that says whom it speaks for, and not from a web page that has been given
// a name for this address.
func local(ctx huma.Context) bool {
	peer, err := netip.ParseAddrPort(ctx.RemoteAddr())
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	if ctx.Header("Forwarded") != "" || ctx.Header("X-Forwarded-For") != "" {
		return false
	}
	host := ctx.Host()
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err = netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || host == "localhost"
}

// forReaders lets nobody through who may not ask about calls.
func forReaders(h huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if readerOf(ctx.Context()) == nil {
			ctx.SetHeader("WWW-Authenticate", "Bearer")
			_ = huma.WriteErr(h, ctx, http.StatusUnauthorized, "calls are for readers: send Authorization: Bearer TOKEN, with the token of one of readers in kongdao.yaml")
			return
		}
		next(ctx)
	}
}

// forOperators lets no token of a reader through: it is for questions about calls.
func forOperators(h huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if who := readerOf(ctx.Context()); who != nil && !who.operator {
			_ = huma.WriteErr(h, ctx, http.StatusForbidden, "reader "+who.name+" may ask about calls, and nothing else")
			return
		}
		next(ctx)
	}
}

// newReaders are the readers of the configuration.
func (s *System) newReaders() *readers {
	o := schema.ReadOnly(s.chOptions) // for questions of our own only: see postSQL
	if s.engine != nil {
		o = s.engine.AnalystOptions()
	}
	r := &readers{operator: newReader("operator", nil, o)}
	r.operator.operator = true
	for _, a := range s.asking {
		who := newReader(a.Name, a.Tenants, schema.ReaderOptions(s.chOptions, a))
		if a.Everything() {
			who.tenants = nil
		}
		r.add(a.Token, who)
	}
	return r
}
