package api

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzParse: whatever a file holds, Parse returns, its problems have a line
// within the file, and what it accepts can be validated and printed.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal("no seeds", err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, problems := Parse("f.yaml", data)
		lines := strings.Count(string(data), "\n") + 1
		for _, p := range append(problems, Validate(set)...) {
			if p.Line < 1 || p.Line > lines || p.File != "f.yaml" || p.Message == "" {
				t.Errorf("bad problem of a file with %d lines: %q", lines, p)
			}
		}
	})
}

// TestHostileNesting: what would exhaust the stack or the time of a YAML parser
// is refused at once.
func TestHostileNesting(t *testing.T) {
	const n = 200_000
	for name, text := range map[string]string{
		"brackets":          strings.Repeat("[", n),
		"braces":            strings.Repeat("{a: ", n),
		"brackets on lines": strings.Repeat("[\n", n),
		"dashes":            strings.Repeat("- ", n) + "x",
		"dashes on lines":   strings.Repeat("- ", 1000) + "x",
		"questions":         strings.Repeat("? ", 20_000),
		"anchors":           strings.Repeat("&a ", 20_000),
		"tags":              strings.Repeat("!a ", 20_000),
		"stairs":            stairs(2000),
		"staircase of maps": strings.ReplaceAll(stairs(2000), "-", "a:"),
	} {
		begin := time.Now()
		set, problems := Parse("f.yaml", []byte(text))
		if set.Len() != 0 || len(problems) != 1 {
			t.Errorf("%s: %d resources and %d problems, want one problem", name, set.Len(), len(problems))
		}
		t.Logf("%s: %s, %.60s", name, time.Since(begin), problems)
	}
}

func stairs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "-\n")
	}
	return b.String()
}
