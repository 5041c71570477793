package rule

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/rulefmt"

	"github.com/kongdao/kongdao/internal/testkit"
)

// alertsOf are the alerting rules of these texts.
func alertsOf(t *testing.T, texts map[string]string) []rulefmt.Rule {
	t.Helper()
	parsed, err := newTexts().with(texts)
	if err != nil {
		t.Fatal(err)
	}
	var all []rulefmt.Rule
	for _, groups := range parsed {
		for _, g := range groups.Groups {
			for _, r := range g.Rules {
				if r.Alert != "" {
					all = append(all, r)
				}
			}
		}
	}
	return all
}

// Each shipped rule is seen firing by a test, says what it is about in both
// languages, and links a runbook that is there.
func TestEveryShippedRuleIsComplete(t *testing.T) {
	fires := map[string]bool{
		"Watchdog":            true, // see TestWatchdogAlwaysFires
		"CrawlerSurge ticket": true, // see TestLogRules, and on a real ClickHouse in internal/app
	}
	for _, c := range slices.Concat(packCases, trendCases) {
		for _, w := range c.want {
			name, rest, _ := strings.Cut(w, "{")
			_, severity, _ := strings.Cut(rest, `severity="`)
			severity, _, _ = strings.Cut(severity, `"`)
			fires[name] = true
			fires[name+" "+severity] = true
		}
	}
	known := map[string]bool{"page": true, "ticket": true, "none": true}
	for _, r := range alertsOf(t, Pack()) {
		severity := r.Labels["severity"]
		if !known[severity] {
			t.Errorf("%s: severity %q", r.Alert, severity)
		}
		if severity != "none" && !fires[r.Alert+" "+severity] {
			t.Errorf("no test sees %s fire as %s", r.Alert, severity)
		}
		for _, text := range []string{"summary", "summary_zh", "runbook"} {
			if r.Annotations[text] == "" {
				t.Errorf("%s has no %s", r.Alert, text)
			}
		}
		if (r.Annotations["description"] == "") != (r.Annotations["description_zh"] == "") {
			t.Errorf("%s is described in one language alone", r.Alert)
		}
		page, err := os.ReadFile(filepath.Join("../..", filepath.FromSlash(r.Annotations["runbook"])))
		if err != nil {
			t.Errorf("%s: its runbook: %v", r.Alert, err)
			continue
		}
		for _, part := range []string{"# ", r.Alert, "\n## See\n", "\n## Do\n"} {
			if !strings.Contains(string(page), part) {
				t.Errorf("%s lacks %q, of the alert %s", r.Annotations["runbook"], part, r.Alert)
			}
		}
	}
}

func TestEveryRunbookIsLinked(t *testing.T) {
	linked := map[string]bool{}
	for _, r := range alertsOf(t, Pack()) {
		linked[filepath.Base(r.Annotations["runbook"])] = true
	}
	for _, r := range alertsOf(t, map[string]string{"objectives": Objectives(promises)}) {
		linked[filepath.Base(r.Annotations["runbook"])] = true
	}
	pages, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d runbooks: %v", len(pages), err)
	}
	for _, p := range pages {
		if !linked[filepath.Base(p)] {
			t.Errorf("no shipped rule links %s", p)
		}
	}
}

func TestWatchdogAlwaysFires(t *testing.T) {
	groups := run(t, Pack(), "up 1x10", 5*time.Second, 30*time.Second)
	for _, r := range groups["kongdao;kongdao-itself"].AlertingRules() {
		if r.Name() == "Watchdog" && len(r.ActiveAlerts()) == 1 {
			return
		}
	}
	t.Error("it does not fire")
}

func TestPromtoolTakesThePack(t *testing.T) {
	path := testkit.Tool(t, "promtool")
	for name, text := range Pack() {
		if name == LogPack { // SQL is nothing for promtool
			continue
		}
		promtool(t, path, name, text)
	}
	promtool(t, path, "objectives", Objectives(promises))
}

func promtool(t *testing.T, path, name, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name+".yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, path, "check", "rules", "--lint=all", "--lint-fatal", file).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
