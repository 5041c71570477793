package dingtalk

import (
	"strings"
	"testing"
	"time"
)

// What a user writes replaces what is shipped, for one language or for all.
func TestOwnTemplates(t *testing.T) {
	own, err := ParseTemplates(`{{define "markdown.en"}}# {{.Name}} for {{.Team}}{{range .Facts}}
- {{.Name}} = {{.Value}}{{end}}{{end}}{{define "title"}}{{.State}}
{{.Name}}{{end}}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := full(Renderer{Lang: English, Templates: own})
	m := r.Render(slow(time.Time{}), now)[0]
	if m.Title != "FIRING LatencyHigh" || !strings.HasPrefix(m.Text, "# LatencyHigh for payments\n- Function = checkout\n") {
		t.Errorf("message %q\n%s", m.Title, m.Text)
	}
	// What the template forgot is needed all the same.
	for _, want := range []string{"@13800000000", "@wang5-id", slow(now).Mark()} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("message lacks %q:\n%s", want, m.Text)
		}
	}
	r.Lang = Chinese
	if m := r.Render(slow(time.Time{}), now)[0]; !strings.HasPrefix(m.Text, "### 🔴 告警 LatencyHigh") {
		t.Errorf("the other language is changed:\n%s", m.Text)
	}
}

// A template that fails on a real message, or never ends, costs nobody an alert.
func TestTemplateThatFailsFallsBack(t *testing.T) {
	const laugh = `{{define "a"}}{{end}}{{define "b"}}{{template "a"}}{{template "a"}}{{end}}`
	cases := map[string]string{
		"an index that is not there": `{{define "markdown"}}{{if .Team}}{{index .Items 7}}{{end}}x{{end}}`,
		"a loop without end":         `{{define "markdown"}}{{if .Team}}{{range 9223372036854775807}}{{end}}{{end}}x{{end}}`,
		"a loop in an else":          `{{define "markdown"}}{{if not .Team}}x{{else}}{{range .Items}}{{else}}{{range 9223372036854775807}}{{end}}{{end}}{{end}}x{{end}}`,
		"calls of itself":            `{{define "markdown"}}{{if .Team}}{{template "markdown" .}}{{template "markdown" .}}{{end}}x{{end}}`,
		"too much":                   laugh + `{{define "markdown"}}{{if .Team}}{{range 4000}}{{printf "%1000d" 1}}{{end}}{{end}}x{{end}}`,
		"nothing":                    `{{define "markdown"}}{{if not .Team}}x{{end}}{{end}}`,
	}
	want := full(Renderer{}).Render(slow(time.Time{}), now)[0]
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			failures := 0
			own, err := ParseTemplates(text, func(error) { failures++ })
			if err != nil {
				t.Fatal(err)
			}
			m := full(Renderer{Templates: own}).Render(slow(time.Time{}), now)[0]
			if failures != 1 || m.Text != want.Text {
				t.Errorf("%d failures told, message:\n%s", failures, m.Text)
			}
		})
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	for _, text := range []string{`{{define "markdown"}}{{.Nothing}}{{end}}`, `{{`, `{{define "title"}}{{range 10000000}}{{end}}{{end}}`, strings.Repeat(" ", maxTemplate+1)} {
		if _, err := ParseTemplates(text, nil); err == nil {
			t.Errorf("%.40q is taken", text)
		}
	}
}

// Whatever users write as templates and others as labels: a message comes, fits,
// and carries its mark.
func FuzzTemplates(f *testing.F) {
	f.Add(shipped, "x")
	f.Add(`{{define "markdown"}}{{range .Items}}{{.}}{{end}}{{.Mark}}{{end}}`, "# [a](http://b)")
	f.Add(`{{define "text.zh"}}{{printf "%s" .}}{{end}}{{define "title"}}{{slice .Name 2}}{{end}}`, "\xff")
	f.Add(`{{block "markdown" .}}{{with $x := .Labels}}{{break}}{{end}}{{end}}`, "`")
	f.Fuzz(func(t *testing.T, text, label string) {
		own, err := ParseTemplates(text, nil)
		if err != nil {
			return
		}
		g := slow(time.Time{})
		g.Alerts[0].Labels["function"] = label
		for _, kind := range []Type{Markdown, Text, ActionCard} {
			parts := typed(full(Renderer{Templates: own}), kind).Render(g, now)
			marked := false
			for _, m := range parts {
				if n := encodedLen(m); n > MaxBytes || m.Title == "" && m.Type != Text || m.Text == "" {
					t.Fatalf("%d bytes, title %q, text %.80q", n, m.Title, m.Text)
				}
				marked = marked || strings.Contains(m.Text, g.Mark())
			}
			if !marked && len(parts) == 1 {
				t.Fatalf("no mark in %q", parts[0].Text)
			}
		}
	})
}
