package collector

import (
	"context"
	"encoding/hex"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/kongdao/kongdao/internal/calllog"
)

// Call is one call for those who watch live. Durations are microseconds, as in the
// table calls.
type Call struct {
	Time       time.Time         `json:"ts"`
	RequestID  string            `json:"request_id,omitempty"`
	TraceID    string            `json:"trace_id,omitempty"`
	Gateway    string            `json:"gateway,omitempty"`
	Tenant     string            `json:"tenant,omitempty"`
	Function   string            `json:"function"`
	Revision   string            `json:"revision,omitempty"`
	Zone       string            `json:"zone,omitempty"`
	Pod        string            `json:"pod,omitempty"`
	Method     string            `json:"method"`
	Host       string            `json:"host"`
	Path       string            `json:"path"`
	Status     uint16            `json:"status"`
	Flags      string            `json:"flags,omitempty"`
	DurationUS uint32            `json:"duration_us"`
	UpstreamUS uint32            `json:"upstream_us"`
	BytesIn    uint64            `json:"bytes_in"`
	BytesOut   uint64            `json:"bytes_out"`
	Attempts   uint8             `json:"attempts"`
	ClientIP   string            `json:"client_ip,omitempty"`
	UserAgent  string            `json:"user_agent,omitempty"`
	Consumer   string            `json:"consumer,omitempty"`
	LimitedBy  string            `json:"limited_by,omitempty"`
	LoadTest   string            `json:"load_test,omitempty"`
	Attrs      map[string]string `json:"attrs,omitempty"`
}

// Filter chooses calls. Zero fields choose all.
type Filter struct {
	Function  string
	Zone      string
	MinStatus uint16 // 500 chooses server errors
	LoadTest  bool   // calls of load tests, too
}

func (f Filter) match(r *calllog.Record) bool {
	return (f.Function == "" || string(r.Function) == f.Function) &&
		(f.Zone == "" || string(r.Zone) == f.Zone) &&
		r.Status >= f.MinStatus &&
		(f.LoadTest || len(r.LoadTest) == 0)
}

// tailBuffer is how many calls may wait for one watcher, about 0.5 MB.
const tailBuffer = 1024

// Tail is a live view of calls. Calls that its reader is too slow for are dropped
// and counted; the path to ClickHouse never waits for it.
type Tail struct {
	filter  Filter
	calls   chan Call
	dropped atomic.Int64
}

// Calls gives the calls, as their blocks become durable. It is closed when the
// context of Subscribe ends.
func (t *Tail) Calls() <-chan Call { return t.calls }

// Dropped is how many calls were not given because the reader was too slow.
func (t *Tail) Dropped() int64 { return t.dropped.Load() }

// tails are the live views there are.
type tails struct {
	mu   sync.Mutex
	open map[*Tail]struct{}
}

// Subscribe gives the calls that f chooses from now on, until ctx ends.
func (c *Collector) Subscribe(ctx context.Context, f Filter) *Tail {
	t := &Tail{filter: f, calls: make(chan Call, tailBuffer)}
	c.tails.mu.Lock()
	c.tails.open[t] = struct{}{}
	c.tails.mu.Unlock()
	context.AfterFunc(ctx, func() {
		c.tails.mu.Lock()
		defer c.tails.mu.Unlock()
		delete(c.tails.open, t)
		close(t.calls)
	})
	return t
}

// publish shows a block to all who watch.
func (t *tails) publish(b *calllog.Block) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.open) == 0 {
		return
	}
	b.Each(func(r *calllog.Record) {
		for tail := range t.open {
			tail.offer(r)
		}
	})
}

func (t *Tail) offer(r *calllog.Record) {
	if !t.filter.match(r) {
		return
	}
	if len(t.calls) == cap(t.calls) { // only publish sends, so there is room otherwise
		t.dropped.Add(1)
		return
	}
	t.calls <- callOf(r)
}

// callOf copies r.
func callOf(r *calllog.Record) Call {
	c := Call{
		Time: time.UnixMicro(r.Time).UTC(), Gateway: strings.Clone(r.Gateway),
		Tenant: toValid(string(r.Tenant)), Function: toValid(string(r.Function)), Revision: toValid(string(r.Revision)),
		Zone: toValid(string(r.Zone)), Pod: toValid(string(r.Pod)), Method: toValid(string(r.Method)),
		Host: toValid(string(r.Host)), Path: toValid(string(r.Path)), Status: r.Status, Flags: string(r.Flags),
		DurationUS: r.DurationUS, UpstreamUS: r.UpstreamUS, BytesIn: r.BytesIn, BytesOut: r.BytesOut,
		Attempts: r.Attempts, UserAgent: toValid(string(r.UserAgent)), Consumer: toValid(string(r.Consumer)),
		LimitedBy: strings.Clone(r.LimitedBy), LoadTest: toValid(string(r.LoadTest)),
	}
	if r.RequestID != [16]byte{} {
		c.RequestID = uuid.UUID(r.RequestID).String()
	}
	if r.TraceID != [16]byte{} {
		c.TraceID = hex.EncodeToString(r.TraceID[:])
	}
	if r.ClientIP != [16]byte{} {
		c.ClientIP = netip.AddrFrom16(r.ClientIP).Unmap().String()
	}
	for _, a := range r.Attrs {
		if c.Attrs == nil {
			c.Attrs = map[string]string{}
		}
		c.Attrs[strings.Clone(a.Key)] = toValid(string(a.Value))
	}
	return c
}

// toValid makes s fit for labels and JSON; paths may hold any byte.
func toValid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
