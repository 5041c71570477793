package filelog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
)

// FuzzSplit compares what a reader makes of a file that grows in pieces with plain
// splitting of its content at newlines. Lines below the bound come out as they are;
// longer ones do too, or as a mark, with what may be the start of the next one
// behind it. At each position another reader can go on.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("one\ntwo\n\nthree"), uint8(3), uint8(4))
	f.Add([]byte(line(1)+line(2)[:50]+line(3)), uint8(100), uint8(30))
	f.Add(append(bytes.Repeat([]byte{0}, 300), line(3)...), uint8(40), uint8(16))
	f.Add([]byte("\x1eaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x1ebb\x1ec\n\x1ed\n"), uint8(7), uint8(5))
	f.Fuzz(func(t *testing.T, content []byte, piece, chunk uint8) {
		c := Config{readBytes: 1 + int(chunk), lineBytes: 64}
		path := filepath.Join(t.TempDir(), "log")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		open := func(offset int64) *reader {
			r, err := openReader(logFile{path: path, inode: inodeOf(info)}, offset, c)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		var out output
		r := open(0)
		for rest := range slices.Chunk(content, 1+int(piece)) {
			if _, err := file.Write(rest); err != nil {
				t.Fatal(err)
			}
			out.take(t, r)
			if len(out.events)%3 == 1 { // a restart: only what was handed over counts
				at := r.position(0).Offset
				r.close()
				r = open(at)
			}
		}
		out.take(t, r)
		tail, long := r.rest()
		r.close()
		if err := out.check(content, tail, long, c.lineBytes); err != nil {
			t.Fatalf("%v\ncontent %q\nout %v", err, content, out.events)
		}
	})
}

// output is what a reader gave: lines, and marks for long ones, each with the place
// behind it.
type output struct{ events []event }

type event struct {
	text string // with its newline; empty for a mark
	end  int64
}

func (o *output) take(t *testing.T, r *reader) {
	t.Helper()
	for {
		lines, long, err := r.next()
		switch {
		case err != nil:
			t.Fatal(err)
		case long:
			o.events = append(o.events, event{end: r.position(0).Offset})
		case len(lines) == 0:
			return
		default:
			at := r.position(0).Offset
			for l := range bytes.Lines(lines) {
				at += int64(len(l))
				o.events = append(o.events, event{string(l), at})
			}
			r.consume(len(lines))
		}
	}
}

// check finds every byte of content in a line, a mark or the tail, in order. What a
// mark stands for is one long line, or what stands before the start of another.
func (o *output) check(content, tail []byte, long bool, bound int) error {
	from := int64(0)
	for _, e := range o.events {
		if e.end <= from || e.end > int64(len(content)) {
			return fmt.Errorf("event %q goes from %d to %d", e.text, from, e.end)
		}
		text := content[from:e.end]
		newline := bytes.IndexByte(text, '\n')
		switch {
		case e.text != "" && (e.text != string(text) || newline != len(text)-1):
			return fmt.Errorf("line %q at %d is %q", text, from, e.text)
		case e.text == "" && newline >= 0 && (newline != len(text)-1 || newline < bound):
			return fmt.Errorf("%q at %d is taken for a long line", text, from)
		case e.text == "" && newline < 0 && content[e.end] != lineStart:
			return fmt.Errorf("a line is cut at %d", e.end)
		}
		from = e.end
	}
	rest := content[from:]
	if bytes.IndexByte(rest, '\n') >= 0 || !long && !bytes.Equal(rest, tail) || long && len(rest) < bound {
		return fmt.Errorf("what is left is %q, the tail %q", rest, tail)
	}
	return nil
}

// TestAnyOrder does to a log what may be done to one, in random order, and compares
// what comes out with a model of it.
func TestAnyOrder(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			anyOrder(t, rand.New(rand.NewPCG(seed, 7)))
		})
	}
}

func anyOrder(t *testing.T, r *rand.Rand) {
	path := filepath.Join(t.TempDir(), "access.log")
	c := config(path)
	c.readBytes = 1 << (7 + r.IntN(5))
	c.Grace = api.Duration(time.Duration(r.IntN(3)) * time.Millisecond)
	s := newStore()
	_, _, stop := start(t, c, s)
	var want []string
	n, rotated, half := 0, 0, ""
	calls := func(k int) {
		var text strings.Builder
		text.WriteString(half)
		if half == "" {
			k++
		}
		for i := range k {
			if i > 0 || half == "" {
				text.WriteString(line(n))
			}
			want = append(want, fmt.Sprintf("/%d", n))
			n++
			half = ""
		}
		write(t, path, text.String())
	}
	for range 40 {
		switch r.IntN(8) {
		case 0, 1:
			calls(1 + r.IntN(5))
		case 2: // half a line, the rest of which comes with the next call
			if half == "" {
				text := line(n)
				cut := 1 + r.IntN(len(text)-1)
				write(t, path, text[:cut])
				half = text[cut:]
			}
		case 3, 4:
			if _, err := os.Stat(path); err != nil {
				continue
			}
			rotated++
			rename(t, path, fmt.Sprintf("%s.%0*d", path, sequenceDigits, rotated))
			if half != "" { // its gateway was killed
				want = append(want, "malformed: "+errTorn.Error())
				half, n = "", n+1
			}
			calls(1)
		case 5: // what was not read by then would be lost with any reader; and while none runs, the place
			calls(1)
			s.await(t, len(want))
			if err := os.Truncate(path, 0); err == nil && half != "" {
				half, n = "", n+1
			}
			calls(1)
			s.await(t, len(want))
		case 6:
			stop()
			_, _, stop = start(t, c, s)
		case 7: // a gateway that was killed in a line starts again
			if half != "" {
				want = append(want, "malformed: "+errTorn.Error())
				half, n = "", n+1
				calls(1)
			}
		}
	}
	calls(1)
	if got := s.await(t, len(want)); !slices.Equal(got, want) {
		for i := range want {
			if i >= len(got) || got[i] != want[i] {
				t.Fatalf("%d of %d is %q, want %q; around it %q", i, len(got), got[min(i, len(got)-1)], want[i], got[max(0, i-3):min(len(got), i+4)])
			}
		}
		t.Fatalf("%d calls, want %d", len(got), len(want))
	}
}
