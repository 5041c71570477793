package engine

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	amconfig "github.com/prometheus/alertmanager/config"
)

// TestSecretsOfTheConfigurationAreHidden, in every place of a record and every form in
// which a request has them, while all else stays.
func TestSecretsOfTheConfigurationAreHidden(t *testing.T) {
	conf, err := amconfig.Load(`
global: {smtp_smarthost: "mail:25", smtp_from: a@b, smtp_auth_password: mail-pass, slack_api_url: "https://hooks.slack.example/services/T0000/B0000/XXXXXXXXXXXXXXXXXXXX"}
route: {receiver: a}
receivers:
- name: a
  webhook_configs: [{url: "http://user:url-pass@hook:9000/alerts?key=a+b%2Fc/d", http_config: {basic_auth: {username: u, password: basic-pass}}}]
  wechat_configs: [{api_secret: "wechat secret", corp_id: corp}]
  email_configs: [{to: c@d}]
`)
	if err != nil {
		t.Fatal(err)
	}
	var s secrets
	var out bytes.Buffer
	log := slog.New(hider{slog.NewTextHandler(&out, nil), &s})
	log.Error("nothing is known: mail-pass")
	s.add(conf)
	forms := []string{
		"mail-pass", "XXXXXXXXXXXXXXXXXXXX", "url-pass", "basic-pass", "a b/c/d", "a+b%2Fc%2Fd", "wechat secret", "wechat+secret",
		"dTpiYXNpYy1wYXNz", // u:basic-pass
	}
	for _, form := range forms {
		err := errors.New("answer: " + form + ".")
		log.With("a", form).WithGroup("g").Error("it says", "b", err, "f", form, slog.Group("h", "c", form), "d", []string{form}, "e", &url.URL{Path: "x"})
		if got := s.hideError(fmt.Errorf("x: %w", err)).Error(); got != "x: answer: <secret>." {
			t.Errorf("%s: error %s", form, got)
		}
	}
	first, rest, _ := strings.Cut(out.String(), "\n")
	if !strings.Contains(first, "mail-pass") {
		t.Errorf("hidden before it was known: %s", first)
	}
	for _, form := range forms {
		if strings.Contains(rest, form) {
			t.Errorf("%s is in:\n%s", form, rest)
		}
	}
	if n := strings.Count(rest, "<secret>"); n != 5*len(forms) {
		t.Errorf("hidden %d times, want %d:\n%s", n, 5*len(forms), rest)
	}
	const harmless = "POST http://hook:9000/alerts of corp for c@d: 500"
	if err := errors.New(harmless); !errors.Is(s.hideError(err), err) || s.hide(harmless) != harmless || s.hideError(nil) != nil {
		t.Errorf("changed: %s", s.hide(harmless))
	}
}
