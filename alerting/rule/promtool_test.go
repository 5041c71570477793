package rule

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/kongdao/kongdao/internal/testkit"
)

// TestPromtoolAgrees: what the tests of the shipped rules expect is what promtool test
// rules finds, a Prometheus of somebody else's.
func TestPromtoolAgrees(t *testing.T) {
	path, dir := testkit.Tool(t, "promtool"), t.TempDir()
	var files []string
	for name, text := range Pack() {
		if name == LogPack { // SQL is nothing for promtool
			continue
		}
		files = append(files, name+".yaml")
		testkit.Must(t, os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600))
	}
	slices.Sort(files)
	var tests []map[string]any
	for _, c := range packCases {
		if strings.Contains(c.series, "{{") { // Debian's promtool knows no histograms in tests
			continue
		}
		tests = append(tests, c.promtool())
	}
	suite, err := yaml.Marshal(map[string]any{"rule_files": files, "evaluation_interval": "5s", "tests": tests})
	testkit.Must(t, err)
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "tests.yaml"), suite, 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, path, "test", "rules", filepath.Join(dir, "tests.yaml")).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// promtool is the case as its files have it.
func (c packCase) promtool() map[string]any {
	var input, samples []map[string]any
	for line := range strings.Lines(strings.TrimSpace(c.series)) {
		line = strings.TrimSpace(line)
		i := strings.Index(line, "} ") + 1
		if i == 0 {
			i = strings.Index(line, " ")
		}
		input = append(input, map[string]any{"series": line[:i], "values": strings.TrimSpace(line[i:])})
	}
	for _, alert := range c.want {
		name, rest, _ := strings.Cut(alert, "{")
		set, _, _ := strings.Cut(rest, "}")
		samples = append(samples, map[string]any{
			"labels": fmt.Sprintf(`ALERTS{alertname=%q, alertstate="firing", %s}`, name, set), "value": 1,
		})
	}
	return map[string]any{
		"name": c.name, "interval": "5s", "input_series": input,
		"promql_expr_test": []map[string]any{{
			"expr": `ALERTS{alertstate="firing",alertname!="Watchdog"}`, "eval_time": c.at.String(), "exp_samples": samples,
		}},
	}
}
