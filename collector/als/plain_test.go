package als

import (
	"bytes"
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
	for range 500 {
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

// FuzzFields: the short way to read a field gives what protobuf's own does.
func FuzzFields(f *testing.F) {
	f.Add([]byte{0x0a, 0x02, 1, 2, 0x18, 0x80, 0x01, 0x92, 0x01, 0x81, 0x00, 7, 0x0d, 1, 2, 3, 4, 0x00, 0x01})
	f.Add(marshal(f, alstest.Message(entry())))
	f.Fuzz(func(t *testing.T, b []byte) { sameFields(t, b) })
}

func sameFields(t *testing.T, b []byte) {
	ours, theirs := fields{rest: b}, fields{rest: b}
	for {
		more := ours.next()
		if more != theirs.any() || ours.bad != theirs.bad {
			t.Fatalf("%x: at %x, and at %x", b, ours.rest, theirs.rest)
		}
		if !more {
			return
		}
		if ours.num != theirs.num || ours.u != theirs.u || !bytes.Equal(ours.v, theirs.v) || !bytes.Equal(ours.rest, theirs.rest) {
			t.Fatalf("%x: field %+v, want %+v", b, ours, theirs)
		}
	}
}

func TestRandomFields(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300_000 {
		b := make([]byte, r.IntN(12))
		for i := range b {
			b[i] = []byte{0, 1, 2, 8, 0x0a, 0x12, 0x7f, 0x80, 0x81, 0x92, 0xff, byte(r.Uint32())}[r.IntN(12)]
		}
		sameFields(t, b)
	}
}
