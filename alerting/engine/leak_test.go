package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/engine"
	"github.com/kongdao/kongdao/internal/testkit"
)

// hush is part of every secret; it must be seen nowhere.
const hush = "hush7f3a9"

// secretive has a secret in each place that Alertmanager knows one for; nobody
// listens where it sends to.
const secretive = `
global:
  smtp_smarthost: 127.0.0.1:1
  smtp_from: a@example.com
  smtp_auth_username: a
  smtp_auth_password: hush7f3a9
  smtp_require_tls: false
  slack_api_url: http://127.0.0.1:1/services/hush7f3a9
  opsgenie_api_key: hush7f3a9
  opsgenie_api_url: http://127.0.0.1:1/
  wechat_api_secret: hush7f3a9
  wechat_api_corp_id: corp
  wechat_api_url: http://127.0.0.1:1/
  victorops_api_key: hush7f3a9
  victorops_api_url: http://127.0.0.1:1/
route: {receiver: all, group_by: [alertname], group_wait: 10ms, group_interval: 200ms, repeat_interval: 1h}
receivers:
- name: all
  webhook_configs: [{url: 'http://127.0.0.1:1/hook?token=hush7f3a9', http_config: {authorization: {credentials: hush7f3a9}}}, {url: 'http://127.0.0.1:1/', http_config: {basic_auth: {username: u, password: hush7f3a9}}}]
  slack_configs: [{channel: '#x'}]
  email_configs: [{to: b@example.com}]
  opsgenie_configs: [{}]
  wechat_configs: [{to_user: x, agent_id: '1'}]
  victorops_configs: [{routing_key: x}]
  pagerduty_configs: [{routing_key: hush7f3a9, url: 'http://127.0.0.1:1/'}]
  pushover_configs: [{user_key: hush7f3a9, token: hush7f3a9, http_config: {proxy_url: 'http://127.0.0.1:1'}}]
  discord_configs: [{webhook_url: 'http://127.0.0.1:1/hush7f3a9'}]
  telegram_configs: [{bot_token: hush7f3a9, chat_id: 1, api_url: 'http://127.0.0.1:1'}]
  msteams_configs: [{webhook_url: 'http://127.0.0.1:1/hush7f3a9'}]
`

// No secret of the configuration is in a log line, at any level, in a metric, or in
// an answer of the API, also when nothing can be delivered.
func TestSecretsAreNotTold(t *testing.T) {
	var logged lockedBuffer
	reg := prometheus.NewRegistry()
	cfg := engine.DefaultConfig(t.TempDir())
	cfg.Alertmanager = secretive
	log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	e, err := engine.New(cfg, func(string, dingtalk.Group) error { return nil }, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	now := time.Now()
	if err := e.Put(ctx, model.Alert{Labels: model.LabelSet{"alertname": "A"}, StartsAt: now, EndsAt: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	integrations := []string{"webhook", "slack", "email", "opsgenie", "wechat", "victorops", "pagerduty", "pushover", "discord", "telegram", "msteams"}
	testkit.Eventually(t, "all integrations to have failed", func() bool {
		for _, i := range integrations {
			if !strings.Contains(metricsOf(t, reg), fmt.Sprintf(`alertmanager_notification_requests_failed_total{integration=%q`, i)) || !strings.Contains(logged.String(), i) {
				return false
			}
		}
		return strings.Count(logged.String(), "Notify attempt failed") >= len(integrations)
	})
	for _, path := range []string{"/api/v2/status", "/api/v2/receivers", "/api/v2/alerts", "/api/v2/alerts/groups", "/api/v2/silences", "/"} {
		resp, err := noKeepAlive.Get("http://" + e.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if bytes.Contains(text, []byte(hush)) {
			t.Errorf("%s tells a secret", path)
		}
	}
	if strings.Contains(metricsOf(t, reg), hush) {
		t.Error("a metric tells a secret")
	}
	resp, err := noKeepAlive.Post("http://"+e.Addr()+"/webhook/"+hush, "application/json", strings.NewReader("{}"))
	if err != nil || resp.StatusCode != http.StatusNotFound {
		t.Error(resp, err)
	}
	resp.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(logged.String()) {
		if strings.Contains(line, hush) {
			t.Errorf("a log line tells a secret: %s", line)
		}
	}
}

// A configuration that is refused is named without what is secret in it.
func TestRefusedConfigurationTellsNoSecret(t *testing.T) {
	route := "route: {receiver: a}\nreceivers:\n- name: a\n"
	bad := []struct{ what, text string }{
		{"an address that is none", route + "  webhook_configs: [{url: 'http://127.0.0.1:x/" + hush + "'}]"},
		{"an address without scheme", route + "  slack_configs: [{api_url: '127.0.0.1/" + hush + "', channel: x}]"},
		{"another scheme", route + "  discord_configs: [{webhook_url: 'ftp://h/" + hush + "'}]"},
		{"a control character", route + "  msteams_configs: [{webhook_url: \"http://h/\\u0001" + hush + "\"}]"},
		{"a list for a password", "global: {smtp_auth_password: [" + hush + "]}\n" + route + "  email_configs: [{to: x}]"},
		{"a map for a key", route + "  pagerduty_configs: [{routing_key: {k: " + hush + "}}]"},
		{"a number for a header", route + "  webhook_configs: [{url: 'http://h', http_config: {authorization: " + hush + "}}]"},
		{"two kinds of authorization", route + "  webhook_configs: [{url: 'http://h', http_config: {authorization: {credentials: " + hush + "}, basic_auth: {username: u, password: " + hush + "}}}]"},
		{"a tab", "global: {smtp_auth_password: " + hush + "}\n\troute: x"},
		{"an unknown key", "global: {smtp_auth_password: " + hush + "}\nnonsense: 1\n" + route},
	}
	for _, c := range bad {
		cfg := engine.DefaultConfig(t.TempDir())
		cfg.Alertmanager, cfg.Robots = c.text, []string{"a"}
		err := cfg.Validate()
		if err == nil {
			_, err = engine.New(cfg, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		}
		if err == nil {
			t.Errorf("%s is taken", c.what)
		} else if strings.Contains(err.Error(), hush) {
			t.Errorf("%s: the error tells a secret: %v", c.what, err)
		}
	}
}

// What is wrong is named with its line, where the reader of YAML knows it.
func TestRefusedWithItsLine(t *testing.T) {
	cfg := engine.DefaultConfig(t.TempDir())
	cfg.Robots = []string{"a"}
	for text, want := range map[string]string{
		"route:\n  receiver: a\n  group_wate: 1s\nreceivers: [{name: a}]": "line 3: field group_wate not found",
		"route:\n  receiver: a\n group_wait: 1s":                          "line 2",
		"route:\n  receiver: b\nreceivers: [{name: a}]":                   `undefined receiver "b"`,
	} {
		cfg.Alertmanager = text
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func metricsOf(t *testing.T, reg prometheus.Gatherer) string {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range all {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
