package filelog

import (
	"bytes"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/kongdao/kongdao/internal/calllog"
)

var (
	errLong = errors.New("longer than a line may be")
	errTorn = errors.New("ends before its newline")
	errZero = errors.New("zero bytes: what was written there never reached the disk")
)

// decoder turns the lines of one source into records. It owns the record and
// counts each line, once.
type decoder struct {
	source  Source
	headers calllog.Headers
	record  calllog.Record
	lines   func(n, malformed, bytes int)
	log     *slog.Logger
	logged  time.Time // when a malformed line was logged last
}

// records gives the calls in lines. A line that follows a torn one gives two.
func (d *decoder) records(lines []byte) iter.Seq[*calllog.Record] {
	return func(yield func(*calllog.Record) bool) {
		n, malformed := 0, 0
		defer func() { d.lines(n, malformed, len(lines)) }()
		for line := range bytes.Lines(lines) {
			torn, whole := calllog.Torn(bytes.TrimSuffix(line, []byte{'\n'}))
			if len(torn) > 0 {
				n, malformed = n+1, malformed+1
				if !yield(d.torn(torn)) {
					return
				}
			}
			whole = bytes.TrimSuffix(whole, []byte{'\r'}) // of a file that went through another system
			if len(whole) == 0 {
				continue
			}
			n++
			r, ok := d.parse(whole)
			if !ok {
				malformed++
			}
			if !yield(r) {
				return
			}
		}
	}
}

// one gives the one record of a line that cannot be parsed.
func (d *decoder) one(line []byte, reason error) iter.Seq[*calllog.Record] {
	return func(yield func(*calllog.Record) bool) {
		d.lines(1, 1, len(line))
		yield(d.malformed(line, reason))
	}
}

// torn gives the record of what stands before a whole line. A machine that lost its
// power may leave zero bytes there, the length of the lines that were to be.
func (d *decoder) torn(line []byte) *calllog.Record {
	if i := bytes.IndexByte(line, 0); i >= 0 {
		return d.malformed(line[:i], errZero)
	}
	return d.malformed(line, errTorn)
}

func (d *decoder) parse(line []byte) (r *calllog.Record, ok bool) {
	if err := d.headers.ParseText(line, &d.record); err != nil {
		return d.malformed(line, err), false
	}
	d.record.Gateway, d.record.GatewayZone = d.source.Gateway, d.source.GatewayZone
	return &d.record, true
}

// malformed gives the record that stands for line, and logs one in a while.
func (d *decoder) malformed(line []byte, reason error) *calllog.Record {
	const every = time.Minute
	now := time.Now()
	if errors.Is(reason, errLong) || errors.Is(reason, errTorn) || errors.Is(reason, errZero) {
		_ = d.headers.ParseText(line, &d.record) // for the time, if there is one
	}
	d.record.Malformed(line, now.UnixMicro(), reason)
	d.record.Gateway, d.record.GatewayZone = d.source.Gateway, d.source.GatewayZone
	if now.Sub(d.logged) >= every {
		d.logged = now
		d.log.Warn("access log line does not parse; the next ones within a minute are only counted",
			"path", d.source.Path, "err", reason, "bytes", len(line))
	}
	return &d.record
}
