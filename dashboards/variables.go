package dashboards

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// rollupQuery picks the finest rollup that has the whole time range still, and
// few enough rows in it. Rollups are kept a day longer than is relied on here,
// because a day that has begun to expire is incomplete.
const rollupQuery = `SELECT multiIf(
  $__toTime - $__fromTime <= 6 * 3600 AND $__fromTime >= now() - INTERVAL 6 DAY, 'calls_10s',
  $__toTime - $__fromTime <= 14 * 86400 AND $__fromTime >= now() - INTERVAL 80 DAY, 'calls_1m',
  'calls_1h')`

// stepQuery is the seconds between rows of the rollup.
const stepQuery = `SELECT toString(transform(${rollup:sqlstring}, ['calls_10s', 'calls_1m'], [10, 60], 3600))`

// names lists what is in a column of the rollup in the time range, of real calls
// and of load tests.
func names(column, condition string) string {
	return fmt.Sprintf(`SELECT DISTINCT r.%[1]s AS name
FROM ${rollup} AS r
WHERE r.t >= toStartOfInterval($__fromTime, toIntervalSecond(${step})) AND r.t <= $__toTime
  AND r.%[1]s != ''%[2]s
ORDER BY name
LIMIT 2000`, column, condition)
}

// start are the variables of every dashboard: where to read, and the hidden ones.
func start() []cog.Builder[dashboard.VariableModel] {
	return []cog.Builder[dashboard.VariableModel]{
		dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type(PluginID).
			Description("A ClickHouse that has the table calls."),
		hidden("rollup", rollupQuery, "calls_10s", "Table that fits the time range."),
		hidden("step", stepQuery, "10", "Seconds between rows of that table."),
	}
}

func hidden(name, sql, initial, about string) cog.Builder[dashboard.VariableModel] {
	return derived{variable(name, sql, about).Hide(dashboard.VariableHideHideVariable).Current(option(initial))}
}

// derived is a variable that no URL may set: Grafana would keep the URL's value
// for a time range that it does not fit. The SDK's builders cannot say so.
type derived struct {
	cog.Builder[dashboard.VariableModel]
}

// Build is for the SDK.
func (d derived) Build() (dashboard.VariableModel, error) {
	m, err := d.Builder.Build()
	yes := true
	m.SkipUrlSync = &yes
	return m, err
}

// several is a variable of which some or all values can be chosen.
func several(name, label, sql, about string) cog.Builder[dashboard.VariableModel] {
	return variable(name, sql, about).Label(label).Multi(true).IncludeAll(true).
		Current(dashboard.VariableOption{
			Text:  dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}},
			Value: dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}},
		})
}

// variable is filled by a query, anew when the time range changes. Old versions
// of the plugin look at queryType, newer ones at editorType.
func variable(name, sql, about string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).Description(about).Datasource(source()).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortDisabled).
		Query(dashboard.StringOrMap{Map: map[string]any{
			"refId": name, "editorType": "sql", "queryType": "sql", "rawSql": sql,
		}})
}

func option(value string) dashboard.VariableOption {
	s := dashboard.StringOrArrayOfString{String: &value}
	return dashboard.VariableOption{Text: s, Value: s}
}

// targets are queries named A, B and so on.
func targets(format Format, sqls []string) []cog.Builder[variants.Dataquery] {
	var t []cog.Builder[variants.Dataquery]
	for i, sql := range sqls {
		t = append(t, query(string(rune('A'+i)), format, sql))
	}
	return t
}
