package column

import (
	"fmt"

	"github.com/ClickHouse/ch-go/proto"
)

// MaxBytes bounds a whole block before compression, for reading.
const MaxBytes = 256 << 20

// Texts is a String column that reads blocks nobody vouches for: ch-go's own
// makes room for whatever length a string claims to have.
type Texts struct{ proto.ColStr }

// DecodeColumn implements proto.ColResult.
func (t *Texts) DecodeColumn(r *proto.Reader, rows int) error {
	for i := range rows {
		start := len(t.Buf)
		var err error
		if t.Buf, err = readText(r, t.Buf); err != nil {
			return fmt.Errorf("row %d: %w", i, err)
		}
		t.Pos = append(t.Pos, proto.Position{Start: start, End: len(t.Buf)})
	}
	return nil
}

// readText appends a string to dst, which grows by what is there, not by what
// the length claims.
func readText(r *proto.Reader, dst []byte) ([]byte, error) {
	const step = 64 << 10
	n, err := r.StrLen()
	if err != nil {
		return dst, err
	}
	if n > MaxBytes {
		return dst, fmt.Errorf("string of %d bytes: %w", n, ErrMalformed)
	}
	for n > 0 {
		at, size := len(dst), min(n, step)
		dst = append(dst, make([]byte, size)...)
		if err := r.ReadFull(dst[at:]); err != nil {
			return dst[:at], err
		}
		n -= size
	}
	return dst, nil
}
