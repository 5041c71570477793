package column

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/ClickHouse/ch-go/proto"
)

// Names is a LowCardinality(String) column. Each block has its own dictionary,
// which is what bounds the memory: at most one name for each row.
//
// Names of former blocks are remembered over Reset, up to a bound, because the
// next block has mostly the same ones: then Append allocates nothing.
type Names struct {
	column proto.ColLowCardinalityRaw
	index  Texts
	keys   []uint32
	seen   map[string]*place
	recent [recent]*place // of seen, by a cheap hash
	block  uint64         // counts Resets
}

// place is where a name is in the index of a block.
type place struct {
	name  string
	block uint64 // the place is in this one
	at    uint32
}

const (
	recentBits = 10
	recent     = 1 << recentBits

	// maxSeen bounds the names that are remembered, at about 100 bytes each. A block
	// may have more; then they are forgotten with it.
	maxSeen = 20_000
)

// NewNames returns a column without rows.
func NewNames() *Names {
	n := &Names{seen: map[string]*place{}}
	n.column.Index = &n.index
	return n
}

// Append adds a row. It copies.
func (n *Names) Append(name []byte) {
	slot := &n.recent[hash(name)]
	p := *slot
	if p == nil || p.name != string(name) {
		p = n.find(name)
		*slot = p
	}
	if p.block != n.block {
		n.add(p)
	}
	n.keys = append(n.keys, p.at)
}

// find is the place of a name, which may be one in a former block.
func (n *Names) find(name []byte) *place {
	p, ok := n.seen[string(name)]
	if !ok {
		p = &place{name: string(name), block: n.block - 1}
		n.seen[p.name] = p
	}
	return p
}

// add gives a name its place in this block.
func (n *Names) add(p *place) {
	p.block, p.at = n.block, uint32(n.index.Rows())
	n.index.Append(p.name)
}

// hash tells names apart by how they end, where most differ, and their length.
func hash(name []byte) uint32 {
	n := len(name)
	if n < 4 {
		h := uint32(n)
		for _, b := range name {
			h = h*31 + uint32(b)
		}
		return h % recent
	}
	end := uint32(name[n-1]) | uint32(name[n-2])<<8 | uint32(name[n-3])<<16 | uint32(name[n-4])<<24
	return (end + uint32(n)) * 0x9e3779b1 >> (32 - recentBits)
}

// AppendString adds a row.
func (n *Names) AppendString(name string) {
	n.Append(unsafe.Slice(unsafe.StringData(name), len(name)))
}

// Row is the name in row i: a part of the column.
func (n *Names) Row(i int) []byte { return n.index.RowBytes(int(n.keys[i])) }

// ready gives the column with keys as narrow as the dictionary allows.
func (n *Names) ready() *proto.ColLowCardinalityRaw {
	c := &n.column
	c.Keys8, c.Keys16, c.Keys32 = c.Keys8[:0], c.Keys16[:0], c.Keys32[:0]
	switch rows := n.index.Rows(); {
	case rows <= 1<<8:
		c.Key = proto.KeyUInt8
		for _, k := range n.keys {
			c.Keys8 = append(c.Keys8, uint8(k))
		}
	case rows <= 1<<16:
		c.Key = proto.KeyUInt16
		for _, k := range n.keys {
			c.Keys16 = append(c.Keys16, uint16(k))
		}
	default:
		c.Key = proto.KeyUInt32
		c.Keys32 = append(c.Keys32, n.keys...)
	}
	return c
}

// Type implements proto.Column.
func (n *Names) Type() proto.ColumnType { return n.column.Type() }

// Rows implements proto.Column.
func (n *Names) Rows() int { return len(n.keys) }

// EncodeState implements proto.StateEncoder.
func (n *Names) EncodeState(b *proto.Buffer) { n.column.EncodeState(b) }

// EncodeColumn implements proto.ColInput.
func (n *Names) EncodeColumn(b *proto.Buffer) { n.ready().EncodeColumn(b) }

// WriteColumn implements proto.ColInput.
func (n *Names) WriteColumn(w *proto.Writer) { n.ready().WriteColumn(w) }

// Reset implements proto.Resettable.
func (n *Names) Reset() {
	n.column.Reset()
	n.keys = n.keys[:0]
	n.block++
	if len(n.seen) > maxSeen {
		clear(n.seen)
		clear(n.recent[:])
	}
}

// DecodeState implements proto.StateDecoder.
func (n *Names) DecodeState(r *proto.Reader) error { return n.column.DecodeState(r) }

// DecodeColumn implements proto.ColResult. Unlike ch-go's own column it refuses
// a dictionary larger than the rows before making room for it.
func (n *Names) DecodeColumn(r *proto.Reader, rows int) error {
	if rows == 0 {
		return nil
	}
	const keyType, additional = 0xff, 1 << 9
	meta, err := r.Int64()
	if err != nil {
		return fmt.Errorf("meta: %w", err)
	}
	if n.column.Key = proto.CardinalityKey(meta & keyType); meta&additional == 0 || n.column.Key > proto.KeyUInt32 {
		return fmt.Errorf("meta %x: %w", meta, ErrMalformed)
	}
	known, err := r.Int64()
	if err != nil {
		return fmt.Errorf("names: %w", err)
	}
	if known < 1 || known > int64(rows)+1 {
		return fmt.Errorf("%d names for %d rows: %w", known, rows, ErrMalformed)
	}
	if err := n.index.DecodeColumn(r, int(known)); err != nil {
		return fmt.Errorf("names: %w", err)
	}
	if got, err := r.Int64(); err != nil || got != int64(rows) {
		return fmt.Errorf("%d keys for %d rows: %w", got, rows, errors.Join(ErrMalformed, err))
	}
	if err := n.column.Keys().DecodeColumn(r, rows); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return n.takeKeys(uint32(known))
}

// takeKeys makes the block able to grow after it was read.
func (n *Names) takeKeys(known uint32) error {
	for _, k := range n.column.Keys8 {
		n.keys = append(n.keys, uint32(k))
	}
	for _, k := range n.column.Keys16 {
		n.keys = append(n.keys, uint32(k))
	}
	n.keys = append(n.keys, n.column.Keys32...)
	for _, k := range n.keys {
		if k >= known {
			return fmt.Errorf("key %d of %d names: %w", k, known, ErrMalformed)
		}
	}
	for i := range int(known) {
		p := n.find(n.index.RowBytes(i))
		p.block, p.at = n.block, uint32(i)
	}
	return nil
}

// Text is b as a string without a copy: for as long as nobody writes to b.
func Text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
