package dashboards

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/units"

	"github.com/kongdao/kongdao/internal/calllog"
)

// Units, one for each kind of value.
const (
	rate    = units.RequestsPerSecond
	share   = units.PercentUnit // of one
	latency = units.Seconds
	size    = units.BytesIEC
	count   = units.Short
	words   = units.NoUnit
)

// Colours are Grafana's named ones: each theme has its own shade of them.
const (
	good, refusal, failure, absence = "green", "orange", "red", "purple"
	fast, slower, slowest           = "blue", "yellow", "dark-orange"
)

// colours are of values with fixed names that more than one panel has. What is
// not here is coloured by its name, alike on every panel.
func colours() []named {
	return []named{
		{"answered", good},
		{"refused", refusal},
		{"failed", failure},
		{"client left", absence},
		{"error share", failure},
		{"p50", fast},
		{"p90", slower},
		{"p99", slowest},
	}
}

// limitColours are of the limits that refuse calls.
func limitColours() []named {
	return []named{{calllog.LimitedByCapacity, refusal}, {calllog.LimitedByConcurrency, slower}}
}

// statusColours are shades, one for each status of a class.
func statusColours() []named {
	return []named{{"/^2/", good}, {"/^[13]/", fast}, {"/^4/", refusal}, {"/^5/", failure}, {"/^none$/", absence}}
}

// named is a colour for a name in the legend, or for names that match /pattern/.
type named struct{ name, value string }

func (n named) override() cog.Builder[dashboard.DashboardFieldConfigSourceOverrides] {
	if strings.HasPrefix(n.name, "/") {
		return dashboard.NewDashboardFieldConfigSourceOverridesBuilder().
			Matcher(dashboard.MatcherConfig{Id: "byRegexp", Options: n.name}).
			Properties([]dashboard.DynamicConfigValue{{Id: "color", Value: map[string]any{"mode": "shades", "fixedColor": n.value}}})
	}
	return override(n.name, colour(n.value))
}

// override gives what is called name properties of its own.
func override(name string, properties ...dashboard.DynamicConfigValue) cog.Builder[dashboard.DashboardFieldConfigSourceOverrides] {
	return dashboard.NewDashboardFieldConfigSourceOverridesBuilder().
		Matcher(dashboard.MatcherConfig{Id: "byName", Options: name}).Properties(properties)
}

func colour(fixed string) dashboard.DynamicConfigValue {
	return dashboard.DynamicConfigValue{Id: "color", Value: map[string]any{"mode": "fixed", "fixedColor": fixed}}
}

// levels colours a value: calm below warn, then orange, red from bad on.
func levels(warn, bad float64) cog.Builder[dashboard.ThresholdsConfig] {
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).
		Steps([]dashboard.Threshold{{Color: good}, {Value: &warn, Color: refusal}, {Value: &bad, Color: failure}})
}

// calm colours a value alike whatever it is.
func calm() cog.Builder[dashboard.ThresholdsConfig] {
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).
		Steps([]dashboard.Threshold{{Color: "text"}})
}
