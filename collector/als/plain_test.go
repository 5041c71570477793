package als

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/kongdao/kongdao/collector/als/alstest"
	"github.com/kongdao/kongdao/internal/calllog"
)

// TestAsStructs compares the decoder with protobuf's structs, on random entries.
func TestAsStructs(t *testing.T) {
	keep, err := calllog.NewHeaders([]string{"x-a", "x-b"})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	d := NewDecoder(keep)
	for range 3000 {
		e := alstest.Entry(r)
		want := alstest.Record(e, keep)
		want.Gateway, want.GatewayZone = "gw-1", "zb-a"
		n := 0
		for got := range d.Calls(marshal(t, alstest.Message(e))) {
			n++
			if diff := cmp.Diff(&want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s\n(-structs +ours):\n%s", prototext.Format(e), diff)
			}
		}
		if n != 1 {
			t.Fatalf("%d calls of one entry", n)
		}
	}
}
