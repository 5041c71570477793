// Package forward sends alerts to other Alertmanagers, by Prometheus' own sender: in
// batches, to each of them, as API v2 takes them.
//
// What an Alertmanager does not take is not kept: rules report an alert that fires
// again and again, and one that ended for fifteen minutes.
package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	commoncfg "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/notifier"
)

// Config says where alerts go.
type Config struct {
	URLs      []string // of Alertmanagers, such as https://alertmanager:9093
	TokenFile string   // of a bearer token that all of them want; empty: none
}

// Validate names every field that is wrong. It repeats no address: one may hold a
// password.
func (c Config) Validate() error {
	var errs []error
	for i, text := range c.URLs {
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
			errs = append(errs, fmt.Errorf("forwardTo[%d]: must be an address such as https://alertmanager:9093", i))
		case u.User != nil || u.RawQuery != "":
			errs = append(errs, fmt.Errorf("forwardTo[%d]: must not hold a password or a query; forwardTokenFile names a token", i))
		}
	}
	return errors.Join(errs...)
}

// Forwarder sends to all Alertmanagers of a Config.
type Forwarder struct {
	manager *notifier.Manager
	targets map[string][]*targetgroup.Group
	ending  context.Context    // of requests; ends when Run does
	end     context.CancelFunc // of ending
	sending sync.WaitGroup
}

const (
	queued  = 20_000 // alerts that wait for a slow Alertmanager, about 20 MB
	timeout = 10 * time.Second
)

// New sends nothing before Run.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Forwarder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	f := &Forwarder{targets: map[string][]*targetgroup.Group{}}
	f.ending, f.end = context.WithCancel(context.Background())
	f.manager = notifier.NewManager(&notifier.Options{QueueCapacity: queued, Do: f.do, Registerer: reg}, model.UTF8Validation, log)
	whole := &config.Config{}
	whole.GlobalConfig = config.DefaultGlobalConfig
	for i, text := range cfg.URLs {
		u, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("forwardTo[%d]: not an address", i)
		}
		to := config.DefaultAlertmanagerConfig
		to.Scheme, to.PathPrefix, to.Timeout, to.APIVersion = u.Scheme, u.Path, model.Duration(timeout), config.AlertmanagerAPIVersionV2
		to.HTTPClientConfig = commoncfg.DefaultHTTPClientConfig
		to.HTTPClientConfig.FollowRedirects = false // a token goes nowhere else
		if cfg.TokenFile != "" {
			to.HTTPClientConfig.Authorization = &commoncfg.Authorization{Type: "Bearer", CredentialsFile: cfg.TokenFile}
		}
		whole.AlertingConfig.AlertmanagerConfigs = append(whole.AlertingConfig.AlertmanagerConfigs, &to)
		f.targets[fmt.Sprintf("config-%d", i)] = []*targetgroup.Group{{
			Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(address(u))}},
		}}
	}
	if err := f.manager.ApplyConfig(whole); err != nil {
		return nil, fmt.Errorf("forward alerts: %w", err)
	}
	return f, nil
}

// address is host:port, with the scheme's own port where none is given.
func address(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "https" {
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "80")
}

// do makes a request that ends with Run and leaves no connection behind.
func (f *Forwarder) do(ctx context.Context, c *http.Client, req *http.Request) (*http.Response, error) {
	f.sending.Add(1)
	defer f.sending.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.ending, cancel)()
	req.Close = true
	resp, err := c.Do(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	// Only the status counts; the body is over before the context is.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	resp.Body.Close()
	resp.Body = http.NoBody
	return resp, nil
}

// Run sends until ctx ends and returns nil then. It may be called once.
func (f *Forwarder) Run(ctx context.Context) error {
	updates := make(chan map[string][]*targetgroup.Group, 1)
	updates <- f.targets
	var running sync.WaitGroup
	running.Go(func() { f.manager.Run(updates) })
	<-ctx.Done()
	f.manager.Stop()
	f.end()
	running.Wait()
	f.sending.Wait()
	return nil
}

// Put queues alerts; it never waits for an Alertmanager.
func (f *Forwarder) Put(alerts ...model.Alert) {
	out := make([]*notifier.Alert, 0, len(alerts))
	for _, a := range alerts {
		out = append(out, &notifier.Alert{
			Labels: ordered(a.Labels), Annotations: ordered(a.Annotations),
			StartsAt: a.StartsAt, EndsAt: a.EndsAt, GeneratorURL: a.GeneratorURL,
		})
	}
	f.manager.Send(out...)
}

func ordered(s model.LabelSet) labels.Labels {
	m := make(map[string]string, len(s))
	for k, v := range s {
		m[string(k)] = string(v)
	}
	return labels.FromMap(m)
}
