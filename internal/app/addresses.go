package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kongdao/kongdao/internal/durable"
)

// Addresses are the listening addresses of a running system, host:port each;
// empty for a part that does not run.
type Addresses struct {
	Gateway        string `json:"gateway,omitempty"`
	GatewayTLS     string `json:"gateway_tls,omitempty"`
	GatewayAdmin   string `json:"gateway_admin,omitempty"`
	XDS            string `json:"xds,omitempty"`
	ALS            string `json:"als,omitempty"`
	OTLPGRPC       string `json:"otlp_grpc,omitempty"`
	OTLPHTTP       string `json:"otlp_http,omitempty"`
	ClickHouse     string `json:"clickhouse,omitempty"`
	ClickHouseHTTP string `json:"clickhouse_http,omitempty"`
	API            string `json:"api,omitempty"`
	Metrics        string `json:"metrics,omitempty"`
	Alertmanager   string `json:"alertmanager,omitempty"`
	Prometheus     string `json:"prometheus,omitempty"`
	Links          string `json:"links,omitempty"`
}

// AddressesFile is where a system with this data directory names its addresses
// once it is ready. The file is gone after a clean stop.
func AddressesFile(dataDir string) string { return filepath.Join(dataDir, "run", "addresses.json") }

// ErrNotRunning means that no system runs on a data directory.
var ErrNotRunning = errors.New("no running system")

// ReadAddresses finds the running system of a data directory.
func ReadAddresses(dataDir string) (Addresses, error) {
	var a Addresses
	b, err := os.ReadFile(AddressesFile(dataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return a, fmt.Errorf("%w in %s: start one with kongdao up, or name its data directory with --data", ErrNotRunning, dataDir)
	}
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("read %s: %w", AddressesFile(dataDir), err)
	}
	return a, nil
}

// write replaces the file at once, so that a reader never sees half of it.
func (a Addresses) write(dataDir string) error {
	b, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	return durable.Replace(AddressesFile(dataDir), append(b, '\n'), 0o600)
}
