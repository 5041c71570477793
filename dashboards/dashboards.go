package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// Dashboard is one dashboard, ready for Grafana.
type Dashboard struct {
	UID   string
	Title string
	File  string // base name
	JSON  []byte // ends with a line feed
	Model Model  // what JSON was made from
}

// All are the dashboards of calls, always in the same order and the same to the byte.
func All() ([]Dashboard, error) {
	var all []Dashboard
	for _, d := range []struct {
		file  string
		build func() *builder
	}{
		{"gateway-overview.json", overview},
		{"function-detail.json", functionDetail},
	} {
		made, err := encoded(d.file, d.build())
		if err != nil {
			return nil, err
		}
		all = append(all, made)
	}
	return all, nil
}

func encoded(file string, b *builder) (Dashboard, error) {
	model, err := b.Build()
	if err != nil {
		return Dashboard{}, fmt.Errorf("build dashboard %s: %w", file, err)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(model); err != nil {
		return Dashboard{}, fmt.Errorf("encode dashboard %s: %w", file, err)
	}
	return Dashboard{UID: *model.Uid, Title: *model.Title, File: file, JSON: text.Bytes(), Model: model}, nil
}

// titled has all dashboards have in common.
func titled(title, uid, about string) *builder {
	return newBuilder(title).Uid(uid).Description(about).
		Tags([]string{"kongdao"}).Timezone("browser").Time("now-1h", "now").Refresh("30s").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).Readonly().
		Link(dashboard.NewDashboardLinkBuilder("KongDao").Type(dashboard.DashboardLinkTypeDashboards).
			Tags([]string{"kongdao"}).AsDropdown(true).IncludeVars(true).KeepTime(true))
}
