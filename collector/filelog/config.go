// Package filelog follows the access-log files of gateways and hands over their
// calls in batches, each with the position behind it.
//
// It keeps no state on disk. Whoever stores a batch stores its position in the
// same write, and gives the last one back at the next start: then every line is
// handed over once, whatever happens in between. The sink sets the pace: while
// it blocks, nothing is read, and the files hold what is waiting.
//
// A file may be rotated by renaming it to its name with a suffix; it is read to
// its end before the next one is begun. Rotation goes on while the sink blocks.
// Lines are never lost silently: what does not parse becomes a record without a
// function, and is counted; a file is given up unread only when Config.Overflow
// says so, and then its lines and bytes are counted and its name is logged.
//
// A log is a regular file: symbolic links are refused, because whoever may write
// to the folder could have any file read that this process may read.
//
// Not covered: two writers on one file that do not append, files that shrink and
// regrow with the same first bytes, and copies made while a file is written
// (copytruncate loses the lines in between, with any reader).
package filelog

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/calllog"
)

// Config is what a Tailer follows and how.
type Config struct {
	Sources []Source `yaml:"sources"`

	// Globs are sources whose Path is a pattern as in path/filepath.Match. A file
	// that matches is followed from the moment it is there, and no more once
	// nothing was left of it for a minute. Without Gateway each file's gateway is
	// named for what the last wildcard stands for: see GatewayOf. A rotated file
	// belongs to its live one, whatever the pattern says.
	Globs []Source `yaml:"globs"`

	// PollInterval is the longest that a change goes unseen when the kernel does
	// not tell about it. Default 250ms.
	PollInterval api.Duration `yaml:"pollInterval"`

	// Grace is how long a rotated file is still watched after its successor is
	// there and its end was reached, for a writer that is late to change over.
	// Default 500ms; 0 leaves at once.
	Grace api.Duration `yaml:"grace"`

	// RotateBytes is the size at which a file with a Reopen is rotated. Rotated
	// files are removed as soon as they are stored. Default 256 MiB; 0 rotates
	// and removes nothing.
	RotateBytes int64 `yaml:"rotateBytes"`

	Headers calllog.Headers `yaml:"-"` // request headers that calls keep

	// FileBytes is the disk that the files of one source should use at most: the
	// live one, those not stored yet and those not removed yet. Default 10 GiB; 0
	// sets no bound. What happens beyond it is Overflow's to say.
	FileBytes int64 `yaml:"fileBytes"`

	// Overflow is what happens beyond FileBytes. Default Keep.
	Overflow Overflow `yaml:"overflow"`

	readBytes   int           // size of a read, and so about of a batch
	lineBytes   int           // longest line that is kept
	retireAfter time.Duration // a log that a glob found ends when nothing was left of it for so long
}

// Overflow is what happens to files beyond their budget.
type Overflow string

const (
	// Keep keeps them: it is measured, and disk is the bound.
	Keep Overflow = "keep"
	// DropOldest removes the oldest file that was rotated here and that nobody has
	// begun to read, until the rest fits. Its lines are counted and it is named.
	DropOldest Overflow = "drop-oldest"
)

// Source is one gateway's log.
type Source struct {
	Path        string `yaml:"path"`    // the file that the gateway writes; it need not exist yet
	Gateway     string `yaml:"gateway"` // node id of the gateway
	GatewayZone string `yaml:"zone"`    // zone of the gateway

	// Reopen makes the gateway open Path anew after a rename, such as Envoy's
	// admin call /reopen_logs. It is called again until Path is there. nil: others
	// rotate, and remove.
	Reopen func(context.Context) error `yaml:"-"`
}

// DefaultConfig has no source.
func DefaultConfig() Config {
	return Config{
		PollInterval: api.Duration(250 * time.Millisecond),
		Grace:        api.Duration(500 * time.Millisecond),
		RotateBytes:  256 << 20,
		FileBytes:    10 << 30,
		Overflow:     Keep,
		readBytes:    256 << 10,
		lineBytes:    1 << 20,
		retireAfter:  time.Minute,
	}
}

// Validate reports every field that cannot work.
func (c Config) Validate() error {
	var errs []error
	seen := map[string]bool{}
	for i, s := range c.Sources {
		if s.Path == "" {
			errs = append(errs, fmt.Errorf("sources[%d].path: is missing", i))
		}
		if s.Gateway == "" {
			errs = append(errs, fmt.Errorf("sources[%d].gateway: is missing", i))
		}
		if seen[s.Path] {
			errs = append(errs, fmt.Errorf("sources[%d].path: %s is there twice", i, s.Path))
		}
		seen[s.Path] = true
	}
	for i, s := range c.Globs {
		if _, err := filepath.Match(s.Path, ""); err != nil || s.Path == "" {
			errs = append(errs, fmt.Errorf("globs[%d].path: %q is no pattern of file names", i, s.Path))
		}
		if s.Reopen != nil {
			errs = append(errs, fmt.Errorf("globs[%d]: one gateway's reopen does not fit several files", i))
		}
	}
	if c.PollInterval <= 0 {
		errs = append(errs, errors.New("pollInterval: must be above 0"))
	}
	if c.Grace < 0 {
		errs = append(errs, errors.New("grace: must not be negative"))
	}
	if c.RotateBytes < 0 {
		errs = append(errs, errors.New("rotateBytes: must not be negative"))
	}
	if c.FileBytes < 0 || c.FileBytes > 0 && c.FileBytes < 2*c.RotateBytes {
		errs = append(errs, fmt.Errorf("fileBytes: is %d, want 0 or at least twice rotateBytes, which is %d", c.FileBytes, c.RotateBytes))
	}
	if c.Overflow != Keep && c.Overflow != DropOldest {
		errs = append(errs, fmt.Errorf("overflow: is %q, want %s or %s", c.Overflow, Keep, DropOldest))
	}
	return errors.Join(errs...)
}

// withDefaults fills what a Config that was written by hand cannot set.
func (c Config) withDefaults() Config {
	d := DefaultConfig()
	if c.readBytes == 0 {
		c.readBytes = d.readBytes
	}
	if c.lineBytes == 0 {
		c.lineBytes = d.lineBytes
	}
	if c.retireAfter == 0 {
		c.retireAfter = d.retireAfter
	}
	return c
}
