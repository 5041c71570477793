package feed_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/loadtest/feed"
)

func write(t testing.TB, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func all(t *testing.T, f *feed.Feed) []string {
	t.Helper()
	var out []string
	var buffer []byte
	into := make([]string, len(f.Columns))
	for row := range f.Rows() {
		var err error
		if buffer, err = f.Read(row, into, buffer); err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.Join(into, "|"))
	}
	return out
}

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		columns    []string
		want       []string
	}{
		"csv": {"u.csv", "id,name\n1,Ann\n2,Bob\n", []string{"name", "id"}, []string{"Ann|1", "Bob|2"}},
		"csv with a quoted line break and no end of line": {"u.csv", "id,name\r\n1,\"A\nB\"\r\n\r\n2,\"C, \"\"D\"\"\"", []string{"id", "name"}, []string{"1|A\nB", "2|C, \"D\""}},
		"csv of a spreadsheet":                            {"u.CSV", "\ufeffid,name\n1,Ann\n", []string{"id"}, []string{"1"}},
		"csv of which nothing is used":                    {"u.csv", "id\n1\n2\n", nil, []string{"", ""}},
		"lines":                                           {"u.jsonl", `{"id":1,"a b":"x","o":{"k":[1]},"n":null}` + "\n" + `{"id":2.50,"a b":"\"y\"","o":{},"n":true}`, []string{"id", "a b", "o", "n"}, []string{`1|x|{"k":[1]}|`, `2.50|"y"|{}|true`}},
		"lines with empty ones":                           {"u.ndjson", "\n\n{\"a\":1}\n\n\n{\"a\":2}\n\n", []string{"a"}, []string{"1", "2"}},
		"keys with dots":                                  {"u.jsonl", `{"a.b":1,"a":{"b":2}}`, []string{"a.b"}, []string{"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := feed.Open(write(t, c.file, c.text), "", c.columns)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if got := all(t, f); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestErrorsNameFileAndLine(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"an empty csv":        {"u.csv", "", "u.csv: is empty, want a heading and rows"},
		"a heading alone":     {"u.csv", "id\n", "u.csv: has no rows"},
		"no such column":      {"u.csv", "name,age\n1,2\n", "u.csv:1: has no column id, there are age, name"},
		"too few fields":      {"u.csv", "id,name\n1,2\n3\n", "u.csv:3: wrong number of fields"},
		"a quote in between":  {"u.csv", "id,name\n1,a\"b\n", "u.csv:2: bare \" in non-quoted-field"},
		"empty lines":         {"u.jsonl", "\n\n", "u.jsonl: is empty"},
		"no json":             {"u.jsonl", "{\"id\":1}\n{id:2}\n", "u.jsonl:2: is no JSON object"},
		"a list":              {"u.jsonl", "[1]", "u.jsonl:1: is no JSON object"},
		"a missing key later": {"u.jsonl", "{\"id\":1}\n\n{\"no\":2}\n", "u.jsonl:3: has no key id, there are no"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := feed.Open(write(t, c.file, c.text), "", []string{"id"})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := feed.Open(filepath.Join(t.TempDir(), "no.csv"), "", nil); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
	if _, err := feed.Open(t.TempDir(), "", nil); err == nil || !strings.Contains(err.Error(), "no file with rows") {
		t.Errorf("a folder: %v", err)
	}
}

func TestPick(t *testing.T) {
	f, err := feed.Open(write(t, "u.csv", "id\na\nb\nc\n"), feed.Sequential, []string{"id"})
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []int{0, 1, 2, 0, 1} {
		if row, ok := f.Pick(uint64(n), 2); row != want || !ok {
			t.Errorf("sequential %d: %d, %v", n, row, ok)
		}
	}
	f.Order = feed.Random
	if row, ok := f.Pick(0, 2); row != 2 || !ok {
		t.Errorf("random: %d, %v", row, ok)
	}
	f.Order = feed.Unique
	for n, want := range []bool{true, true, true, false, false} {
		if row, ok := f.Pick(uint64(n), 0); ok != want || (ok && row != n) {
			t.Errorf("unique %d: %d, %v", n, row, ok)
		}
	}
}

// Files above a size are read from the disk row by row.
func TestLargeFilesStayOnDisk(t *testing.T) {
	var b strings.Builder
	b.WriteString("id,text\n")
	const rows = 20_000
	for i := range rows {
		fmt.Fprintf(&b, "%d,%s\n", i, strings.Repeat("x", 500))
	}
	file := write(t, "u.csv", b.String())
	f, err := feed.Open(file, "", []string{"id"})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Rows() != rows {
		t.Fatalf("%d rows", f.Rows())
	}
	into := make([]string, 1)
	for _, row := range []int{0, 1, rows / 2, rows - 1} {
		if _, err := f.Read(row, into, nil); err != nil || into[0] != fmt.Sprint(row) {
			t.Errorf("row %d: %q, %v", row, into, err)
		}
	}
	if err := os.Truncate(file, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Read(rows/2, into, nil); err == nil || !strings.Contains(err.Error(), "u.csv: row 10001:") {
		t.Errorf("a file that was cut: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add("u.csv", "id,name\n1,\"a\nb\"\n")
	f.Add("u.jsonl", "{\"id\":1}\n")
	f.Add("u.csv", "\ufeffid\r\n1")
	f.Fuzz(func(t *testing.T, name, text string) {
		if name != "u.csv" {
			name = "u.jsonl"
		}
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		x, err := feed.Open(file, "", []string{"id"})
		if err != nil {
			return
		}
		defer x.Close()
		into := make([]string, 1)
		for row := range x.Rows() {
			if _, err := x.Read(row, into, nil); err != nil {
				t.Errorf("what was opened cannot be read: %v", err)
			}
		}
	})
}
