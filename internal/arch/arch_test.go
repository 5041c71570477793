package arch

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/kongdao/kongdao"

// What the units of one level may import from those below it.
var (
	base  = []string{"api", "internal/calllog", "internal/fnlog", "internal/column", "internal/testkit", "internal/queue", "internal/durable"}
	tools = append(slices.Clip(base), "internal/clickhouse", "deploy")
	parts = []string{"registry", "xds", "collector", "alerting", "loadtest", "capacity", "dashboards", "release"}
	app   = slices.Concat(tools, parts, []string{"internal/config"})
	cli   = append(slices.Clone(app), "internal/app", "internal/demo")
)

// allowed says, for each unit, which other units it may import. A unit is a
// top-level folder with everything below it, or one package of internal/ with
// everything below it.
//
// This is a statement of policy: change it with a design note, not to fix a build.
// Parts never import each other: where one needs another it declares a small
// interface or func, and internal/app joins them.
var allowed = map[string][]string{
	"api":                 {},
	"internal/column":     {},
	"internal/testkit":    {}, // for tests alone
	"internal/queue":      {},
	"internal/durable":    {},
	"internal/calllog":    {"internal/column"},
	"internal/fnlog":      {"internal/column"},
	"internal/clickhouse": base,
	"deploy":              append(slices.Clip(base), "internal/clickhouse"),

	"registry":   tools,
	"xds":        tools,
	"collector":  tools,
	"alerting":   tools,
	"loadtest":   tools,
	"capacity":   tools,
	"dashboards": tools,
	"release":    tools,

	"internal/config": slices.Concat(tools, parts),
	"internal/app":    app,
	"internal/demo":   append(slices.Clone(app), "internal/app"),
	"internal/cli":    cli,
	"cmd":             append(slices.Clone(cli), "internal/cli"),

	// Tests of the whole see everything, and nothing sees them.
	"e2e": append(slices.Clone(cli), "internal/cli"),
	// Tests that hold the documents against the code.
	"docs": append(slices.Clone(cli), "internal/cli"),
}

// unit maps the folder of a file, with slashes, to its unit.
func unit(dir string) string {
	parts := strings.Split(dir, "/")
	if parts[0] == "internal" && len(parts) > 1 {
		return path.Join(parts[0], parts[1])
	}
	return parts[0]
}

// violations lists what breaks policy in the module at root, in the order of file
// names. Folders named testdata or vendor, hidden ones and nested modules do not
// count. The files are read here, not by a command, so that go test knows them and
// does not replay an older pass.
func violations(root fs.FS, module string, policy map[string][]string) ([]string, error) {
	var found []string
	seen := map[string]bool{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skip(root, name) {
				return fs.SkipDir
			}
			return nil
		}
		from := unit(path.Dir(name))
		if !strings.HasSuffix(name, ".go") || from == "internal/arch" {
			return nil
		}
		may, ok := policy[from]
		if !ok {
			found = append(found, fmt.Sprintf("%s: unit %q has no entry in the policy", name, from))
			return nil
		}
		seen[from] = true
		imports, err := importsOf(root, name)
		found = append(found, forbidden(name, from, module, may, imports)...)
		return err
	})
	for _, u := range slices.Sorted(maps.Keys(policy)) {
		if !seen[u] {
			found = append(found, fmt.Sprintf("policy names %q, which has no Go files", u))
		}
	}
	return found, err
}

func forbidden(name, from, module string, may, imports []string) []string {
	var found []string
	for _, i := range imports {
		rel, ours := strings.CutPrefix(i, module+"/")
		if to := unit(rel); ours && to != from && !slices.Contains(may, to) {
			found = append(found, fmt.Sprintf("%s must not import %s", name, rel))
		}
	}
	return found
}

func skip(root fs.FS, dir string) bool {
	if dir == "." {
		return false
	}
	base := path.Base(dir)
	_, err := fs.Stat(root, path.Join(dir, "go.mod"))
	return base == "testdata" || base == "vendor" || base == "node_modules" || strings.HasPrefix(base, ".") || err == nil
}

func importsOf(root fs.FS, name string) ([]string, error) {
	src, err := fs.ReadFile(root, name)
	if err != nil {
		return nil, err
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var imports []string
	for _, spec := range f.Imports {
		i, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		imports = append(imports, i)
	}
	return imports, nil
}

func TestImportsPointOneWay(t *testing.T) {
	root := os.DirFS("../..")
	mod, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(mod), "module "+module+"\n") {
		t.Fatalf("%s is not two folders up", module)
	}
	found, err := violations(root, module, allowed)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		t.Error(v)
	}
}
