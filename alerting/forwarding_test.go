package alerting_test

import (
	"strings"
	"testing"

	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/internal/testkit"
)

// What rules find is told to another Alertmanager, which tells by webhook: one page,
// and its end.
func TestForwardedAndBackByWebhook(t *testing.T) {
	target, robot := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: secret})
	last := config(t.TempDir(), target.addr(), robot)
	last.Rules, last.Targets = nil, nil
	end := start(t, last)

	middle := config(t.TempDir(), target.addr(), robot)
	middle.Rules, middle.Targets, middle.Robots = nil, nil, nil
	middle.Alertmanager = strings.Replace(quick, "{name: dingtalk}", "{name: dingtalk, webhook_configs: [{url: 'http://"+end.Addr()+"/webhook/oncall'}]}", 1)
	am := start(t, middle)

	first := config(t.TempDir(), target.addr(), robot)
	first.Alertmanager = strings.ReplaceAll(quick, "dingtalk", `"null"`)
	first.Forward = alerting.Forwarding{URLs: []string{"http://" + am.Addr()}}
	start(t, first)

	target.broken.Store(1)
	if m := wait(t, robot, 1)[0]; !strings.Contains(m.Text, "feed 坏了") {
		t.Errorf("told %s", m.Text)
	}
	testkit.Eventually(t, "the other Alertmanager to know it", func() bool {
		return strings.Contains(get(t, "http://"+am.Addr()+"/api/v2/alerts"), `"Broken"`)
	})
	target.broken.Store(0)
	if m := wait(t, robot, 2)[1]; !strings.Contains(m.Title, "已恢复") {
		t.Errorf("told %s", m.Title)
	}
}
