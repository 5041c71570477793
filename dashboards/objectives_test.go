package dashboards

import (
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/prometheus/prometheus/promql/parser"
)

// TestObjectivesDashboard: each panel says what it shows, reads from the data source
// that was chosen, and asks PromQL for what the rules record.
func TestObjectivesDashboard(t *testing.T) {
	d, err := Objectives()
	if err != nil {
		t.Fatal(err)
	}
	p := parser.NewParser(parser.Options{})
	byValue := regexp.MustCompile(`"[cC]olor": *"(#|rgb)`)
	if byValue.Match(d.JSON) {
		t.Error("a colour by value")
	}
	asked := ""
	for _, panel := range d.panels() {
		if text(panel.Title) == "" || len(text(panel.Description)) < 20 || panel.Datasource == nil || !panel.Datasource.Equals(metrics()) {
			t.Errorf("panel %s: title, description or data source", text(panel.Title))
		}
		for _, target := range panel.Targets {
			q, ok := target.(prometheus.Dataquery)
			if !ok || q.Datasource == nil || !q.Datasource.Equals(metrics()) {
				t.Errorf("%s: %T", text(panel.Title), target)
				continue
			}
			if _, err := p.ParseExpr(q.Expr); err != nil {
				t.Errorf("%s: %v", text(panel.Title), err)
			}
			asked += q.Expr + "\n"
		}
	}
	for _, metric := range []string{"left30d", "ratio1h", "ratio6h", "ratio5m", "kongdao:objective_budget:ratio", "ObjectiveBurn"} {
		if !strings.Contains(asked, metric) {
			t.Errorf("nothing asks for %s", metric)
		}
	}
}
