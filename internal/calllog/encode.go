package calllog

import (
	"github.com/ClickHouse/ch-go/proto"

	"github.com/kongdao/kongdao/internal/column"
)

// Revision is the version of ClickHouse's native protocol that blocks are
// encoded for. Stored blocks depend on it.
const Revision = column.Revision

const (
	minRow   = 99             // bytes of a row of which every string is empty and every name known
	maxAttrs = 2 * MaxHeaders // of a row, in what is read from a block
)

// Input is the block as ch-go's columns, named as in Columns. They are the
// block's own: they are valid until the next Append or Reset.
func (b *Block) Input() proto.Input { return column.Input(specs(), b.columns()) }

// Encode appends the block to dst as LZ4 frames with a native block of Revision
// inside, block info included, as a data packet of the native protocol holds it.
// Equal rows give equal bytes.
func (b *Block) Encode(dst []byte) ([]byte, error) {
	return b.encoder.Encode(dst, b.Rows(), b.Input())
}

// DecodeBlock reads what Encode wrote. It copies: data may change afterwards.
// Whatever data is, it takes no more memory than a small multiple of what the
// frames hold, 256 MiB at most. Errors wrap ErrMalformed.
func DecodeBlock(data []byte) (*Block, error) {
	b := NewBlock()
	if _, err := column.Decode(data, specs(), b.columns(), minRow); err != nil {
		return nil, err
	}
	for i, ts := range b.ts.Data {
		if i == 0 {
			b.min, b.max = int64(ts), int64(ts)
		}
		b.min, b.max = min(b.min, int64(ts)), max(b.max, int64(ts))
	}
	return b, nil
}
