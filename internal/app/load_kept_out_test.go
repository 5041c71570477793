package app

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// everyCall are queries whose condition is what somebody asks for, or that have to see
// every call there is.
var everyCall = map[string]string{
	"internal/app/calls.go":           "calls that somebody asks for, tests among them",
	"internal/app/calls_errors.go":    "the same",
	"internal/app/calls_sample.go":    "the same",
	"internal/app/function_logs.go":   "the same",
	"internal/app/calls_known.go":     "names of functions",
	"internal/app/load_runs.go":       "calls of tests",
	"collector/completeness/store.go": "every call has to be stored",
	"collector/ship/calls.go":         "the same",
	"internal/cli/calls_sql.go":       "an example",
	"deploy/clickhouse/lookup.go":     "a comment",
	"internal/demo/step_look.go":      "calls of a test, by its run",
}

var counted = regexp.MustCompile(`FROM calls(_10s|_1m|_1h)?\b`)

// TestStressTestsAreNoProduction: whatever counts calls leaves those of stress tests
// out, so that a test bills nobody, pages nobody and judges no release.
func TestStressTestsAreNoProduction(t *testing.T) {
	root := os.DirFS("../..")
	found := 0
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (strings.HasPrefix(d.Name(), ".") && name != "." || d.Name() == "testdata") {
			if err == nil {
				err = fs.SkipDir
			}
			return err
		}
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil || !counted.Match(text) {
			return err
		}
		if _, ok := everyCall[name]; ok {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			return err
		}
		for _, sql := range texts(file) {
			if counted.MatchString(sql) {
				if found++; !strings.Contains(sql, "load_test") {
					t.Errorf("%s counts calls of stress tests, too: %s", name, sql)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 8 {
		t.Errorf("found %d queries, there are more", found)
	}
}

// texts are the texts of a file, those that are joined by + as one.
func texts(file *ast.File) (all []string) {
	var joined func(e ast.Expr) string
	joined = func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.BasicLit:
			if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
				return s
			}
		case *ast.BinaryExpr:
			return joined(e.X) + joined(e.Y)
		}
		return ""
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok {
			if s := joined(e); s != "" {
				all = append(all, s)
				return false
			}
		}
		return true
	})
	return all
}
