package registry

import (
	"errors"
	"fmt"
	"time"

	"github.com/kongdao/kongdao/api"
)

// Config says where the resources are.
type Config struct {
	Dir string `yaml:"dir"` // folder of *.yaml and *.yml files, read with all its subfolders

	// Debounce is how long the tree must be quiet before it is read, so that a
	// change of many files is taken up as one. Under constant change it is read
	// ten times as seldom.
	Debounce api.Duration `yaml:"debounce"`

	// Rescan is how often the tree is looked at without being told of a change,
	// for file systems that tell nothing.
	Rescan api.Duration `yaml:"rescan"`

	// Kept is a folder for the content of files that are in force: a file that is bad
	// when the registry starts has its last good content then, too. Empty: none.
	Kept string `yaml:"kept"`

	// Check finds problems that depend on more than the files, such as on what was
	// published before; they count as those of api.Validate. It is called by one
	// goroutine. Nil: there are none.
	Check func(api.Set) api.Problems `yaml:"-"`
}

// DefaultConfig is a config that lacks only the folder.
func DefaultConfig() Config {
	return Config{Debounce: api.Duration(100 * time.Millisecond), Rescan: api.Duration(10 * time.Second)}
}

// Validate names every field that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("dir: is missing, want a folder of resources"))
	}
	if c.Debounce < 0 || c.Debounce.Std() > time.Minute {
		errs = append(errs, fmt.Errorf("debounce: is %s, want 0s to 1m", c.Debounce))
	}
	if c.Rescan.Std() < 10*time.Millisecond {
		errs = append(errs, fmt.Errorf("rescan: is %s, want at least 10ms", c.Rescan))
	}
	return errors.Join(errs...)
}
