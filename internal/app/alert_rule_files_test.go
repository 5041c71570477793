package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/testkit"
)

func TestRuleFilesAreFollowed(t *testing.T) {
	cfg, dir := testConfig(t), t.TempDir()
	cfg.Alerting.RuleFiles = []string{filepath.Join(dir, "*.yaml")}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const one = "groups: [{name: one, rules: [{alert: One, expr: 'vector(1)'}]}]"
	write("one.yaml", one)
	write("bad.yaml", "groups: [{name: bad, rules: [{alert: Bad, expr: 'up =='}]}]")
	s := start(t, cfg, app.PartAlerting, app.PartAPI)
	c := caller{t: t, system: s, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	rules := func() string { return c.text("http://" + s.Addresses().Prometheus + "/api/v1/rules") }
	if text := rules(); !strings.Contains(text, `"One"`) || strings.Contains(text, `"Bad"`) {
		t.Errorf("rules: %s", text)
	}

	write("bad.yaml", strings.ReplaceAll(strings.ReplaceAll(one, "one", "two"), "One", "Two"))
	testkit.Eventually(t, "a file that was mended", func() bool { return strings.Contains(rules(), `"Two"`) })
	write("one.yaml", "groups: [")
	write("three.yaml", strings.ReplaceAll(strings.ReplaceAll(one, "one", "three"), "One", "Three"))
	testkit.Eventually(t, "a new file", func() bool { return strings.Contains(rules(), `"Three"`) })
	if text := rules(); !strings.Contains(text, `"One"`) {
		t.Errorf("what a broken file had before is gone: %s", text)
	}
	texts := c.text("http://" + s.Addresses().API + "/api/v1/alerts/rules")
	for _, want := range []string{`"origin":"file"`, `"origin":"shipped"`, `"error":"`, "one.yaml"} {
		if !strings.Contains(texts, want) {
			t.Errorf("the texts lack %s", want)
		}
	}
	if err := os.Remove(filepath.Join(dir, "three.yaml")); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "a file that is gone", func() bool { return !strings.Contains(rules(), `"Three"`) })
}
