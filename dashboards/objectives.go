package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	gtable "github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// MetricsPluginID is the data source that the dashboard of objectives reads with:
// Prometheus' query API, as KongDao serves it on listen.prometheus.
const MetricsPluginID = "prometheus"

// Objectives is the dashboard of error budgets: what rules record that are made from
// functions' objectives. It is apart from [All] as it reads metrics and not calls.
func Objectives() (Dashboard, error) { return encoded("objectives.json", objectives()) }

// theseObjectives picks series by the variables. What is recorded is up to five
// minutes apart, hence the ranges.
const theseObjectives = `{function=~"$function",objective=~"$objective"}`

func objectives() *builder {
	b := titled("Objectives", "kongdao-objectives",
		"Error budgets of all functions with an objective: what is left of 30 days, and how fast it is used up. Calls of load tests and refused calls count neither way.").
		Time("now-24h", "now")
	b.Variables([]cog.Builder[dashboard.VariableModel]{
		dashboard.NewDatasourceVariableBuilder("metrics").Label("Data source").Type(MetricsPluginID).
			Description("A Prometheus that evaluates the rules of objectives, such as KongDao itself."),
		metricVariable("function", "Function", `label_values(kongdao:objective_budget:ratio, function)`),
		metricVariable("objective", "Objective", `label_values(kongdao:objective_budget:ratio{function=~"$function"}, objective)`),
	})
	b.WithPanel(gtable.NewPanelBuilder().Id(1).Title("Budget left").Unit(share).Span(half).Height(2 * tall).
		Description("What is left of the error budget of 30 days, least first; below 0 more failed than may. Minutes of which nothing is known count as good.").
		Datasource(metrics()).NoValue("").ShowHeader(true).CellHeight(common.TableCellHeightSm).
		Thresholds(budgetLevels()).
		Targets([]cog.Builder[variants.Dataquery]{
			promQL("A", "sort(last_over_time(kongdao:objective_budget:left30d"+theseObjectives+"[10m]))").Instant().Format(prometheus.PromQueryFormatTable),
		}).
		Overrides([]cog.Builder[dashboard.DashboardFieldConfigSourceOverrides]{
			override("Time", dashboard.DynamicConfigValue{Id: "custom.hidden", Value: true}),
			override("Value", dashboard.DynamicConfigValue{Id: "displayName", Value: "left"},
				dashboard.DynamicConfigValue{Id: "custom.cellOptions", Value: map[string]any{"type": "color-text"}}),
		}))
	b.WithPanel(gtable.NewPanelBuilder().Id(2).Title("Budgets that burn too fast").Unit(count).Span(half).Height(2 * tall).
		Description("Alerts of objectives that fire now: how many times as fast as would last 30 days, over the window of the alert.").
		Datasource(metrics()).NoValue("none").ShowHeader(true).CellHeight(common.TableCellHeightSm).
		Targets([]cog.Builder[variants.Dataquery]{
			promQL("A", `ALERTS{alertname="ObjectiveBurn",alertstate="firing",function=~"$function",objective=~"$objective"}`).Instant().Format(prometheus.PromQueryFormatTable),
		}).
		Overrides([]cog.Builder[dashboard.DashboardFieldConfigSourceOverrides]{
			override("Time", dashboard.DynamicConfigValue{Id: "custom.hidden", Value: true}),
			override("Value", dashboard.DynamicConfigValue{Id: "custom.hidden", Value: true}),
			override("__name__", dashboard.DynamicConfigValue{Id: "custom.hidden", Value: true}),
			override("alertstate", dashboard.DynamicConfigValue{Id: "custom.hidden", Value: true}),
		}))
	over := func(ratio, fresh string) string {
		return "last_over_time(kongdao:objective_bad:" + ratio + theseObjectives + "[" + fresh + "])"
	}
	budget := "last_over_time(kongdao:objective_budget:ratio" + theseObjectives + "[2m])"
	for i, c := range []struct{ title, about, unit, expr string }{
		{"Burn rate over an hour", "How many times as fast as would last 30 days the budget is used up; a page from 14.4 on.", count, over("ratio1h", "2m") + " / " + budget},
		{"Burn rate over six hours", "How many times as fast as would last 30 days the budget is used up; a page from 6 on.", count, over("ratio6h", "2m") + " / " + budget},
		{"Bad calls", "Share of calls that missed the objective, over five minutes.", share, over("ratio5m", "2m")},
		{"Budget left over time", "What was left of the error budget of the 30 days before each moment.", share, "last_over_time(kongdao:objective_budget:left30d" + theseObjectives + "[10m])"},
	} {
		b.WithPanel(timeseries.NewPanelBuilder().Id(uint32(3 + i)).Title(c.title).Description(c.about).Unit(c.unit).
			Datasource(metrics()).Span(half).Height(tall).Interval("1m").
			LineWidth(1).FillOpacity(8).ShowPoints(common.VisibilityModeNever).
			ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdPaletteClassicByName)).
			Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
			Targets([]cog.Builder[variants.Dataquery]{promQL("A", c.expr).Range().LegendFormat("{{function}} {{objective}}")}))
	}
	return b
}

// metrics refers to the variable metrics.
func metrics() common.DataSourceRef {
	kind, uid := MetricsPluginID, "${metrics}"
	return common.DataSourceRef{Type: &kind, Uid: &uid}
}

func promQL(refID, expr string) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().RefId(refID).Expr(expr).Datasource(metrics())
}

func metricVariable(name, label, query string) *dashboard.QueryVariableBuilder {
	all := dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}}
	return dashboard.NewQueryVariableBuilder(name).Label(label).Datasource(metrics()).
		Description("Those that are shown.").Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
		Multi(true).IncludeAll(true).AllValue(".*").
		Current(dashboard.VariableOption{Text: dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}}, Value: all}).
		Query(dashboard.StringOrMap{String: &query})
}

// budgetLevels colour what is left: red when nothing is.
func budgetLevels() cog.Builder[dashboard.ThresholdsConfig] {
	none, little := 0.0, 0.25
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).
		Steps([]dashboard.Threshold{{Color: failure}, {Value: &none, Color: refusal}, {Value: &little, Color: good}})
}
