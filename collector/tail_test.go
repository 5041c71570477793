package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/testkit"
)

// block holds calls 0 to n-1.
func block(t testing.TB, n int) *calllog.Block {
	t.Helper()
	b := calllog.NewBlock()
	var r calllog.Record
	for i := range n {
		testkit.Must(t, calllog.ParseText([]byte(line(i)), &r))
		b.Append(&r)
	}
	return b
}

func subscriber() *Collector { return &Collector{tails: tails{open: map[*Tail]struct{}{}}} }

func TestTailChoosesAndCopies(t *testing.T) {
	c := subscriber()
	ctx, cancel := context.WithCancel(context.Background())
	tail := c.Subscribe(ctx, func(r *calllog.Record) bool {
		return string(r.Function) == "fn-4" && r.Status >= 500 && len(r.LoadTest) == 0
	})
	b := block(t, 100)
	c.tails.publish(b)
	b.Reset() // what was published must not change with it
	calls, dropped, err := tail.Next(ctx)
	testkit.Must(t, err)
	for i := range 100 {
		if function(i) != "fn-4" || status(i) < 500 || loadTest(i) != "-" {
			continue
		}
		call := calls[0]
		calls = calls[1:]
		text, err := json.Marshal(call)
		testkit.Must(t, err)
		if call.Function != "fn-4" || call.Path != fmt.Sprintf("/p?n=%d", i) || call.Time.UnixMicro() != begin+int64(i)*1000 ||
			!strings.Contains(string(text), `"client_ip":"127.0.0.1"`) {
			t.Fatalf("call %d: %s", i, text)
		}
	}
	if len(calls) != 0 || dropped != 0 {
		t.Fatalf("%d calls too many, %d dropped", len(calls), dropped)
	}
	cancel()
	if _, _, err := tail.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("after the end: %v", err)
	}
	c.tails.publish(block(t, 1)) // nobody listens
}

func TestSlowTailDropsAndCounts(t *testing.T) {
	c := subscriber()
	tail := c.Subscribe(t.Context(), nil)
	b := block(t, 1000)
	for range tailBuffer/1000 + 2 {
		c.tails.publish(b)
	}
	calls, dropped, err := tail.Next(t.Context())
	testkit.Must(t, err)
	if dropped != 2000 || len(calls) != tailBuffer {
		t.Fatalf("%d dropped, %d kept", dropped, len(calls))
	}
	c.tails.publish(b) // there is room again
	if calls, dropped, err = tail.Next(t.Context()); err != nil || dropped != 0 || len(calls) != 1000 {
		t.Fatalf("%d dropped, %d kept, %v", dropped, len(calls), err)
	}
}
