package template_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/loadtest/template"
)

func scope(t *testing.T) *template.Scope {
	t.Helper()
	s := template.NewScope("users", "items")
	if i, err := s.Define("token"); i != 0 || err != nil {
		t.Fatal(i, err)
	}
	return s
}

func values() *template.Values {
	v := &template.Values{
		Run: "lt-1", Seq: 7, Now: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC),
		Rows: [][]string{{"u1", "Ann & \"Bob\""}, {"i1"}}, Vars: []string{"secret"},
	}
	v.Seed(1)
	return v
}

func TestRender(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      `^$`,
		"plain":                                 `^plain$`,
		"a } } {b}":                             `^a } } {b}$`,
		"/u/{{.users.id}}/":                     `^/u/u1/$`,
		"{{ .users.id }}{{.items.id}}":          `^u1i1$`,
		"{{.users.id}}-{{.users.name | query}}": `^u1-Ann\+%26\+%22Bob%22$`,
		"{{.users.id}}/{{.users.name | path}}":  `^u1/Ann%20&%20%22Bob%22$`,
		`{{.users.id}}{"n":{{.users.name | json}}}`: `^u1{"n":"Ann \\u0026 \\"Bob\\""}$`,
		`{{data "users" "id"}}`:                     `^u1$`,
		"Bearer {{.token}}":                         `^Bearer secret$`,
		"{{seq}} {{run}}":                           `^7 lt-1$`,
		"{{now}}":                                   `^2026-01-02T03:04:05\.006Z$`,
		"{{unix}} {{unixMilli}}":                    `^1767323045 1767323045006$`,
		"{{uuid}}":                                  `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`,
		"{{randInt 5 5}}":                           `^5$`,
		"{{randInt -3 3}}":                          `^-?[0-3]$`,
		"{{randString 12}}":                         `^[a-z0-9]{12}$`,
		`a{{"{{"}}b{{"${"}}c`:                       `^a{{b\${c$`,
		"{{/* a remark */}}":                        `^$`,
		"x {{- seq -}} y":                           `^x7y$`,
		"{{uuid | query | json}}":                   `^"[0-9a-f-]{36}"$`,
	} {
		s := scope(t)
		tm, err := s.Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := tm.String(values()); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%q: got %q, want %s", text, got, want)
		}
		if _, static := tm.Static(); static == strings.Contains(text, "{{") {
			t.Errorf("%q: static is %v", text, static)
		}
	}
}

func TestErrorsHelp(t *testing.T) {
	for text, want := range map[string]string{
		"{{":                       "unclosed action",
		"a\nb{{.users.id":          "line 2 of the text: unclosed action",
		"{{}}":                     "missing value",
		"{{.nobody}}":              ".nobody is unknown, want one of .users.COLUMN, .items.COLUMN, .token",
		"{{.users}}":               "want a column of the data file, such as .users.id",
		"{{.token.x}}":             ".token.x is unknown",
		"{{token}}":                "function token is unknown, want one of seq, uuid",
		"{{printf \"%d\" 1}}":      "function printf is unknown",
		"{{.}}":                    "is not allowed, want values alone",
		"{{if .token}}x{{end}}":    "is not allowed, want values alone",
		"{{range .users}}x{{end}}": "is not allowed",
		"{{with .users}}x{{end}}":  "is not allowed",
		"{{template \"x\"}}":       "is not allowed",
		"{{define \"x\"}}{{end}}":  "has {{define}}",
		"{{$x := seq}}":            "sets a variable",
		"{{\"text\" 1}}":           "is not allowed",
		"{{.token | html}}":        "| html is unknown, want | query, | path or | json",
		"{{.token | query 1}}":     "is unknown",
		"{{.token 1}}":             "takes nothing behind it",
		"{{seq 1}}":                "seq takes no values",
		"{{randInt 5}}":            "randInt takes the lowest and the highest number",
		"{{randInt 5 1}}":          "randInt takes",
		"{{randInt -9223372036854775808 9223372036854775807}}": "randInt takes",
		"{{randString 0}}":        "a length from 1",
		"{{randString 99999999}}": "a length from 1",
		"{{data \"x\" \"id\"}}":   `data file "x" is unknown`,
		"{{data .token}}":         "data takes the names",
		"{{(seq)}}":               "is not allowed",
	} {
		_, err := scope(t).Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestScope(t *testing.T) {
	s := scope(t)
	for _, text := range []string{"{{.users.b}}", "{{.users.a}}{{.users.b}}"} {
		if _, err := s.Parse(text); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(s.Columns(0), " "); got != "b a" {
		t.Errorf("columns %q", got)
	}
	if _, err := s.Define("users"); err == nil {
		t.Error("a value has the name of a data file")
	}
	if i, err := s.Define("token"); i != 0 || err != nil || s.Vars() != 1 {
		t.Errorf("the same value again: %d, %v, %d values", i, err, s.Vars())
	}
	if _, err := s.Fork().Parse("{{.token}}"); err == nil {
		t.Error("a fork knows the values")
	}
}

// The same seed gives the same values for the same iteration, whoever sends it.
func TestRandomIsReproducible(t *testing.T) {
	tm, err := scope(t).Parse("{{uuid}} {{randInt 0 1000000}} {{randString 5}}")
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := values(), values(), values()
	c.Seq = 8
	c.Seed(1)
	if x, y := tm.String(a), tm.String(b); x != y {
		t.Errorf("%q, %q", x, y)
	}
	b.Seed(1)
	if x, y := tm.String(b), tm.String(c); x == y {
		t.Errorf("two iterations have both %q", x)
	}
}

func TestRenderingAllocatesNothing(t *testing.T) {
	tm, err := scope(t).Parse("/{{.users.id}}/{{seq}}/{{uuid}}/{{.token}}")
	if err != nil {
		t.Fatal(err)
	}
	v, dst := values(), make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { dst = tm.Append(dst[:0], v) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"{{.users.id}}", "{{seq}}{{uuid|query}}", "{{randInt 1 2}}", "{{if 1}}{{end}}", "{{data \"users\" \"x\"}}", "{{break}}", "{{(index .users 1)}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := template.NewScope("users")
		tm, err := s.Parse(text)
		if err != nil || strings.Contains(text, "randString") {
			return
		}
		v := values()
		v.Rows = [][]string{make([]string, len(s.Columns(0)))}
		if got := tm.String(v); !strings.Contains(text, "{{") && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}
