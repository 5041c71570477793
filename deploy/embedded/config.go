package embedded

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
)

// Config is what a user may set.
type Config struct {
	// Dir holds data, configuration, lock and engine.log. It is created when
	// missing and belongs to one engine at a time.
	Dir string `yaml:"dir"`
	// Library is the path of libchdb.so; empty looks for it, see [FindLibrary].
	Library string `yaml:"library"`
	// Address is where the native protocol listens. Loopback only; port 0 picks a
	// free one, which then stays for the life of the Engine.
	Address string `yaml:"address"`
	// HTTPAddress is the same for the HTTP protocol.
	HTTPAddress string `yaml:"httpAddress"`
	// MaxMemoryBytes bounds what queries, merges and caches of the engine take
	// together; a query beyond it fails, the engine lives. At least 500 MB.
	MaxMemoryBytes int64 `yaml:"maxMemoryBytes"`
	// Readers are users besides those of the application. Their views are made with
	// [schema.EnsureReaderViews], once there are tables.
	Readers []schema.Reader `yaml:"-"`
	// ServerXML is added to the engine's settings, for tests: other servers that it
	// knows as a cluster, storage policies.
	ServerXML string `yaml:"-"`
}

// minMemory is below what a start, a merge and one query need.
const minMemory = 500_000_000

// DefaultConfig is complete but for Dir.
func DefaultConfig() Config {
	return Config{Address: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0", MaxMemoryBytes: 2_000_000_000}
}

// Validate names every field that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("dir: must be set: the engine's data directory"))
	}
	if c.MaxMemoryBytes < minMemory {
		errs = append(errs, fmt.Errorf("maxMemoryBytes: %d is too little, want at least %d", c.MaxMemoryBytes, minMemory))
	}
	for i, r := range c.Readers {
		if err := r.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("readers[%d]: %w", i, err))
		}
	}
	return errors.Join(append(errs, loopback("address", c.Address), loopback("httpAddress", c.HTTPAddress))...)
}

// loopback wants an IP: ClickHouse listens on it and the users are bound to it.
func loopback(field, addr string) error {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return fmt.Errorf("%s: %q is not ip:port", field, addr)
	}
	if a.Addr() != netip.MustParseAddr(host) {
		return fmt.Errorf("%s: %s: the embedded engine listens on %s only; for a network give KongDao the dsn of a clickhouse server",
			field, net.JoinHostPort(a.Addr().String(), fmt.Sprint(a.Port())), host)
	}
	return nil
}
