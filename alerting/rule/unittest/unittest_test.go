package unittest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/testkit"
)

func TestFilesOfTests(t *testing.T) {
	if err := Run(t.Context(), "testdata/good.yaml"); err != nil {
		t.Error(err)
	}
	err := Run(t.Context(), "testdata/bad.yaml")
	for _, want := range []string{"quiet and loud: ", "alert Quiet at 5m:", `summary="feed has 0.7"`, `summary="feed has 0.5"`, `{__name__="function:calls:rate1m", function="cart"} 3`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// promtool is Debian's, where it is installed: it says the same of the same files.
func TestAsPromtool(t *testing.T) {
	path := testkit.Tool(t, "promtool")
	for file, right := range map[string]bool{"good": true, "bad": false} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		out, err := exec.CommandContext(ctx, path, "test", "rules", filepath.Join("testdata", file+".yaml")).CombinedOutput()
		cancel()
		if (err == nil) != right {
			t.Errorf("promtool on %s: %v\n%s", file, err, out)
		}
	}
}

func TestWrongFiles(t *testing.T) {
	for text, want := range map[string]string{
		"rule_files: [nowhere.yaml]":                            "there is no",
		"rulefiles: []":                                         "rulefiles",
		"tests: [{alert_rule_test: [{eval_time: 1m}]}]":         "alertname is missing",
		"tests: [{input_series: [{series: '{', values: '1'}]}]": "unexpected",
		"tests: [{start_timestamp: soon}]":                      "start_timestamp",
		"tests: [{promql_expr_test: [{expr: 'up =='}]}]":        "parse error",
		"tests: [{promql_expr_test: [{expr: 'up', exp_samples: [{labels: '{}', histogram: 'x'}]}]}]": "histogram x",
	} {
		file := filepath.Join(t.TempDir(), "t.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Run(t.Context(), file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if err := Run(t.Context(), "nowhere"); err == nil {
		t.Error("no file, no error")
	}
}
