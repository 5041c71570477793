package dashboards

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
)

// PluginID is the data source plugin that the dashboards read with.
const PluginID = "grafana-clickhouse-datasource"

// Format is how the plugin shapes the rows of a query.
type Format int

// Formats of the plugin.
const (
	TimeSeries Format = 0 // a column time, text columns as labels, numbers as values
	Table      Format = 1
	Logs       Format = 2 // columns timestamp, body, level; all others are labels
)

// queryType is the plugin's second name for a format, for its editor.
func (f Format) queryType() string {
	switch f {
	case TimeSeries:
		return "timeseries"
	case Logs:
		return "logs"
	}
	return "table"
}

// Query is a query of the plugin, as it stands in a dashboard. It is the SDK's
// [variants.Dataquery] for a data source that the SDK does not know.
type Query struct {
	Datasource    common.DataSourceRef `json:"datasource"`
	RefID         string               `json:"refId"`
	Hide          bool                 `json:"hide,omitempty"`
	EditorType    string               `json:"editorType"` // always sql
	QueryType     string               `json:"queryType"`
	Format        Format               `json:"format"`
	PluginVersion string               `json:"pluginVersion"` // major version 4: else the plugin migrates the query
	SQL           string               `json:"rawSql"`        // with macros and variables; see Expand
}

// query is a Query on the data source that the dashboard's user chose.
func query(refID string, format Format, sql string) Query {
	return Query{
		Datasource: source(), RefID: refID, EditorType: "sql", QueryType: format.queryType(),
		Format: format, PluginVersion: "4.0.0", SQL: sql,
	}
}

// source refers to the variable datasource, so that a dashboard runs on any.
func source() common.DataSourceRef {
	kind, uid := PluginID, "${datasource}"
	return common.DataSourceRef{Type: &kind, Uid: &uid}
}

// ImplementsDataqueryVariant is for the SDK.
func (Query) ImplementsDataqueryVariant() {}

// DataqueryType is the plugin.
func (Query) DataqueryType() string { return PluginID }

// Equals tells whether other is the same query.
func (q Query) Equals(other variants.Dataquery) bool {
	switch o := other.(type) {
	case Query:
		return q.equals(o)
	case *Query:
		return o != nil && q.equals(*o)
	}
	return false
}

func (q Query) equals(o Query) bool {
	if !q.Datasource.Equals(o.Datasource) {
		return false
	}
	q.Datasource, o.Datasource = common.DataSourceRef{}, common.DataSourceRef{}
	return q == o
}

// Validate finds what would make the plugin ignore the query.
func (q Query) Validate() error {
	if q.RefID == "" || q.SQL == "" {
		return errors.New("a query needs refId and rawSql")
	}
	return nil
}

// Build makes a Query its own builder.
func (q Query) Build() (variants.Dataquery, error) { return q, q.Validate() }

// Variant teaches the SDK to read queries back. Whoever parses dashboards
// registers it with cog.NewRuntime().RegisterDataqueryVariant.
func Variant() variants.DataqueryConfig {
	read := func(raw []byte) (variants.Dataquery, error) {
		var q Query
		if err := json.Unmarshal(raw, &q); err != nil {
			return nil, fmt.Errorf("read query of %s: %w", PluginID, err)
		}
		return q, nil
	}
	return variants.DataqueryConfig{Identifier: PluginID, DataqueryUnmarshaler: read, StrictDataqueryUnmarshaler: read}
}
