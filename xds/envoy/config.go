package envoy

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"time"

	"github.com/kongdao/kongdao/api"
)

// Config is one gateway on this machine.
type Config struct {
	Path string `yaml:"path"` // of the binary; empty: see Find
	Dir  string `yaml:"dir"`  // for the bootstrap, Envoy's own log and the pid file; one gateway each

	HTTPAddr  string `yaml:"httpAddr"`  // where functions are called; port 0: any free one
	TLSAddr   string `yaml:"tlsAddr"`   // where functions are called by TLS; empty: nowhere
	AdminAddr string `yaml:"adminAddr"` // loopback; port 0: any free one
	XDSAddr   string `yaml:"xdsAddr"`   // the control plane; or see UnixAddr
	Mutual    Mutual `yaml:"mutual"`    // how the gateway and the control plane know each other
	ALSAddr   string `yaml:"alsAddr"`   // the collector's access log service; empty: none

	// Counters sends what the gateway counted to ALSAddr once a second, so that a
	// collector elsewhere knows how many calls it should have.
	Counters bool `yaml:"counters"`

	NodeID  string `yaml:"nodeID"`  // unique among the gateways of a control plane
	Cluster string `yaml:"cluster"` // the gateway group
	Zone    string `yaml:"zone"`    // where this gateway stands; empty: unknown

	Concurrency int    `yaml:"concurrency"` // worker threads; 0: one for each CPU
	LogLevel    string `yaml:"logLevel"`    // of Envoy's own log: trace, debug, info, warning, error, critical, off

	// MaxConnections bounds clients' connections; above it new ones are closed.
	// Each takes a file descriptor, and so does each connection to a pod.
	MaxConnections int64 `yaml:"maxConnections"`
	// MaxHeapBytes is where Envoy refuses requests instead of growing; it gives
	// memory back from 90 % on. 10,000 clusters and routes take about 0.6 GB.
	MaxHeapBytes uint64 `yaml:"maxHeapBytes"`

	Drain       api.Duration `yaml:"drain"`       // a stop waits so long for calls in flight; 0: not at all
	StopTimeout api.Duration `yaml:"stopTimeout"` // after SIGTERM, before SIGKILL

	// Handover is how long an Envoy that is to take the place of another one may take
	// until it has its configuration, and Finish how long the other one goes on with
	// the connections that it has; see Replace.
	Handover api.Duration `yaml:"handover"`
	Finish   api.Duration `yaml:"finish"`
}

// DefaultConfig is a gateway on free loopback ports. Dir and XDSAddr have no
// default.
func DefaultConfig() Config {
	return Config{
		HTTPAddr:       "127.0.0.1:0",
		AdminAddr:      "127.0.0.1:0",
		NodeID:         "gateway-1",
		Cluster:        "default",
		Concurrency:    runtime.NumCPU(),
		LogLevel:       "warning",
		MaxConnections: 50_000,
		MaxHeapBytes:   2 << 30,
		Drain:          api.Duration(time.Second),
		StopTimeout:    api.Duration(5 * time.Second),
		Handover:       api.Duration(time.Minute),
		Finish:         api.Duration(10 * time.Second),
	}
}

// Validate reports every problem, each with the name of its field.
func (c Config) Validate() error {
	var errs []error
	add := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	for _, required := range []struct{ field, value string }{
		{"dir", c.Dir}, {"nodeID", c.NodeID}, {"cluster", c.Cluster}, {"logLevel", c.LogLevel},
	} {
		if required.value == "" {
			add(required.field, "is missing")
		}
	}
	for _, a := range []struct {
		field, value string
		mayBeZero    bool
	}{{"httpAddr", c.HTTPAddr, true}, {"tlsAddr", c.TLSAddr, false}, {"adminAddr", c.AdminAddr, true}, {"xdsAddr", c.XDSAddr, false}, {"alsAddr", c.ALSAddr, false}} {
		if (a.field == "alsAddr" || a.field == "tlsAddr") && a.value == "" {
			continue
		}
		if err := checkAddr(a.value, a.mayBeZero); err != nil {
			add(a.field, "%v", err)
		}
	}
	c.Mutual.validate(add)
	if host, _, err := net.SplitHostPort(c.AdminAddr); err == nil && !net.ParseIP(host).IsLoopback() && host != "localhost" {
		add("adminAddr", "%q is not on loopback: whoever reaches it can stop the gateway", c.AdminAddr)
	}
	if c.Counters && c.ALSAddr == "" {
		add("counters", "needs alsAddr")
	}
	if c.Concurrency < 0 || c.Concurrency > 1024 {
		add("concurrency", "is %d, must be 0 to 1024", c.Concurrency)
	}
	if c.MaxConnections < 1 {
		add("maxConnections", "is %d, must be at least 1", c.MaxConnections)
	}
	if c.MaxHeapBytes < 128<<20 {
		add("maxHeapBytes", "is %d, must be at least 128 MiB", c.MaxHeapBytes)
	}
	if c.Drain < 0 {
		add("drain", "is %v, must not be negative", c.Drain)
	}
	if c.StopTimeout <= 0 {
		add("stopTimeout", "is %v, must be positive", c.StopTimeout)
	}
	if c.Handover <= 0 {
		add("handover", "is %v, must be positive", c.Handover)
	}
	if c.Finish < 0 {
		add("finish", "is %v, must not be negative", c.Finish)
	}
	return errors.Join(errs...)
}

func checkAddr(addr string, mayBeZero bool) error {
	if _, ok := pipe(addr); ok && !mayBeZero {
		return nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("%q: the port must be a number up to 65535", addr)
	}
	if n == 0 && !mayBeZero {
		return fmt.Errorf("%q: the port must not be 0", addr)
	}
	if host == "" {
		return fmt.Errorf("%q: the host is missing", addr)
	}
	return nil
}
