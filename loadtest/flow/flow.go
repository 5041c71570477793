// Package flow sends what a scenario describes: targets in turn, or steps of which
// each may use what an answer before it held; over HTTP, gRPC and websockets; with
// data files filled in and answers checked.
//
// It is an [attack.Sender]. A request whose host is not allowed is not sent, also
// when the host comes out of a template; redirects are never followed; bodies have
// caps. An answer that is not what it must be counts as a failed request by the kind
// of its fault: it has no status then.
package flow

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/feed"
	"github.com/kongdao/kongdao/loadtest/lean"
	"github.com/kongdao/kongdao/loadtest/template"
)

// Kinds of faults besides those of package attack.
const (
	KindForbidden = "forbidden"  // not sent: a template made a host that may not be tested
	KindRender    = "render"     // not sent: what the templates made is no request
	KindTooLarge  = "too-large"  // a body is above its cap
	KindClosed    = "closed"     // the other side closed a websocket early
	KindNoUpgrade = "no-upgrade" // what should be a websocket answered as something else
	// A failed check is "check NAME", a failed extraction "extract NAME", and a gRPC
	// status other than OK "grpc-unavailable" and so on.
)

// Unit is a scenario: what is sent for its moments of the plan.
type Unit struct {
	Weight   float64 // against the other units of its stream
	Steps    bool    // all requests each time, instead of the next one
	Requests []*Request
	Scope    *template.Scope // whose data files it uses
}

// Config is what all units share.
type Config struct {
	Run       string
	Seed      uint64       // of random values
	Share     attack.Share // of the iterations: those of several generators have numbers and rows of their own
	Workers   int
	Meter     *attack.Meter // of all connections; nil: none
	Timeout   time.Duration // of one request, without a websocket's hold
	HTTP2     bool
	TLS       *tls.Config
	MaxBody   int // bytes of a request's body
	MaxAnswer int // bytes of an answer's body
	Allow     func(hostport string) bool
	Feeds     []*feed.Feed // in the order of the scope's
	First     uint64       // number of the first iteration
	FirstRows []uint64     // number of the first row of each data file; nil: 0
}

// Flow is a sender for one run.
type Flow struct {
	config  Config
	units   []*unit
	streams [][]*unit
	rows    []uint64 // of each data file: the next one's number
	http    *httpClient
	lean    *leanClient
	ws      *wsClient
	grpc    *grpcClient
}

type unit struct {
	Unit
	credit float64 // of the weighted turn
	turn   int     // of targets
}

var _ attack.Sender = (*Flow)(nil)

// New prepares the units, by the streams that the plan has: it dials what must be
// asked before, such as the schema of a gRPC service. Close ends it.
func New(ctx context.Context, c Config, streams [][]Unit) (*Flow, error) {
	f := &Flow{config: c, rows: make([]uint64, len(c.Feeds)), http: newHTTP(c), lean: newLean(c), ws: newWebsocket(c), grpc: newGRPC(c)}
	for i := range f.rows {
		f.rows[i] = uint64(c.Share.Index)
		if c.FirstRows != nil {
			f.rows[i] += c.FirstRows[i]
		}
	}
	for _, s := range streams {
		var units []*unit
		for _, u := range s {
			own := &unit{Unit: u}
			own.Requests = nil
			for _, r := range u.Requests {
				own.Requests = append(own.Requests, r.with(c.Run))
			}
			units = append(units, own)
		}
		f.units = append(f.units, units...)
		f.streams = append(f.streams, units)
	}
	for _, u := range f.units {
		for _, r := range u.Requests {
			if err := f.connect(ctx, r); err != nil {
				return nil, errors.Join(fmt.Errorf("%s: %w", r.Name, err), f.Close())
			}
		}
	}
	return f, nil
}

// connect gives a request its protocol.
func (f *Flow) connect(ctx context.Context, r *Request) error {
	switch r.scheme {
	case "ws", "wss":
		r.by = f.ws
	case "grpc", "grpcs":
		r.by = f.grpc
		return f.grpc.prepare(ctx, r)
	default:
		r.by = f.http
		if f.lean.prepare(r, f.http) {
			r.by = f.lean
		}
	}
	return nil
}

// Close ends all connections and data files.
func (f *Flow) Close() error {
	f.http.close()
	f.lean.client.Close()
	errs := []error{f.grpc.close()}
	f.ws.close()
	for _, d := range f.config.Feeds {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// state is a worker's own.
type state struct {
	unit   *unit
	step   int
	rows   []int // of each data file
	values template.Values
	text   []byte // of a row
	answer []byte
	lean   lean.Worker
}

// Take chooses the unit and, of targets, the one whose turn it is, and the rows.
func (f *Flow) Take(it *attack.Iteration) error {
	s, ok := it.State.(*state)
	if !ok {
		s = f.newState()
		it.State = s
	}
	s.unit = pick(f.among(it.Stream))
	s.step = 0
	if u := s.unit; !u.Steps {
		s.step = u.turn
		u.turn = (u.turn + 1) % len(u.Requests)
	}
	s.values.Seq = f.config.First + it.Seq*uint64(max(1, f.config.Share.Of)) + uint64(f.config.Share.Index)
	s.values.Now = time.Now()
	s.values.Seed(f.config.Seed)
	return f.takeRows(s)
}

func (f *Flow) newState() *state {
	s := &state{rows: make([]int, len(f.config.Feeds))}
	s.values.Run = f.config.Run
	for _, d := range f.config.Feeds {
		s.values.Rows = append(s.values.Rows, make([]string, len(d.Columns)))
	}
	return s
}

// among are the units that a moment of the plan may be for.
func (f *Flow) among(stream int) []*unit {
	if stream < 0 || stream >= len(f.streams) {
		return f.units
	}
	return f.streams[stream]
}

// pick gives each unit its share, spread evenly: the one with the most credit is
// next and pays for all (nginx's smooth weighted round robin).
func pick(units []*unit) *unit {
	if len(units) == 1 {
		return units[0]
	}
	best, sum := units[0], 0.0
	for _, u := range units {
		u.credit += u.Weight
		sum += u.Weight
		if u.credit > best.credit {
			best = u
		}
	}
	best.credit -= sum
	return best
}

func (f *Flow) takeRows(s *state) error {
	for i, d := range f.config.Feeds {
		if !s.unit.Scope.Uses(i) {
			continue
		}
		random := int64(0)
		if d.Order == feed.Random {
			random = s.values.IntN(int64(d.Rows()))
		}
		row, ok := d.Pick(f.rows[i], random)
		if !ok {
			return vegeta.ErrNoTargets
		}
		f.rows[i] += uint64(max(1, f.config.Share.Of))
		s.rows[i] = row
	}
	return nil
}

// Send sends the next request of the iteration.
func (f *Flow) Send(ctx context.Context, it *attack.Iteration) (attack.Reply, bool) {
	s := it.State.(*state)
	r := s.unit.Requests[s.step]
	if err := f.fill(s); err != nil {
		return attack.Reply{Series: r.Series, Fault: KindRender, Text: err.Error(), Method: r.Method, URL: r.Name}, false
	}
	reply := r.send(ctx, f.config, s)
	reply.Series = r.Series
	s.step++
	return reply, s.unit.Steps && reply.Fault == "" && s.step < len(s.unit.Requests)
}

// fill reads the rows of the iteration before its first request.
func (f *Flow) fill(s *state) error {
	if s.unit.Steps && s.step > 0 {
		return nil
	}
	if n := s.unit.Scope.Vars(); len(s.values.Vars) < n {
		s.values.Vars = append(s.values.Vars, make([]string, n-len(s.values.Vars))...)
	}
	for i, d := range f.config.Feeds {
		if !s.unit.Scope.Uses(i) {
			continue
		}
		var err error
		if s.text, err = d.Read(s.rows[i], s.values.Rows[i], s.text); err != nil {
			return err
		}
	}
	return nil
}
