package ship

import (
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/testkit"
)

// Calls that waited for hours are sent again with their own token as long as the
// tables know it: that completes the rollups, too.
func TestOldCallsOfAYoungBlock(t *testing.T) {
	b := forgetful(t)
	for _, table := range append([]string{"calls"}, rollups()...) {
		testkit.Must(t, b.client.Exec(testkit.Context(t), "ALTER TABLE "+table+" MODIFY SETTING non_replicated_deduplication_window = 10000"))
	}
	rec := b.record("w/1", 0, 10)
	rec.MaxTime = rec.MaxTime.Add(-5 * time.Hour)
	b.send(rec, false)
	if f := b.found(rec); f != findingUnsure {
		t.Errorf("a block of old calls that was just stored is %s", f)
	}
	b.send(rec, true)
	b.stored(10)
}

// A gateway may pass on the id of another: the calls of both count.
func TestSameCallOfTwoGateways(t *testing.T) {
	b := forgetful(t)
	near := b.record("w/1", 0, 10)
	b.send(near, false)
	for i := 1; i <= 3; i++ {
		b.send(b.record("w/x"+string(rune('0'+i)), i*10, 10), false)
	}
	all, err := calllog.DecodeBlock(near.Block)
	testkit.Must(t, err)
	far := calllog.NewBlock()
	all.Each(func(r *calllog.Record) {
		r.Gateway = "far"
		far.Append(r)
	})
	piece, err := pieceOf(far)
	testkit.Must(t, err)
	rec := near
	rec.Token, rec.Block = "w/2", piece.Block
	if f := b.found(rec); f != findingAbsent {
		t.Errorf("calls of another gateway are %s", f)
	}
	if f := b.found(near); f != findingStored {
		t.Errorf("the calls themselves are %s", f)
	}
}
