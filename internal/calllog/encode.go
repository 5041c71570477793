package calllog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ClickHouse/ch-go/proto"
)

// Revision is the version of ClickHouse's native protocol that blocks are
// encoded for. Stored blocks depend on it.
const Revision = 54451

const (
	maxFrame   = 1 << 20   // bytes of a compressed frame before compression, as ClickHouse sends them
	maxRaw     = 256 << 20 // bytes of a whole block before compression, for reading
	minRow     = 99        // bytes of a row of which every string is empty and every name known
	frameSizes = 16        // where a frame's sizes are: behind its checksum
	frameHead  = frameSizes + 1 + 4 + 4
	methodLZ4  = 0x82
)

// Input is the block as ch-go's columns, named as in Columns. They are the
// block's own: they are valid until the next Append or Reset.
func (b *Block) Input() proto.Input {
	columns := b.columns()
	in := make(proto.Input, len(columns))
	for i, c := range Columns() {
		in[i] = proto.InputColumn{Name: c.Name, Data: columns[i]}
	}
	return in
}

// Encode appends the block to dst as LZ4 frames with a native block of Revision
// inside, block info included, as a data packet of the native protocol holds it.
// Equal rows give equal bytes.
func (b *Block) Encode(dst []byte) ([]byte, error) {
	b.raw.Reset()
	columns := b.Input()
	block := proto.Block{Info: proto.BlockInfo{BucketNum: -1}, Rows: b.Rows(), Columns: len(columns)}
	if err := block.EncodeBlock(&b.raw, Revision, columns); err != nil {
		return dst, fmt.Errorf("encode block: %w", err)
	}
	for frame := range slices.Chunk(b.raw.Buf, maxFrame) {
		if err := b.lz4.Compress(frame); err != nil {
			return dst, fmt.Errorf("compress block: %w", err)
		}
		dst = append(dst, b.lz4.Data...)
	}
	return dst, nil
}

// DecodeBlock reads what Encode wrote. It copies: data may change afterwards.
// Whatever data is, it takes no more memory than a small multiple of what the
// frames hold, 256 MiB at most. Errors wrap ErrMalformed.
func DecodeBlock(data []byte) (*Block, error) {
	raw, err := rawSize(data)
	if err != nil {
		return nil, err
	}
	r := proto.NewReader(bytes.NewReader(data))
	r.EnableCompression()
	b := NewBlock()
	if err := b.decode(r, raw); err != nil {
		return nil, fmt.Errorf("decode block: %w", errors.Join(ErrMalformed, err))
	}
	return b, nil
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
	if raw > maxRaw {
		return 0, fmt.Errorf("block: %d bytes: %w", raw, ErrMalformed)
	}
	return raw, nil
}

func (b *Block) decode(r *proto.Reader, raw int) error {
	var head proto.Block
	if err := head.Info.Decode(r); err != nil {
		return err
	}
	want := b.columns()
	columns, err := r.Int()
	if err != nil {
		return err
	}
	rows, err := r.Int()
	if err != nil {
		return err
	}
	if columns != len(want) || rows < 0 || rows > raw/minRow {
		return fmt.Errorf("%d columns, %d rows in %d bytes", columns, rows, raw)
	}
	for i, c := range Columns() {
		if err := decodeColumn(r, c, want[i], rows); err != nil {
			return fmt.Errorf("column %s: %w", c.Name, err)
		}
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.New("more bytes than the block has")
	}
	for i, ts := range b.ts.Data {
		if i == 0 {
			b.min, b.max = int64(ts), int64(ts)
		}
		b.min, b.max = min(b.min, int64(ts)), max(b.max, int64(ts))
	}
	return nil
}

func decodeColumn(r *proto.Reader, c Column, to column, rows int) error {
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
