package otlp

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/collector/policy"
	"github.com/kongdao/kongdao/collector/ship"
	"github.com/kongdao/kongdao/internal/fnlog"
)

// Config is what a user may set.
type Config struct {
	ListenGRPC string `yaml:"listenGRPC"` // host:port of LogsService/Export; port 0 takes a free one
	ListenHTTP string `yaml:"listenHTTP"` // host:port of POST /v1/logs; port 0 takes a free one
	Dir        string `yaml:"dir"`        // folder of WALDir and DeadDir

	// FlushInterval is how long the records of a request wait for others, at most,
	// before they are written and the request is answered. Less means more, smaller
	// blocks for ClickHouse.
	FlushInterval api.Duration `yaml:"flushInterval"`
	MaxRows       int          `yaml:"maxRows"`  // records in a block, but for one larger request
	WALBytes      int64        `yaml:"walBytes"` // disk that waiting blocks may use; when it is used up, requests are refused

	// Patience is how long a request waits for room before the client is told to
	// come again; that it is told means that nothing of the request is stored.
	Patience api.Duration `yaml:"patience"`

	Limits Limits        `yaml:"limits"`
	Redact policy.Redact `yaml:"-"` // what is hidden in bodies and attributes; rules for fields of calls do nothing here

	// MaxRequests is how many requests are read and decoded at a time; each takes
	// MaxMessageBytes at most, and a small multiple while it is decoded. More wait,
	// unread, and are told to come again after Patience.
	MaxRequests     int `yaml:"maxRequests"`
	MaxMessageBytes int `yaml:"maxMessageBytes"` // of a request, after decompression

	Ship ship.Config `yaml:"ship"` // but for the folder of refused blocks
}

// Limits bound a record. What is beyond them is cut or left out, and the record
// says so in attributes of package fnlog.
type Limits struct {
	MaxBodyBytes      int          `yaml:"maxBodyBytes"`
	MaxAttributes     int          `yaml:"maxAttributes"`
	MaxAttributeBytes int          `yaml:"maxAttributeBytes"` // of each value
	MaxAge            api.Duration `yaml:"maxAge"`            // a record that claims to be older has the time of its arrival
	MaxSkew           api.Duration `yaml:"maxSkew"`           // and so has one that claims to be as far in the future
}

// DefaultConfig is complete but for Dir.
func DefaultConfig() Config {
	return Config{
		ListenGRPC:    "127.0.0.1:0",
		ListenHTTP:    "127.0.0.1:0",
		FlushInterval: api.Duration(200 * time.Millisecond),
		MaxRows:       20_000,
		WALBytes:      256 << 20,
		Patience:      api.Duration(2 * time.Second),
		Limits: Limits{
			MaxBodyBytes:      64 << 10,
			MaxAttributes:     64,
			MaxAttributeBytes: 4 << 10,
			MaxAge:            api.Duration(24 * time.Hour),
			MaxSkew:           api.Duration(10 * time.Minute),
		},
		Redact:          policy.DefaultRedact(),
		MaxRequests:     32,
		MaxMessageBytes: 4 << 20,
		Ship:            ship.DefaultConfig(),
	}
}

// Validate lists everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Dir == "" {
		wrong("dir: missing")
	}
	for _, l := range []struct{ field, address string }{{"listenGRPC", c.ListenGRPC}, {"listenHTTP", c.ListenHTTP}} {
		if _, _, err := net.SplitHostPort(l.address); err != nil {
			wrong("%s: %q is not host:port", l.field, l.address)
		}
	}
	if d := c.FlushInterval.Std(); d < time.Millisecond || d > 10*time.Second {
		wrong("flushInterval: %s is not between 1ms and 10s", c.FlushInterval)
	}
	if c.MaxRows < 1 || c.MaxRows > 200_000 {
		wrong("maxRows: %d is not between 1 and 200000", c.MaxRows)
	}
	if c.WALBytes < 1<<20 {
		wrong("walBytes: %d is less than 1 MiB", c.WALBytes)
	}
	if d := c.Patience.Std(); d < time.Millisecond || d > time.Minute {
		wrong("patience: %s is not between 1ms and 1m", c.Patience)
	}
	if c.MaxRequests < 1 {
		wrong("maxRequests: %d is not above zero", c.MaxRequests)
	}
	if c.MaxMessageBytes < 1 || int64(c.MaxMessageBytes) > c.WALBytes/16 {
		wrong("maxMessageBytes: %d is not between 1 and a sixteenth of walBytes", c.MaxMessageBytes)
	}
	errs = append(errs, c.Limits.validate(), c.Redact.Validate())
	if c.Dir != "" {
		errs = append(errs, c.ship().Validate())
	}
	return errors.Join(errs...)
}

func (l Limits) validate() error {
	const ours = 8 // attributes that the collector adds, and some room
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if l.MaxBodyBytes < 1 {
		wrong("limits.maxBodyBytes: %d is not above zero", l.MaxBodyBytes)
	}
	if l.MaxAttributes < 0 || l.MaxAttributes > fnlog.MaxAttrs-ours {
		wrong("limits.maxAttributes: %d is not between 0 and %d", l.MaxAttributes, fnlog.MaxAttrs-ours)
	}
	if l.MaxAttributeBytes < 1 {
		wrong("limits.maxAttributeBytes: %d is not above zero", l.MaxAttributeBytes)
	}
	if l.MaxAge <= 0 {
		wrong("limits.maxAge: %s is not above zero", l.MaxAge)
	}
	if l.MaxSkew <= 0 {
		wrong("limits.maxSkew: %s is not above zero", l.MaxSkew)
	}
	return errors.Join(errs...)
}

// Folders in a receiver's folder.
const (
	WALDir  = "otlp-wal"  // write-ahead log
	DeadDir = "otlp-dead" // blocks that ClickHouse refused for good
)

func (c Config) walDir() string { return filepath.Join(c.Dir, WALDir) }

func (c Config) ship() ship.Config {
	s := c.Ship
	s.DeadLetterDir = filepath.Join(c.Dir, DeadDir)
	return s
}
