package app_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/alerting/rule"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/config"
	"github.com/kongdao/kongdao/internal/testkit"
)

// TestLogRules has rules ask a real ClickHouse: the shipped ones, and some that ask
// for what they may not have.
func TestLogRules(t *testing.T) {
	t.Run("as whoever is on this machine", func(t *testing.T) { logRules(t, "") })
	t.Run("as a reader", func(t *testing.T) { logRules(t, "rules") })
}

func logRules(t *testing.T, reader string) {
	cfg := testConfig(t)
	if reader != "" {
		cfg.Readers = []config.Reader{{Name: reader, Tenants: []string{"*"}, Token: "${env:RULES_TOKEN}"}}
		cfg.Alerting.LogReader = reader
		t.Setenv("RULES_TOKEN", "0123456789abcdef0123")
	}
	pack := regexp.MustCompile(`(?m)^  interval: .*$`).ReplaceAllString(rule.Pack()[rule.LogPack], "  interval: 10s")
	pack = strings.ReplaceAll(pack, "for: 1m", "for: 0s")
	_, groups, _ := strings.Cut(pack, "logGroups:\n")
	bad := ""
	for name, expr := range map[string]string{
		"Writes":    "SELECT 1 AS value FROM calls WHERE ts >= {from} AND ts < {to} AND file('x') != ''",
		"System":    "SELECT count() AS value FROM system.users WHERE {from} < {to}",
		"Endless":   "SELECT sum(number) AS value FROM numbers(1000000000000) WHERE {from} < {to}",
		"NoValue":   "SELECT count() AS n FROM calls WHERE ts >= {from} AND ts < {to}",
		"TextValue": "SELECT 'x' AS value FROM calls WHERE ts >= {from} - 86400 AND ts < {to} + 86400",
	} {
		bad += fmt.Sprintf("  - {alert: %s, expr: %q}\n", name, expr)
	}
	resource := "apiVersion: kongdao.io/v1\nkind: AlertRule\nmetadata: {name: kongdao-logs}\nspec:\n  logGroups:\n" +
		indent(groups) + indent("- name: bad\n  interval: 10s\n  rules:\n"+bad)
	if err := os.WriteFile(filepath.Join(cfg.ResourcesDir, "logs.yaml"), []byte(resource), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, cfg, app.PartCollector, app.PartAlerting)
	err := s.ClickHouse().Exec(t.Context(), `INSERT INTO calls (ts, request_id, tenant, function, path, status, sample_weight, user_agent)
SELECT now64(6) - toIntervalSecond(5 + number % 200), generateUUIDv4(), 'recommend', if(number % 2 = 0, 'feed', 'tour'), '/', 200, 1,
if(number % 2 = 0, 'Mozilla/5.0 (compatible; SomeBot/2.1)', 'Mozilla/5.0') FROM numbers(20000)`)
	if err != nil {
		t.Fatal(err)
	}
	c := caller{t: t, system: s, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	answer := ""
	testkit.Eventually(t, "all log rules to be asked and the crawlers to be seen", func() bool {
		answer = c.text("http://" + s.Addresses().Prometheus + "/api/v1/rules")
		_, own, _ := strings.Cut(answer, `"name":"bad"`)
		own, _, _ = strings.Cut(own, `"interval"`)
		return strings.Contains(answer, `"alertname":"CrawlerSurge","function":"feed"`) && strings.Count(own, `"health":"err"`) == 5
	})
	if strings.Contains(answer, `"alertname":"CrawlerSurge","function":"tour"`) {
		t.Errorf("no crawler called tour:\n%s", answer)
	}
	for _, want := range []string{"no column value", "want a number", "may not do that"} {
		if !strings.Contains(answer, want) {
			t.Errorf("no error says %q:\n%s", want, answer)
		}
	}
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}

// text is what an address answers.
func (c caller) text(address string) string {
	c.t.Helper()
	res, err := c.client.Get(address)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	var b strings.Builder
	if _, err := io.Copy(&b, res.Body); err != nil {
		c.t.Fatal(err)
	}
	return b.String()
}
