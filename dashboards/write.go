package dashboards

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// File is one file of what Grafana is provisioned with.
type File struct {
	Path string // slash separated, below the folder that is written
	Text []byte
}

// provisionSource is the data source. The plugin reads numbers and booleans from
// strings, too, which is what environment variables are.
const provisionSource = `# Written by kongdao dashboards export. Values come from the environment of Grafana:
# KONGDAO_CLICKHOUSE_HOST, _PORT, _PROTOCOL (native or http), _DATABASE, _USER, _PASSWORD.
# The user needs SELECT on the call log's tables and nothing else.
# KONGDAO_PROMETHEUS_URL is http:// and what listen.prometheus says.
apiVersion: 1
datasources:
  - name: KongDao calls
    uid: kongdao-calls
    type: grafana-clickhouse-datasource
    access: proxy
    editable: false
    jsonData:
      host: $KONGDAO_CLICKHOUSE_HOST
      port: $KONGDAO_CLICKHOUSE_PORT
      protocol: $KONGDAO_CLICKHOUSE_PROTOCOL
      defaultDatabase: $KONGDAO_CLICKHOUSE_DATABASE
      username: $KONGDAO_CLICKHOUSE_USER
    secureJsonData:
      password: $KONGDAO_CLICKHOUSE_PASSWORD
  - name: KongDao metrics
    uid: kongdao-metrics
    type: prometheus
    access: proxy
    editable: false
    url: $KONGDAO_PROMETHEUS_URL
    jsonData:
      httpMethod: GET
      timeInterval: 5s
`

const provisionDashboards = `# Written by kongdao dashboards export. KONGDAO_DASHBOARDS is the folder dashboards
# beside the folder that this file is in, as Grafana sees it.
apiVersion: 1
providers:
  - name: kongdao
    folder: KongDao
    type: file
    disableDeletion: true
    allowUiUpdates: false
    options:
      path: $KONGDAO_DASHBOARDS
`

// Files are all that Write writes, sorted by path.
func Files() ([]File, error) {
	all, err := All()
	if err != nil {
		return nil, err
	}
	files := []File{
		{"provisioning/dashboards/kongdao.yaml", []byte(provisionDashboards)},
		{"provisioning/datasources/kongdao.yaml", []byte(provisionSource)},
	}
	o, err := Objectives()
	if err != nil {
		return nil, err
	}
	for _, d := range append(all, o) {
		files = append(files, File{"dashboards/" + d.File, d.JSON})
	}
	slices.SortFunc(files, func(a, b File) int {
		if a.Path < b.Path {
			return -1
		}
		return 1
	})
	return files, nil
}

// Write writes the dashboards and Grafana's provisioning below dir, which it
// makes. Files that are there already are replaced, others are left alone.
func Write(dir string) error {
	files, err := Files()
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write dashboards: %w", err)
		}
		if err := os.WriteFile(path, f.Text, 0o644); err != nil {
			return fmt.Errorf("write dashboards: %w", err)
		}
	}
	return nil
}
