package rule

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"path"
	"strings"
	"time"
)

//go:embed pack/*.yaml
var pack embed.FS

// LogPack is the name of the shipped rules that ask ClickHouse.
const LogPack = "kongdao-logs"

// Pack is the rules that are shipped, by file name without its ending.
func Pack() map[string]string {
	texts := map[string]string{}
	_ = fs.WalkDir(pack, "pack", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := pack.ReadFile(name)
		texts[strings.TrimSuffix(path.Base(name), ".yaml")] = string(text)
		return err
	})
	return texts
}

// Config says what is scraped, how often rules are evaluated, and where the
// results are kept and served.
type Config struct {
	Dir                string            // of the time series database
	Listen             string            // host:port of the query API
	Targets            []string          // host:port each; /metrics is scraped
	ScrapeInterval     time.Duration     // at least 100 ms
	EvaluationInterval time.Duration     // of groups without an interval of their own
	ResendDelay        time.Duration     // how often a firing alert is reported again
	Retention          time.Duration     // of samples
	Rules              map[string]string // texts to start with, by name; see SetRules
	ExternalURL        string            // where users reach Listen; empty: http://Listen
	Logs               LogQuery          // answers log rules; nil: they fail
	LeastLogInterval   time.Duration     // of groups of log rules
}

// DefaultConfig is a complete configuration for data in dir, without targets.
func DefaultConfig(dir string) Config {
	return Config{
		Dir:                dir,
		Listen:             "127.0.0.1:0",
		ScrapeInterval:     2 * time.Second,
		EvaluationInterval: 5 * time.Second,
		ResendDelay:        15 * time.Second,
		Retention:          6 * time.Hour,
		Rules:              Pack(),
		LeastLogInterval:   leastLogInterval,
	}
}

// Validate names every field that is wrong.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	const shortest = 100 * time.Millisecond
	check(c.Dir != "", "dir: must not be empty")
	check(c.Listen != "", "listen: must be host:port")
	check(c.ScrapeInterval >= shortest, "scrapeInterval: %s, must be at least %s", c.ScrapeInterval, shortest)
	check(c.EvaluationInterval >= shortest, "evaluationInterval: %s, must be at least %s", c.EvaluationInterval, shortest)
	check(c.ResendDelay > 0, "resendDelay: %s, must be positive", c.ResendDelay)
	check(c.Retention > 0, "retention: %s, must be positive", c.Retention)
	for i, t := range c.Targets {
		_, _, err := net.SplitHostPort(t)
		check(err == nil, "targets[%d]: %q, must be host:port", i, t)
	}
	if _, err := url.Parse(c.ExternalURL); err != nil {
		errs = append(errs, fmt.Errorf("externalURL: %w", err))
	}
	t := newTexts()
	t.leastLogInterval = c.LeastLogInterval
	_, err := t.with(c.Rules)
	return errors.Join(append(errs, err)...)
}
