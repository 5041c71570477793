package ship

import (
	"context"
	"fmt"

	"github.com/kongdao/kongdao/internal/clickhouse"
)

// Block is a block with rows R that can be taken apart and built again.
type Block[R any] interface {
	Append(*R)
	Each(func(*R)) // the rows in order; f copies what it keeps
	Rows() int
	Encode([]byte) ([]byte, error)
}

// Rows makes the Split and the Missing of a [Table] whose blocks are B: rows R that
// are told from each other by K.
type Rows[B Block[R], R any, K comparable] struct {
	New    func() B // empty
	Decode func(block []byte) (B, error)
	Key    func(*R) K
	// Stored is how often the table has each row that the block may have; others do
	// not matter.
	Stored func(context.Context, *clickhouse.Client, B) (map[K]uint64, error)
}

// Split halves a block.
func (s Rows[B, R, K]) Split(block []byte) (first, second Piece, err error) {
	b, err := s.Decode(block)
	if err != nil {
		return first, second, err
	}
	halves, at := [2]B{s.New(), s.New()}, 0
	b.Each(func(r *R) {
		halves[at*2/b.Rows()].Append(r)
		at++
	})
	if first, err = pieceOf(halves[0]); err != nil {
		return first, second, err
	}
	second, err = pieceOf(halves[1])
	return first, second, err
}

// Missing looks each row of the block up in the table.
func (s Rows[B, R, K]) Missing(ctx context.Context, c *clickhouse.Client, block []byte) (Piece, error) {
	b, err := s.Decode(block)
	if err != nil {
		return Piece{}, fmt.Errorf("%w: %w", errBlock, err)
	}
	stored, err := s.Stored(ctx, c, b)
	if err != nil {
		return Piece{}, fmt.Errorf("look rows up: %w", err)
	}
	rest := s.New()
	b.Each(func(r *R) {
		key := s.Key(r)
		if stored[key] > 0 {
			stored[key]--
			return
		}
		rest.Append(r)
	})
	return pieceOf(rest)
}

func pieceOf[R any](b Block[R]) (Piece, error) {
	data, err := b.Encode(nil)
	return Piece{Block: data, Rows: b.Rows()}, err
}
