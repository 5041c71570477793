package engine

import (
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	amconfig "github.com/prometheus/alertmanager/config"
)

//go:embed default.yml
var defaultAlertmanager string

// DefaultAlertmanager is the Alertmanager configuration that is shipped.
func DefaultAlertmanager() string { return defaultAlertmanager }

// Config says where an engine keeps its files, listens, and what it does.
type Config struct {
	Dir          string   // of silences, notification log and alerts
	Listen       string   // host:port of API v2
	Alertmanager string   // configuration in Alertmanager's format
	Robots       []string // names that receivers may have
	Owners       Owners   // nobody by default
	ExternalURL  string   // where users reach Listen; empty: http://Listen
	// Retention is how long silences that ended and notifications are remembered.
	Retention           time.Duration
	MaintenanceInterval time.Duration // between writings of the files
	// Renewal is what others get after a start to say that an alert of the last run
	// fires on. Then it counts as ended.
	Renewal time.Duration
	Reload  func() error // is called by POST /-/reload; nil: nothing changes by it
	Cluster *Cluster     // shares silences and what was told; nil: alone
}

// DefaultConfig is a complete configuration for files in dir.
func DefaultConfig(dir string) Config {
	return Config{
		Dir:                 dir,
		Listen:              "127.0.0.1:0",
		Alertmanager:        defaultAlertmanager,
		Retention:           120 * time.Hour,
		MaintenanceInterval: 15 * time.Second,
		Renewal:             30 * time.Second,
	}
}

// Validate names every field that is wrong.
func (c Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("dir: must not be empty"))
	}
	if c.Listen == "" {
		errs = append(errs, errors.New("listen: must be host:port"))
	}
	if c.Retention <= 0 {
		errs = append(errs, fmt.Errorf("retention: %s, must be positive", c.Retention))
	}
	if c.MaintenanceInterval <= 0 {
		errs = append(errs, fmt.Errorf("maintenanceInterval: %s, must be positive", c.MaintenanceInterval))
	}
	if c.Renewal <= 0 {
		errs = append(errs, fmt.Errorf("renewal: %s, must be positive", c.Renewal))
	}
	if _, err := url.Parse(c.ExternalURL); err != nil {
		errs = append(errs, fmt.Errorf("externalURL: %w", err))
	}
	if _, err := parse(c.Alertmanager, c.Robots); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Receivers with a meaning of their own.
const (
	receiverDefault = "dingtalk" // the first robot
	receiverOwner   = "owner"    // where each alert's team reads, or the first robot
	receiverNone    = "null"     // nobody
)

// parse reads a configuration and checks that each receiver reaches somebody.
func parse(text string, robots []string) (*amconfig.Config, error) {
	c, err := amconfig.Load(text)
	if err != nil {
		return nil, fmt.Errorf("alertmanager: %w", withoutValues(err))
	}
	var errs []error
	for _, r := range c.Receivers {
		if r.Name == receiverDefault || r.Name == receiverOwner || r.Name == receiverNone || slices.Contains(robots, r.Name) || hasIntegrations(r) {
			continue
		}
		errs = append(errs, fmt.Errorf("alertmanager: receiver %q: there is no robot of that name and it lists no integration; call it %q if its alerts are to be dropped", r.Name, receiverNone))
	}
	return c, errors.Join(errs...)
}

// robotOf is the robot that a receiver stands for, or nothing.
func robotOf(receiver string, robots []string) string {
	switch {
	case slices.Contains(robots, receiver):
		return receiver
	case (receiver == receiverDefault || receiver == receiverOwner) && len(robots) > 0:
		return robots[0]
	}
	return ""
}

func hasIntegrations(r amconfig.Receiver) bool {
	return len(r.DiscordConfigs)+len(r.EmailConfigs)+len(r.PagerdutyConfigs)+len(r.SlackConfigs)+len(r.WebhookConfigs)+
		len(r.OpsGenieConfigs)+len(r.WechatConfigs)+len(r.PushoverConfigs)+len(r.VictorOpsConfigs)+len(r.SNSConfigs)+
		len(r.TelegramConfigs)+len(r.WebexConfigs)+len(r.MSTeamsConfigs)+len(r.MSTeamsV2Configs)+len(r.JiraConfigs)+
		len(r.RocketchatConfigs)+len(r.IncidentioConfigs)+len(r.MattermostConfigs) > 0
}
