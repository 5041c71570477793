package column

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
)

// Revision is the version of ClickHouse's native protocol that blocks are
// encoded for. Stored blocks depend on it.
const Revision = 54451

const (
	maxFrame   = 1 << 20 // bytes of a compressed frame before compression, as ClickHouse sends them
	frameSizes = 16      // where a frame's sizes are: behind its checksum
	frameHead  = frameSizes + 1 + 4 + 4
	methodLZ4  = 0x82
)

// Column is what a block needs of a ch-go column, for writing and for reading.
type Column interface {
	proto.ColInput
	proto.ColResult
}

// Encoder writes blocks and keeps its memory for the next.
type Encoder struct {
	raw proto.Buffer
	lz4 *compress.Writer
}

// NewEncoder returns an encoder that compresses with LZ4.
func NewEncoder() *Encoder {
	return &Encoder{lz4: compress.NewWriter(compress.LevelZero, compress.LZ4)}
}

// Encode appends the block to dst as LZ4 frames with a native block of Revision
// inside, block info included, as a data packet of the native protocol holds it.
// Equal rows give equal bytes.
func (e *Encoder) Encode(dst []byte, rows int, columns proto.Input) ([]byte, error) {
	e.raw.Reset()
	block := proto.Block{Info: proto.BlockInfo{BucketNum: -1}, Rows: rows, Columns: len(columns)}
	if err := block.EncodeBlock(&e.raw, Revision, columns); err != nil {
		return dst, fmt.Errorf("encode block: %w", err)
	}
	return e.Compress(dst, e.raw.Buf)
}

// Compress appends raw, a native block, to dst as LZ4 frames.
func (e *Encoder) Compress(dst, raw []byte) ([]byte, error) {
	for frame := range slices.Chunk(raw, maxFrame) {
		if err := e.lz4.Compress(frame); err != nil {
			return dst, fmt.Errorf("compress block: %w", err)
		}
		dst = append(dst, e.lz4.Data...)
	}
	return dst, nil
}

// Input names columns as specs do.
func Input(specs []Spec, columns []Column) proto.Input {
	in := make(proto.Input, len(columns))
	for i, c := range specs {
		in[i] = proto.InputColumn{Name: c.Name, Data: columns[i]}
	}
	return in
}

// Decode reads what Encode wrote into columns, which are empty and as many as
// specs, and returns how many rows there are. minRow is how many bytes, before
// compression, the emptiest row has. It copies: data may change afterwards.
// Whatever data is, it takes no more memory than a small multiple of what the
// frames hold, MaxBytes at most. Errors wrap ErrMalformed.
func Decode(data []byte, specs []Spec, columns []Column, minRow int) (rows int, err error) {
	raw, err := rawSize(data)
	if err != nil {
		return 0, err
	}
	r := proto.NewReader(bytes.NewReader(data))
	r.EnableCompression()
	if rows, err = decode(r, specs, columns, raw/minRow); err != nil {
		return 0, fmt.Errorf("decode block: %w", errors.Join(ErrMalformed, err))
	}
	return rows, nil
}

// rawSize is how much the frames in data hold, by their own word.
func rawSize(data []byte) (int, error) {
	raw := 0
	for len(data) > 0 {
		if len(data) < frameHead {
			return 0, fmt.Errorf("block: frame of %d bytes: %w", len(data), ErrMalformed)
		}
		compressed := binary.LittleEndian.Uint32(data[frameSizes+1:]) // with the head, without the checksum
		size := binary.LittleEndian.Uint32(data[frameSizes+5:])
		end := uint64(frameSizes) + uint64(compressed)
		if data[frameSizes] != methodLZ4 || size > maxFrame || end < frameHead || end > uint64(len(data)) {
			return 0, fmt.Errorf("block: frame of %d for %d bytes: %w", compressed, size, ErrMalformed)
		}
		raw += int(size)
		data = data[end:]
	}
	if raw > MaxBytes {
		return 0, fmt.Errorf("block: %d bytes: %w", raw, ErrMalformed)
	}
	return raw, nil
}

func decode(r *proto.Reader, specs []Spec, to []Column, maxRows int) (int, error) {
	var head proto.Block
	if err := head.Info.Decode(r); err != nil {
		return 0, err
	}
	columns, err := r.Int()
	if err != nil {
		return 0, err
	}
	rows, err := r.Int()
	if err != nil {
		return 0, err
	}
	if columns != len(to) || rows < 0 || rows > maxRows {
		return 0, fmt.Errorf("%d columns, %d rows where %d fit", columns, rows, maxRows)
	}
	for i, c := range specs {
		if err := decodeColumn(r, c, to[i], rows); err != nil {
			return 0, fmt.Errorf("column %s: %w", c.Name, err)
		}
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		return 0, errors.New("more bytes than the block has")
	}
	return rows, nil
}

func decodeColumn(r *proto.Reader, c Spec, to Column, rows int) error {
	name, err := readText(r, nil)
	if err != nil {
		return err
	}
	kind, err := readText(r, nil)
	if err != nil {
		return err
	}
	if string(name) != c.Name || string(kind) != c.Type {
		return fmt.Errorf("is %q %q", name, kind)
	}
	if rows == 0 {
		return nil
	}
	if s, ok := to.(proto.StateDecoder); ok {
		if err := s.DecodeState(r); err != nil {
			return err
		}
	}
	return to.DecodeColumn(r, rows)
}
