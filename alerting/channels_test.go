package alerting_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/alerting/ledger"
	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
)

// webhook keeps what it is sent.
func webhook(t *testing.T) (url string, told <-chan string) {
	t.Helper()
	bodies := make(chan string, 100)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		bodies <- string(text)
	}))
	t.Cleanup(s.Close)
	return s.URL, bodies
}

func receive(t *testing.T, told <-chan string) string {
	t.Helper()
	select {
	case text := <-told:
		return text
	case <-time.After(patience):
		t.Fatal("the webhook is told nothing")
		return ""
	}
}

// A robot that refuses for good is stood in for by a receiver with integrations of
// Alertmanager's configuration, and the ledger says so.
func TestRefusedMessageGoesToAReceiver(t *testing.T) {
	target, robot := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: "changed"})
	url, told := webhook(t)
	cfg := config(t.TempDir(), target.addr(), robot)
	cfg.Channels = []alerting.Channel{{Name: "team", Robots: []string{"oncall"}, Fallback: "hook"}}
	cfg.Alertmanager = strings.Replace(strings.ReplaceAll(quick, "dingtalk", "team"), "receivers: [", "receivers: [{name: hook, webhook_configs: [{url: \""+url+"\"}]}, ", 1)
	a := start(t, cfg)
	target.broken.Store(1)
	if text := receive(t, told); !strings.Contains(text, `"alertname":"Broken"`) || !strings.Contains(text, `"receiver":"hook"`) || !strings.Contains(text, `"status":"firing"`) {
		t.Errorf("the webhook is told %s", text)
	}
	var kinds []string
	testkit.Eventually(t, "the ledger to tell of it", func() bool {
		events, _, err := a.Ledger().Read(100)
		if err != nil {
			t.Fatal(err)
		}
		kinds = nil
		for _, e := range events {
			kinds = append(kinds, e.Channel+":"+string(e.Kind))
		}
		return len(events) >= 7 && events[6].Kind == ledger.Sent
	})
	const want = "team:accepted team:tried team:refused hook:accepted team:fallback hook:tried hook:sent"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("ledger %s\nwant   %s", got, want)
	}
}

// The alert about a channel that delivers nothing does not take that channel.
func TestAlertAboutAChannelTakesAnother(t *testing.T) {
	target, robot := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: secret})
	other := dingtalktest.Start(t, dingtalktest.Config{})
	cfg := config(t.TempDir(), target.addr(), robot)
	cfg.Robots = append(cfg.Robots, alerting.Robot{Name: "other", URL: api.Secret(other.URL("token"))})
	cfg.Alertmanager, cfg.Fallback = strings.ReplaceAll(quick, "dingtalk", "oncall"), "other"
	rule := strings.NewReplacer("- alert: Broken", "- alert: NotificationUndelivered", "severity: page", "severity: page, channel: oncall").Replace(brokenRule)
	cfg.Rules = map[string]string{"test": rule}
	start(t, cfg)
	target.broken.Store(1)
	if got := wait(t, other, 1)[0]; !strings.Contains(got.Title, "NotificationUndelivered") {
		t.Errorf("told %s", got.Title)
	}
	if n := len(robot.Messages()); n != 0 {
		t.Errorf("%d messages through the channel itself", n)
	}
}

func TestChannelsAreChecked(t *testing.T) {
	cfg := alerting.DefaultConfig(t.TempDir())
	cfg.Robots = []alerting.Robot{{Name: "a", URL: "https://h/robot/send?access_token=x"}}
	cfg.Channels = []alerting.Channel{
		{Name: "x", Robots: []string{"b"}}, {Name: "y", Robots: []string{"a"}, Fallback: "nobody"}, {Name: "z"}, {Name: "a", Robots: []string{"b"}},
	}
	err := cfg.Validate()
	for _, want := range []string{`channel x: there is no robot "b"`, `fallback of channel y: there is no channel or robot "nobody"`, "channel z: must have either", "channel a: there is a robot of that name"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not said in: %v", want, err)
		}
	}
}
