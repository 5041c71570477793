package alerting

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/engine"
	"github.com/kongdao/kongdao/alerting/forward"
	"github.com/kongdao/kongdao/alerting/outbox"
	"github.com/kongdao/kongdao/alerting/rule"
	"github.com/kongdao/kongdao/api"
)

// Robot is a DingTalk group robot with its secrets resolved.
type Robot = dingtalk.Robot

// Config is what a user may set, and, without a YAML key, what the program adds.
type Config struct {
	Dir              string       `yaml:"dir"`              // of all files kept
	Listen           string       `yaml:"listen"`           // host:port of Alertmanager's API v2
	ListenPrometheus string       `yaml:"listenPrometheus"` // host:port of Prometheus' query API
	ScrapeInterval   api.Duration `yaml:"scrapeInterval"`   // how often metrics are read
	// EvaluationInterval is how often rules are evaluated that do not say it
	// themselves. From fault to message take about a scrape, an evaluation, the
	// rule's own "for", and the group_wait of Alertmanager's configuration.
	EvaluationInterval api.Duration `yaml:"evaluationInterval"`
	Alertmanager       string       `yaml:"alertmanager"` // Alertmanager's configuration as text; empty: the shipped one
	ExternalURL        string       `yaml:"externalURL"`  // where users reach Listen; empty: http://Listen
	Lang               string       `yaml:"lang"`         // of messages: zh or en
	Retention          api.Duration `yaml:"retention"`    // how long samples are kept for rules and queries
	TimeZone           string       `yaml:"timeZone"`     // of times in messages, such as Asia/Shanghai; empty: the machine's
	LinkBase           string       `yaml:"linkBase"`     // is put before relative links in messages, such as runbooks
	// Fallback is the channel, robot or receiver with integrations that is handed what
	// channels without a fallback of their own cannot deliver; empty: it is only logged.
	Fallback string `yaml:"fallback"`
	// Escalation is what happens to pages that nobody claims.
	Escalation Escalation `yaml:"escalation"`

	// ReadAlertmanager reads Alertmanager's configuration anew; nil: it cannot change.
	ReadAlertmanager func() (string, error) `yaml:"-"`

	Forward Forwarding `yaml:"-"` // of what rules find to other Alertmanagers
	Cluster Cluster    `yaml:"-"` // of instances of which each takes over when another is gone

	Targets []string `yaml:"-"` // host:port each, of /metrics
	Robots  []Robot  `yaml:"-"`
	// Channels are whom messages are addressed to besides robots.
	Channels []Channel         `yaml:"-"`
	Rules    map[string]string `yaml:"-"` // users' rule texts by name, beside the shipped ones
	Logs     rule.LogQuery     `yaml:"-"` // answers log rules; nil: they fail, and the shipped ones are left out

	Messages Messages `yaml:",inline"`
	Links    Links    `yaml:",inline"`
}

// DefaultConfig keeps its files in dir and listens on free loopback ports. It
// has no target and no robot.
func DefaultConfig(dir string) Config {
	return Config{
		Dir:                dir,
		Listen:             "127.0.0.1:0",
		ListenPrometheus:   "127.0.0.1:0",
		ScrapeInterval:     api.Duration(2 * time.Second),
		EvaluationInterval: api.Duration(5 * time.Second),
		Lang:               dingtalk.Chinese,
		Retention:          api.Duration(6 * time.Hour),
	}
}

// Validate names every field that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("dir: must not be empty"))
		c.Dir = "x" // said once
	}
	if c.Lang != dingtalk.Chinese && c.Lang != dingtalk.English {
		errs = append(errs, fmt.Errorf("lang: %q, must be zh or en", c.Lang))
	}
	if _, err := c.location(); err != nil {
		errs = append(errs, fmt.Errorf("timeZone: %q, must be a name such as Asia/Shanghai", c.TimeZone))
	}
	seen := map[string]bool{}
	for _, r := range c.Robots {
		if seen[r.Name] {
			errs = append(errs, fmt.Errorf("robots: %q is there twice", r.Name))
		}
		seen[r.Name] = true
		errs = append(errs, r.Validate())
	}
	if _, err := c.channels(); err != nil {
		errs = append(errs, err)
	}
	prefixed := func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	errs = append(errs, c.Messages.validate(), c.links().Validate())
	if c.Escalation.After < 0 || (c.Escalation.After > 0 && len(c.Escalation.To) == 0) {
		errs = append(errs, errors.New("escalation: after must not be negative, and needs steps in to"))
	}
	prefixed("alertmanager", c.engine().Validate())
	prefixed("prometheus", c.rule().Validate())
	errs = append(errs, forward.Config(c.Forward).Validate(), c.Cluster.Validate())
	return errors.Join(errs...)
}

func (c Config) engine() engine.Config {
	e := engine.DefaultConfig(filepath.Join(c.Dir, "alertmanager"))
	e.Listen, e.ExternalURL, e.Robots = c.Listen, c.ExternalURL, addressees(c.Channels, c.Robots)
	if c.Alertmanager != "" {
		e.Alertmanager = c.Alertmanager
	}
	return e
}

func (c Config) rule() rule.Config {
	r := rule.DefaultConfig(filepath.Join(c.Dir, "prometheus"))
	r.Listen, r.Targets = c.ListenPrometheus, c.Targets
	r.ScrapeInterval, r.EvaluationInterval = c.ScrapeInterval.Std(), c.EvaluationInterval.Std()
	r.Retention = c.Retention.Std()
	r.Rules, r.Logs = c.withPack(c.Rules), c.Logs
	return r
}

func (c Config) outbox() outbox.Config {
	o := outbox.DefaultConfig(filepath.Join(c.Dir, "outbox"))
	o.Renderer = c.renderer()
	o.Fallback = c.Fallback
	o.Channels, _ = c.channels() // validated
	return o
}

func (c Config) location() (*time.Location, error) {
	if c.TimeZone == "" {
		return time.Local, nil
	}
	return time.LoadLocation(c.TimeZone)
}

// withPack adds the shipped rules; a user's text of the same name replaces one.
func (c Config) withPack(rules map[string]string) map[string]string {
	all := rule.Pack()
	if c.Logs == nil {
		delete(all, rule.LogPack)
	}
	maps.Copy(all, rules)
	return all
}

// names in a stable order: the first one is the default.
func names(robots []Robot) []string {
	ns := make([]string, len(robots))
	for i, r := range robots {
		ns[i] = r.Name
	}
	slices.Sort(ns)
	return ns
}
