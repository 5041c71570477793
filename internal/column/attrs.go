package column

import (
	"fmt"

	"github.com/ClickHouse/ch-go/proto"
)

// Attr is one of the attributes of a row.
type Attr struct {
	Key   string
	Value []byte
}

// Attrs is a Map(LowCardinality(String), String) column.
type Attrs struct {
	most   int             // attributes of a row, in what is read
	ends   proto.ColUInt64 // of each row: where its attributes end
	keys   *Names
	values Texts
}

// NewAttrs returns a column without rows. A block to be read may have rows of most
// attributes; whoever appends keeps to that.
func NewAttrs(most int) Attrs { return Attrs{most: most, keys: NewNames()} }

// Append adds a row. It copies.
func (a *Attrs) Append(row []Attr) {
	for _, attr := range row {
		a.keys.AppendString(attr.Key)
		a.values.AppendBytes(attr.Value)
	}
	a.ends.Append(uint64(a.values.Rows()))
}

// span is where the attributes of row i are.
func (a *Attrs) span(i int) (from, to int) {
	if i > 0 {
		from = int(a.ends[i-1])
	}
	return from, int(a.ends[i])
}

// Size is how many bytes the values of all rows have.
func (a *Attrs) Size() int { return len(a.values.Buf) }

// Row appends the attributes of row i to to. They are parts of the column.
func (a *Attrs) Row(i int, to []Attr) []Attr {
	from, end := a.span(i)
	for ; from < end; from++ {
		to = append(to, Attr{Key: Text(a.keys.Row(from)), Value: a.values.RowBytes(from)})
	}
	return to
}

// Type implements proto.Column.
func (a *Attrs) Type() proto.ColumnType {
	return proto.ColumnTypeMap.Sub(a.keys.Type(), a.values.Type())
}

// Rows implements proto.Column.
func (a *Attrs) Rows() int { return len(a.ends) }

// Reset implements proto.Resettable.
func (a *Attrs) Reset() {
	a.ends.Reset()
	a.keys.Reset()
	a.values.Reset()
}

// EncodeState implements proto.StateEncoder.
func (a *Attrs) EncodeState(b *proto.Buffer) { a.keys.EncodeState(b) }

// EncodeColumn implements proto.ColInput.
func (a *Attrs) EncodeColumn(b *proto.Buffer) {
	a.ends.EncodeColumn(b)
	a.keys.EncodeColumn(b)
	a.values.EncodeColumn(b)
}

// WriteColumn implements proto.ColInput.
func (a *Attrs) WriteColumn(w *proto.Writer) {
	a.ends.WriteColumn(w)
	a.keys.WriteColumn(w)
	a.values.WriteColumn(w)
}

// DecodeState implements proto.StateDecoder.
func (a *Attrs) DecodeState(r *proto.Reader) error { return a.keys.DecodeState(r) }

// DecodeColumn implements proto.ColResult.
func (a *Attrs) DecodeColumn(r *proto.Reader, rows int) error {
	if err := a.ends.DecodeColumn(r, rows); err != nil {
		return fmt.Errorf("offsets: %w", err)
	}
	end := uint64(0)
	for i, e := range a.ends {
		if e < end || e-end > uint64(a.most) {
			return fmt.Errorf("offset %d after %d in row %d: %w", e, end, i, ErrMalformed)
		}
		end = e
	}
	if err := a.keys.DecodeColumn(r, int(end)); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if err := a.values.DecodeColumn(r, int(end)); err != nil {
		return fmt.Errorf("values: %w", err)
	}
	return nil
}
