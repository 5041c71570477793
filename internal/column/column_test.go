package column

import (
	"errors"
	"strings"
	"testing"

	"github.com/ClickHouse/ch-go/proto"
)

// block is a small table for tests.
type block struct {
	name  *Names
	body  Texts
	attrs Attrs
}

func newBlock(most int) *block { return &block{name: NewNames(), attrs: NewAttrs(most)} }

func specs() []Spec {
	return []Spec{
		{"name", "LowCardinality(String)", "", ""},
		{"body", "String", "CODEC(ZSTD(1))", ""},
		{"attrs", "Map(LowCardinality(String), String)", "", ""},
	}
}

func (b *block) columns() []Column { return []Column{b.name, &b.body, &b.attrs} }

func (b *block) append(name, body string, attrs ...Attr) {
	b.name.AppendString(name)
	b.body.Append(body)
	b.attrs.Append(attrs)
}

func (b *block) encode(t testing.TB) []byte {
	data, err := NewEncoder().Encode(nil, b.name.Rows(), Input(specs(), b.columns()))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRoundTrip(t *testing.T) {
	in := newBlock(2)
	in.append("a", "first", Attr{"k", []byte("1")}, Attr{"l", []byte("2")})
	in.append("a", "")
	in.append("b", strings.Repeat("long ", 1<<18), Attr{"k", []byte("3")}) // more than a frame
	out := newBlock(2)
	rows, err := Decode(in.encode(t), specs(), out.columns(), 1)
	if err != nil || rows != 3 {
		t.Fatal(rows, err)
	}
	if got := stringsOf(out.name); strings.Join(got, ",") != "a,a,b" || out.body.Row(2) != in.body.Row(2) {
		t.Errorf("names %v", got)
	}
	if got := mapsOf(&out.attrs); got[0]["l"] != "2" || len(got[1]) != 0 || got[2]["k"] != "3" {
		t.Errorf("attributes %v", got)
	}
	// A block that was read can grow.
	out.append("b", "x")
	if again := stringsOf(out.name); again[3] != "b" {
		t.Errorf("names %v", again)
	}
}

// TestKeyWithoutName has a block whose keys point behind the dictionary.
func TestKeyWithoutName(t *testing.T) {
	b := newBlock(1)
	b.append("f", "")
	b.name.keys[0] = 7
	if _, err := Decode(b.encode(t), specs(), newBlock(1).columns(), 1); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "column name") {
		t.Errorf("got %v", err)
	}
}

func TestTooManyAttrs(t *testing.T) {
	b := newBlock(2)
	b.append("f", "", Attr{Key: "k"}, Attr{Key: "l"})
	if _, err := Decode(b.encode(t), specs(), newBlock(1).columns(), 1); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "column attrs") {
		t.Errorf("got %v", err)
	}
}

func TestOtherColumns(t *testing.T) {
	b := newBlock(1)
	b.append("f", "")
	other := specs()
	other[1].Type = "UInt64"
	if _, err := Decode(b.encode(t), other, newBlock(1).columns(), 1); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

func TestDDL(t *testing.T) {
	const want = "    name LowCardinality(String),\n    body String CODEC(ZSTD(1)),\n    attrs Map(LowCardinality(String), String)"
	if got := DDL(specs()); got != want {
		t.Errorf("%s", got)
	}
	var _ proto.Column = new(Texts)
}

// stringsOf are the rows of n.
func stringsOf(n *Names) []string {
	rows := make([]string, n.Rows())
	for i := range rows {
		rows[i] = string(n.Row(i))
	}
	return rows
}

// mapsOf are the rows of a.
func mapsOf(a *Attrs) []map[string]string {
	rows := make([]map[string]string, len(a.ends))
	for i := range rows {
		rows[i] = map[string]string{}
		for from, to := a.span(i); from < to; from++ {
			rows[i][string(a.keys.Row(from))] = a.values.Row(from)
		}
	}
	return rows
}
