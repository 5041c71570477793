package dashboards

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

// Model is Grafana's classic dashboard model. The SDK would rather see the newer
// one, which only Grafana 12 knows and not by default.
type Model = dashboard.Dashboard //nolint:staticcheck // see above

type builder = dashboard.DashboardBuilder //nolint:staticcheck // see Model

func newBuilder(title string) *builder {
	return dashboard.NewDashboardBuilder(title) //nolint:staticcheck // see Model
}
