package arch

import (
	"slices"
	"strconv"
	"testing"
	"testing/fstest"
)

func TestViolations(t *testing.T) {
	policy := map[string][]string{"api": {}, "xds": {"api"}, "collector": {"api"}}
	for _, c := range []struct {
		name string
		add  map[string]string // file to import, or to nothing
		want []string
	}{
		{"imports that point down", nil, nil},
		{"one part imports another", map[string]string{"collector/bad.go": module + "/xds/ir"}, []string{"collector/bad.go must not import xds/ir"}},
		{"the bottom imports the top", map[string]string{"api/bad.go": module + "/xds"}, []string{"api/bad.go must not import xds"}},
		{"a test file counts too", map[string]string{"api/bad_test.go": module + "/xds"}, []string{"api/bad_test.go must not import xds"}},
		{"a part imports its own packages", map[string]string{"xds/serve.go": module + "/xds/ir"}, nil},
		{"other modules do not matter", map[string]string{"api/ok.go": "github.com/kongdao/kongdaoist/xds"}, nil},
		{"a folder nobody decided on", map[string]string{"utils/misc.go": ""}, []string{`utils/misc.go: unit "utils" has no entry in the policy`}},
		{"fixtures are left alone", map[string]string{"api/testdata/x.go": module + "/xds"}, nil},
		{"nested modules are left alone", map[string]string{"tools/go.mod": "", "tools/tools.go": module + "/xds"}, nil},
		{"downloads are left alone", map[string]string{".deps/x/x.go": module + "/xds"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := fstest.MapFS{}
			write(tree, "api/api.go", "")
			write(tree, "xds/ir/ir.go", module+"/api")
			write(tree, "collector/collector.go", module+"/api")
			for name, imports := range c.add {
				write(tree, name, imports)
			}
			got, err := violations(tree, module, policy)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	t.Run("a row without a folder", func(t *testing.T) {
		got, err := violations(fstest.MapFS{}, module, map[string][]string{"gone": {}})
		if want := []string{`policy names "gone", which has no Go files`}; err != nil || !slices.Equal(got, want) {
			t.Errorf("got %q and %v, want %q", got, err, want)
		}
	})
}

// TestPolicyHasNoCycle makes sure that the table itself points one way, and that no
// part may import another.
func TestPolicyHasNoCycle(t *testing.T) {
	var visit func(path []string, u string)
	visit = func(path []string, u string) {
		if slices.Contains(path, u) {
			t.Fatalf("the policy has a cycle: %q then %s", path, u)
		}
		for _, to := range allowed[u] {
			visit(append(slices.Clone(path), u), to)
		}
	}
	for u := range allowed {
		visit(nil, u)
	}
	for _, p := range parts {
		for _, other := range parts {
			if slices.Contains(allowed[p], other) {
				t.Errorf("part %s may import part %s", p, other)
			}
		}
	}
}

// write adds a Go file with one import, or with none.
func write(tree fstest.MapFS, name, imports string) {
	src := "package p\n"
	if imports != "" {
		src += "import _ " + strconv.Quote(imports) + "\n"
	}
	tree[name] = &fstest.MapFile{Data: []byte(src)}
}
