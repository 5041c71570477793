package chaos

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/collector/wal"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/testkit"
)

// damage is what happens to the log's files between two lives of the collector.
type damage string

const (
	tornTail  damage = "unfinished write behind the last record"
	lostTail  damage = "last record cut short"
	badMiddle damage = "record in the middle garbled"
)

// tear damages the log, of which no collector runs and which holds the blocks
// there. A record that ClickHouse may have had is never damaged: that an fsync
// which came back was no fsync is beyond what any log can mend.
func (r *rig) tear(there []onDisk) {
	r.t.Helper()
	if r.random.IntN(3) == 0 {
		r.tearTail()
	}
	if r.away == nil {
		return
	}
	safe := slices.DeleteFunc(slices.Clone(there), func(b onDisk) bool {
		return slices.ContainsFunc(r.away, func(was onDisk) bool { return was.token == b.token })
	})
	switch n := len(safe); {
	case n >= 3 && r.random.IntN(2) == 0:
		r.garble(safe[r.random.IntN(n-1)])
	case n >= 1:
		r.cutShort(safe[n-1])
	}
}

// tearTail leaves behind what a write that was under way does.
func (r *rig) tearTail() {
	r.t.Helper()
	var rest []byte
	switch r.random.IntN(3) {
	case 0:
		rest = make([]byte, 1+r.random.IntN(8192)) // the file grew, its bytes did not come
	case 1:
		for range 1 + r.random.IntN(300) {
			rest = append(rest, byte(r.random.Uint32()))
		}
	case 2:
		next := r.nextRecord()
		rest = next[:1+r.random.IntN(len(next)-1)]
	}
	segment := r.newest()
	f, err := os.OpenFile(segment, os.O_APPEND|os.O_WRONLY, 0)
	testkit.Must(r.t, err)
	_, err = f.Write(rest)
	testkit.Must(r.t, err)
	testkit.Must(r.t, f.Close())
	r.damaged[tornTail]++
	r.note("%s: %d bytes in %s", tornTail, len(rest), filepath.Base(segment))
}

// nextRecord are the bytes of the record that the collector might have been
// writing. Its call was never sent, and must not be stored.
func (r *rig) nextRecord() []byte {
	r.t.Helper()
	dir := r.ledger.copy()
	defer os.RemoveAll(dir)
	w, err := wal.Open(wal.Options{Dir: dir, SegmentBytes: 1 << 30, BudgetBytes: 1 << 40})
	testkit.Must(r.t, err)
	defer w.Close()
	before := w.Stats()
	var c calllog.Record
	c.Reset()
	c.Time, c.Gateway, c.RequestID[15] = time.Now().UnixMicro(), "nobody", 1
	b := calllog.NewBlock()
	b.Append(&c)
	data, err := b.Encode(nil)
	testkit.Must(r.t, err)
	_, err = w.Append(context.Background(), wal.Entry{
		Rows: 1, MinTime: time.Now(), MaxTime: time.Now(), Revision: calllog.Revision, Positions: w.Positions(), Block: data,
	})
	testkit.Must(r.t, err)
	grown := w.Stats().Bytes - before.Bytes
	names := segments(r.t, dir)
	all, err := os.ReadFile(names[len(names)-1])
	testkit.Must(r.t, err)
	return all[int64(len(all))-grown:]
}

func (r *rig) newest() string {
	r.t.Helper()
	names := segments(r.t, r.life.walDir())
	return names[len(names)-1]
}

// cutShort cuts the newest record, as when the machine lost its last write. Lines
// in it are read again.
func (r *rig) cutShort(b onDisk) {
	r.t.Helper()
	segment, at := r.find(b)
	if segment != r.newest() {
		return
	}
	testkit.Must(r.t, os.Truncate(segment, at+int64(r.random.IntN(len(b.data)))))
	r.ledger.forget(b.block, true)
	r.damaged[lostTail]++
	r.note("%s: %s", lostTail, b.token)
}

// garble changes one byte of a record that others follow: it is set aside, and they
// go on.
func (r *rig) garble(b onDisk) {
	r.t.Helper()
	segment, at := r.find(b)
	at += int64(r.random.IntN(len(b.data)))
	f, err := os.OpenFile(segment, os.O_RDWR, 0)
	testkit.Must(r.t, err)
	defer f.Close()
	one := make([]byte, 1)
	_, err = f.ReadAt(one, at)
	testkit.Must(r.t, err)
	one[0] ^= 1 << r.random.IntN(8)
	_, err = f.WriteAt(one, at)
	testkit.Must(r.t, err)
	r.ledger.forget(b.block, false)
	r.damaged[badMiddle]++
	r.bad = append(r.bad, filepath.Base(segment)+"-")
	r.note("%s: %s, byte %d of %s", badMiddle, b.token, at, filepath.Base(segment))
}

// find is where the bytes of a block are.
func (r *rig) find(b onDisk) (segment string, at int64) {
	r.t.Helper()
	for _, name := range segments(r.t, r.life.walDir()) {
		all, err := os.ReadFile(name)
		testkit.Must(r.t, err)
		if i := bytes.Index(all, b.data); i >= 0 {
			return name, int64(i)
		}
	}
	r.t.Fatalf("block %s is in no segment", b.token)
	return "", 0
}

// setAside lists what is wrong with the folder of damaged ranges: there has to be
// one for each garbled record, named after its segment, and no other.
func (r *rig) setAside() (wrong []string) {
	r.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.life.walDir(), "quarantine", "*"))
	testkit.Must(r.t, err)
	if len(files) != len(r.bad) {
		wrong = append(wrong, fmt.Sprintf("%d records were garbled, set aside are %q", len(r.bad), files))
	}
	for _, prefix := range r.bad {
		if !slices.ContainsFunc(files, func(f string) bool { return strings.HasPrefix(filepath.Base(f), prefix) }) {
			wrong = append(wrong, fmt.Sprintf("nothing was set aside of %s", prefix))
		}
	}
	return wrong
}
