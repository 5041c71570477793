package alerting_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/api"
)

// Alertmanager's configuration changes while it runs; a wrong one changes nothing,
// and robots that change later do not bring an older one back.
func TestAlertmanagersConfigurationIsReloaded(t *testing.T) {
	target := serveGauges(t)
	robot, other := dingtalktest.Start(t, dingtalktest.Config{Secret: secret}), dingtalktest.Start(t, dingtalktest.Config{})
	cfg := config(t.TempDir(), target.addr(), robot)
	second := alerting.Robot{Name: "second", URL: api.Secret(other.URL("token"))}
	cfg.Robots = append(cfg.Robots, second)
	file := filepath.Join(t.TempDir(), "alertmanager.yml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(quick)
	cfg.ReadAlertmanager = func() (string, error) {
		text, err := os.ReadFile(file)
		return string(text), err
	}
	a := start(t, cfg)
	reload := func() (int, string) {
		t.Helper()
		resp, err := noKeepAlive.Post("http://"+a.Addr()+"/-/reload", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, read(t, resp)
	}
	write("route:\n  receiver: nobody\n  group_wate: 1s\n")
	if code, text := reload(); code != http.StatusInternalServerError || !strings.Contains(text, "line 3") {
		t.Errorf("a wrong one: %d %s", code, text)
	}
	write(strings.ReplaceAll(quick, "dingtalk", "second"))
	if code, text := reload(); code != http.StatusOK {
		t.Errorf("%d %s", code, text)
	}
	if err := a.SetRobots(cfg.Robots); err != nil {
		t.Fatal(err)
	}
	if err := a.SetRobots(cfg.Robots[:1]); err == nil {
		t.Error("a robot that the configuration names went away")
	}
	target.broken.Store(1)
	wait(t, other, 1)
	if n := len(robot.Messages()); n != 0 {
		t.Errorf("%d messages to the receiver of before", n)
	}
}
