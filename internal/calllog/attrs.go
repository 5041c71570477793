package calllog

import (
	"fmt"

	"github.com/ClickHouse/ch-go/proto"
)

// maxAttrs bounds the attributes of a row in what is read from a block.
const maxAttrs = 16

// attrs is a Map(LowCardinality(String), String) column.
type attrs struct {
	ends   proto.ColUInt64 // of each row: where its attributes end
	keys   *names
	values texts
}

func (a *attrs) append(row []Attr) {
	for _, attr := range row {
		a.keys.appendString(attr.Key)
		a.values.AppendBytes(attr.Value)
	}
	a.ends.Append(uint64(a.values.Rows()))
}

// span is where the attributes of row i are.
func (a *attrs) span(i int) (from, to int) {
	if i > 0 {
		from = int(a.ends[i-1])
	}
	return from, int(a.ends[i])
}

// row appends the attributes of row i to to.
func (a *attrs) row(i int, to []Attr) []Attr {
	from, end := a.span(i)
	for ; from < end; from++ {
		to = append(to, Attr{Key: text(a.keys.row(from)), Value: a.values.RowBytes(from)})
	}
	return to
}

// maps are the rows as maps; rows without attributes share one empty map.
func (a *attrs) maps() []map[string]string {
	none := map[string]string{}
	rows := make([]map[string]string, len(a.ends))
	for i := range rows {
		from, to := a.span(i)
		if rows[i] = none; from == to {
			continue
		}
		rows[i] = make(map[string]string, to-from)
		for ; from < to; from++ {
			rows[i][string(a.keys.row(from))] = a.values.Row(from)
		}
	}
	return rows
}

// Type implements proto.Column.
func (a *attrs) Type() proto.ColumnType {
	return proto.ColumnTypeMap.Sub(a.keys.Type(), a.values.Type())
}

// Rows implements proto.Column.
func (a *attrs) Rows() int { return len(a.ends) }

// Reset implements proto.Resettable.
func (a *attrs) Reset() {
	a.ends.Reset()
	a.keys.Reset()
	a.values.Reset()
}

// EncodeState implements proto.StateEncoder.
func (a *attrs) EncodeState(b *proto.Buffer) { a.keys.EncodeState(b) }

// EncodeColumn implements proto.ColInput.
func (a *attrs) EncodeColumn(b *proto.Buffer) {
	a.ends.EncodeColumn(b)
	a.keys.EncodeColumn(b)
	a.values.EncodeColumn(b)
}

// WriteColumn implements proto.ColInput.
func (a *attrs) WriteColumn(w *proto.Writer) {
	a.ends.WriteColumn(w)
	a.keys.WriteColumn(w)
	a.values.WriteColumn(w)
}

// DecodeState implements proto.StateDecoder.
func (a *attrs) DecodeState(r *proto.Reader) error { return a.keys.DecodeState(r) }

// DecodeColumn implements proto.ColResult.
func (a *attrs) DecodeColumn(r *proto.Reader, rows int) error {
	if err := a.ends.DecodeColumn(r, rows); err != nil {
		return fmt.Errorf("offsets: %w", err)
	}
	end := uint64(0)
	for i, e := range a.ends {
		if e < end || e-end > maxAttrs {
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
