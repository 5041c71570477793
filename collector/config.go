package collector

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/collector/als"
	"github.com/kongdao/kongdao/collector/completeness"
	"github.com/kongdao/kongdao/collector/filelog"
	"github.com/kongdao/kongdao/collector/policy"
	"github.com/kongdao/kongdao/collector/ship"
	"github.com/kongdao/kongdao/internal/calllog"
)

// Source says where calls come from.
type Source string

// The sources.
const (
	SourceFile Source = "file" // Envoy's access log file on this machine
	SourceALS  Source = "als"  // Envoy's access log stream, over gRPC
	SourceBoth Source = "both"
)

func (s Source) file() bool { return s == SourceFile || s == SourceBoth }
func (s Source) als() bool  { return s == SourceALS || s == SourceBoth }

// Config is what a user may set.
type Config struct {
	Dir    string `yaml:"dir"`    // folder of the write-ahead log and of refused blocks
	Source Source `yaml:"source"` // file, als or both

	AccessLog    string                      `yaml:"accessLog"`    // for file: path of Envoy's access log; need not exist yet
	Gateway      string                      `yaml:"gateway"`      // for file: node id of the gateway that writes it
	Zone         string                      `yaml:"zone"`         // for file: the gateway's zone
	RotateBytes  int64                       `yaml:"rotateBytes"`  // for file: size at which it is rotated, and removed once stored; 0, or without Reopen: others do that
	Files        []File                      `yaml:"files"`        // for file: logs of further gateways on this machine
	FileBytes    int64                       `yaml:"fileBytes"`    // for file: disk that the files of one log should use at most; 0: no bound
	FileOverflow filelog.Overflow            `yaml:"fileOverflow"` // for file: what happens beyond; see filelog.Config
	Reopen       func(context.Context) error `yaml:"-"`            // makes the gateway open AccessLog anew; see filelog.Source
	ALSListen    string                      `yaml:"alsListen"`    // for als: host:port to listen on; port 0 takes a free one

	Headers calllog.Headers `yaml:"-"` // request headers that calls keep; the gateway's log has to be configured for the same

	Redact  policy.Redact              `yaml:"-"` // what is hidden in stored calls
	Tenants map[string]policy.Sampling `yaml:"-"` // which calls of a tenant are stored; of those not named, all

	FlushInterval api.Duration `yaml:"flushInterval"` // a call waits at most that long for its block to be written
	MaxRows       int          `yaml:"maxRows"`       // calls in a block
	WALBytes      int64        `yaml:"walBytes"`      // disk that waiting blocks may use; when it is used up, reading stops
	MaxSeries     int          `yaml:"maxSeries"`     // label combinations of a metric; calls beyond are counted as function "other"

	// Counters reads what the gateway beside the collector counted; nil: nobody knows.
	Counters completeness.Poll `yaml:"-"`
	// StatPrefix is that of the connection manager of gateways that send counters.
	StatPrefix string `yaml:"statPrefix"`
	// Horizon is when a call that has not arrived counts as lost.
	Horizon api.Duration `yaml:"horizon"`

	Parallel        int          `yaml:"parallel"`        // inserts at a time
	InsertTimeout   api.Duration `yaml:"insertTimeout"`   // of one try
	DrainTimeout    api.Duration `yaml:"drainTimeout"`    // for blocks that are left when the collector stops; the rest waits in the log
	DeadLetterBytes int64        `yaml:"deadLetterBytes"` // disk for blocks that ClickHouse refused for good
}

// DefaultConfig is complete but for Dir, AccessLog and Gateway.
func DefaultConfig() Config {
	s := ship.DefaultConfig()
	return Config{
		Source:          SourceFile,
		Redact:          policy.DefaultRedact(),
		RotateBytes:     filelog.DefaultConfig().RotateBytes,
		FileBytes:       filelog.DefaultConfig().FileBytes,
		FileOverflow:    filelog.DefaultConfig().Overflow,
		ALSListen:       als.DefaultConfig().Listen,
		FlushInterval:   api.Duration(500 * time.Millisecond),
		MaxRows:         20_000,
		WALBytes:        1 << 30,
		MaxSeries:       2000,
		StatPrefix:      als.DefaultConfig().StatPrefix,
		Horizon:         api.Duration(completeness.DefaultConfig().Horizon),
		Parallel:        s.Parallel,
		InsertTimeout:   s.InsertTimeout,
		DrainTimeout:    s.DrainTimeout,
		DeadLetterBytes: s.DeadLetterBytes,
	}
}

// Validate lists everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Dir == "" {
		wrong("dir: missing")
	}
	if !c.Source.file() && !c.Source.als() {
		wrong("source: %q is none of file, als, both", c.Source)
	}
	if c.Source.file() {
		errs = append(errs, c.validateFile())
	}
	if _, _, err := net.SplitHostPort(c.ALSListen); err != nil && c.Source.als() {
		wrong("alsListen: %q is not host:port", c.ALSListen)
	}
	if d := c.FlushInterval.Std(); d < time.Millisecond || d > time.Minute {
		wrong("flushInterval: %s is not between 1ms and 1m", c.FlushInterval)
	}
	if c.MaxRows < 1 || c.MaxRows > 200_000 {
		wrong("maxRows: %d is not between 1 and 200000", c.MaxRows)
	}
	if c.WALBytes < 1<<20 {
		wrong("walBytes: %d is less than 1 MiB", c.WALBytes)
	}
	errs = append(errs, c.completeness().Validate())
	if c.MaxSeries < 1 {
		wrong("maxSeries: %d is not above zero", c.MaxSeries)
	}
	errs = append(errs, c.Redact.Validate())
	if c.Dir != "" { // its other fields are named alike
		errs = append(errs, c.ship().Validate())
	}
	return errors.Join(errs...)
}

func (c Config) walDir() string { return filepath.Join(c.Dir, "wal") }

func (c Config) ship() ship.Config {
	return ship.Config{
		Parallel:        c.Parallel,
		InsertTimeout:   c.InsertTimeout,
		DrainTimeout:    c.DrainTimeout,
		DeadLetterDir:   filepath.Join(c.Dir, "dead"),
		DeadLetterBytes: c.DeadLetterBytes,
	}
}

func (c Config) als() als.Config {
	a := als.DefaultConfig()
	a.Listen, a.Headers, a.StatPrefix = c.ALSListen, c.Headers, c.StatPrefix
	return a
}
