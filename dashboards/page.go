package dashboards

import (
	"slices"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/logs"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	gtable "github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Sizes on Grafana's grid of 24 columns.
const (
	fullWidth, half, third, sixth = 24, 12, 8, 4
	tall, low                     = 8, 4
)

// panel is what every kind of panel has.
type panel struct {
	title, about, unit string
	width              uint32
	queries            []string
}

// page collects panels: it numbers them and gives each the way onward.
type page struct {
	*builder
	filters []string // conditions that the variables of the dashboard ask for
	onward  cog.Builder[dashboard.DashboardLink]
	last    uint32 // id
}

// real are the conditions on calls that are no load test's.
func (p *page) real(t table, more ...string) []string {
	return slices.Concat([]string{t.real}, p.filters, more)
}

// tested are the conditions on calls of load tests.
func (p *page) tested(t table) []string {
	return slices.Concat([]string{t.loadTest}, p.filters)
}

func (p *page) id() uint32 {
	p.last++
	return p.last
}

func (p *page) row(title string) {
	p.WithRow(dashboard.NewRowBuilder(title).Id(p.id()))
}

// chart is how lines are drawn.
type chart struct {
	label   string // name of the label that a line is called by; empty: by its column
	stack   bool
	max     float64 // that the axis reaches at least; 0: as the values are
	colours []named
}

// lines is a panel with values over time.
func (p *page) lines(s panel, c chart) {
	b := timeseries.NewPanelBuilder().Id(p.id()).Title(s.title).Description(s.about).Unit(s.unit).
		Datasource(source()).Span(s.width).Height(tall).Interval("10s").Min(0).
		LineWidth(1).FillOpacity(8).ShowPoints(common.VisibilityModeNever).
		ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdPaletteClassicByName)).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeTable).
			Placement(common.LegendPlacementBottom).Calcs([]string{"mean", "max", "lastNotNull"}).SortBy("Max").SortDesc(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		Targets(targets(TimeSeries, s.queries)).Links([]cog.Builder[dashboard.DashboardLink]{p.onward})
	if c.label != "" {
		b.DisplayName("${__field.labels." + c.label + "}")
	}
	if c.stack {
		b.FillOpacity(40).Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal).Group("A"))
	}
	if c.max > 0 {
		b.AxisSoftMax(c.max)
	}
	var overrides []cog.Builder[dashboard.DashboardFieldConfigSourceOverrides]
	for _, n := range c.colours {
		overrides = append(overrides, n.override())
	}
	if len(s.queries) > 1 {
		overrides = append(overrides, limitLine())
	}
	p.WithPanel(b.Overrides(overrides))
}

// limitLine is how the second query of a panel with lines is drawn: as the level
// that the lines are compared with.
func limitLine() cog.Builder[dashboard.DashboardFieldConfigSourceOverrides] {
	return dashboard.NewDashboardFieldConfigSourceOverridesBuilder().
		Matcher(dashboard.MatcherConfig{Id: "byFrameRefID", Options: "B"}).
		Properties([]dashboard.DynamicConfigValue{
			{Id: "displayName", Value: "limit"},
			colour(failure),
			{Id: "custom.lineStyle", Value: map[string]any{"fill": "dash", "dash": []int{10, 10}}},
			{Id: "custom.fillOpacity", Value: 0},
			{Id: "custom.stacking", Value: map[string]any{"mode": "none", "group": "B"}},
		})
}

// number is a panel with one figure for the time range.
func (p *page) number(s panel, t cog.Builder[dashboard.ThresholdsConfig]) {
	p.WithPanel(stat.NewPanelBuilder().Id(p.id()).Title(s.title).Description(s.about).Unit(s.unit).
		Datasource(source()).Span(s.width).Height(low).NoValue("no calls").
		ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdThresholds)).Thresholds(t).
		ColorMode(common.BigValueColorModeValue).GraphMode(common.BigValueGraphModeNone).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
		Targets(targets(Table, s.queries)).Links([]cog.Builder[dashboard.DashboardLink]{p.onward}))
}

// column is how a column of a table is shown. Columns that are not described are
// plain text.
type column struct {
	name, title, unit string
	width             int    // pixels; 0: what is left
	link, linkTitle   string // URL for each value
}

// table is a panel with rows, height in grid units.
func (p *page) table(s panel, height uint32, columns ...column) {
	var overrides []cog.Builder[dashboard.DashboardFieldConfigSourceOverrides]
	for _, c := range columns {
		overrides = append(overrides, override(c.name, c.properties()...))
	}
	p.WithPanel(gtable.NewPanelBuilder().Id(p.id()).Title(s.title).Description(s.about).Unit(s.unit).
		Datasource(source()).Span(s.width).Height(height).NoValue("").
		ShowHeader(true).CellHeight(common.TableCellHeightSm).Filterable(true).
		Footer(common.NewTableFooterOptionsBuilder().Show(false).Reducer([]string{})).
		Targets(targets(Table, s.queries)).Links([]cog.Builder[dashboard.DashboardLink]{p.onward}).
		Overrides(overrides))
}

func (c column) properties() []dashboard.DynamicConfigValue {
	properties := []dashboard.DynamicConfigValue{{Id: "displayName", Value: c.title}}
	if c.unit != "" {
		properties = append(properties, dashboard.DynamicConfigValue{Id: "unit", Value: c.unit})
	}
	if c.width > 0 {
		properties = append(properties, dashboard.DynamicConfigValue{Id: "custom.width", Value: c.width})
	}
	if c.link != "" {
		properties = append(properties, dashboard.DynamicConfigValue{
			Id: "links", Value: []map[string]any{{"title": c.linkTitle, "url": c.link}},
		})
	}
	return properties
}

// log is a panel with one line a call.
func (p *page) log(s panel, height uint32) {
	p.WithPanel(logs.NewPanelBuilder().Id(p.id()).Title(s.title).Description(s.about).Unit(s.unit).
		Datasource(source()).Span(s.width).Height(height).
		ShowTime(true).ShowLabels(false).ShowCommonLabels(false).WrapLogMessage(true).EnableLogDetails(true).
		PrettifyLogMessage(false).SortOrder(common.LogsSortOrderDescending).DedupStrategy(common.LogsDedupStrategyNone).
		Targets(targets(Logs, s.queries)).Links([]cog.Builder[dashboard.DashboardLink]{p.onward}))
}
