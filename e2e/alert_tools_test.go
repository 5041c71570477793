package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/alertmanager/api/v2/models"

	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/alerting/rule"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/demo/fleet"
	"github.com/kongdao/kongdao/internal/testkit"
)

// TestAlertTools uses a running system as people do who know Prometheus and
// Alertmanager, by Debian's amtool and promtool, and with kongdao alert.
func TestAlertTools(t *testing.T) {
	robot := dingtalktest.Start(t, dingtalktest.Config{})
	platform := newPlatform(t, fleet.Rates{}, functions("feed")...)
	write(t, filepath.Join(platform.dir, "robot.yaml"), "apiVersion: kongdao.io/v1\nkind: Robot\nmetadata: {name: on-call}\nspec: {url: \""+robot.URL("token")+"\"}\n")
	write(t, filepath.Join(platform.dir, "rules.yaml"), alwaysFires)
	data := t.TempDir()
	p := up(t, data, platform.dir)
	t.Run("amtool", func(t *testing.T) { asAmtool(t, p) })
	t.Run("promtool", func(t *testing.T) { asPromtool(t, p) })
	t.Run("kongdao alert", func(t *testing.T) { asOnCall(t, data, robot) })
	t.Run("kongdao alert list --watch", func(t *testing.T) { asWatcher(t, data, p) })
	p.stop()
}

const alwaysFires = `apiVersion: kongdao.io/v1
kind: AlertRule
metadata: {name: always}
spec:
  groups:
    - name: always
      interval: 1s
      rules:
        - alert: Always
          expr: vector(7) > 1
          for: 1s
          labels: {severity: ticket, function: feed}
          annotations: {summary: "for a test"}
`

// tool runs a program of Debian's.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, testkit.Tool(t, name), args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out.String(), stderr.String())
	}
	return out.String()
}

func asAmtool(t *testing.T, p *process) {
	amtool := func(args ...string) string {
		t.Helper()
		return tool(t, "amtool", append([]string{"--alertmanager.url=http://" + p.addr.Alertmanager}, args...)...)
	}
	amtool("alert", "add", "alertname=ByTool", "severity=ticket", "zone=zb-x", "--annotation=summary=by hand")
	until(t, "the alert is there", func() error { return has(amtool("alert", "query", "ByTool"), "by hand", "active") })
	id := strings.TrimSpace(amtool("silence", "add", "ByTool", "zone=~zb-.*", "--comment=drill", "--author=ann", "--duration=10m"))
	wants(t, amtool("silence", "query", "--quiet"), id)
	wants(t, amtool("silence", "query", "--created-by=ann"), `zone=~"zb-.*"`, "drill")
	wants(t, amtool("alert", "query", "--silenced", "ByTool"), "suppressed")
	amtool("silence", "expire", id)
	if out := amtool("silence", "query", "--quiet"); strings.TrimSpace(out) != "" {
		t.Errorf("silences after expire: %s", out)
	}
	wants(t, amtool("alert", "query", "ByTool"), "active")
	wants(t, amtool("config", "show"), "receiver: owner")
	wants(t, amtool("config", "routes", "show"), `PodsDown`)
	if got := amtool("config", "routes", "test", "alertname=PodsDown"); strings.TrimSpace(got) != "owner" {
		t.Errorf("routes test: %s", got)
	}
}

func asPromtool(t *testing.T, p *process) {
	server := "http://" + p.addr.Prometheus
	for name, text := range rule.Pack() {
		if name == rule.LogPack { // SQL is nothing for promtool
			continue
		}
		file := filepath.Join(t.TempDir(), name+".yaml")
		write(t, file, text)
		wants(t, tool(t, "promtool", "check", "rules", file), "SUCCESS")
	}
	until(t, "the rule fires", func() error {
		return has(tool(t, "promtool", "query", "instant", server, `ALERTS{alertname="Always",alertstate="firing"}`), `function="feed"`, "=> 1")
	})
	wants(t, tool(t, "promtool", "query", "series", server, "--match=up"), `job="kongdao"`)
	wants(t, tool(t, "promtool", "query", "labels", server, "alertname"), "Always")
	wants(t, tool(t, "promtool", "query", "range", server, "up", "--step=1s"), "=>")
}

// asOnCall goes through the commands. Always fires, and ByTool where amtool is.
func asOnCall(t *testing.T, data string, robot *dingtalktest.Server) {
	kongdao := func(code int, args ...string) string {
		t.Helper()
		got, out, stderr := run(t, data, append([]string{"alert"}, args...)...)
		if got != code {
			t.Fatalf("kongdao alert %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, stderr)
		}
		return out + stderr
	}
	message(t, robot, "Always")
	wants(t, kongdao(0, "list", "--function", "feed"), "Always", "active", "for a test")
	wants(t, kongdao(0, "list", "Nothing"), "nothing fires")
	var groups []struct {
		app.AlertGroup
		Alerts models.GettableAlerts
	}
	decode(t, kongdao(0, "list", "--groups", "Always", "-o", "json"), &groups)
	if len(groups) != 1 || groups[0].Channel != "on-call" || len(groups[0].Alerts) != 1 {
		t.Fatalf("groups %+v", groups)
	}
	mark := groups[0].Mark
	if messages := robot.Messages(); !strings.Contains(messages[len(messages)-1].Text+messages[0].Text, mark) {
		t.Errorf("no message with the mark %s: %+v", mark, messages)
	}
	for _, name := range []string{"Always", mark, strings.TrimPrefix(mark, "#") + "-1", *groups[0].Alerts[0].Fingerprint} {
		wants(t, kongdao(0, "show", name), "Always  ticket  fires for", "value ", "vector(7) > 1", "for   ", mark+" to owner (on-call)", "past ", "firing from")
	}
	wants(t, kongdao(1, "show", "Nix"), "there is no alert Nix", "ZoneDown")
	wants(t, kongdao(0, "show", "ZoneDown"), "does not fire", "kongdao_xds_ready_pods")
	wants(t, kongdao(0, "test", "--route", "alertname=PodsDown", "zone=zb-x"), "owner (on-call)", `{alertname="PodsDown"}`, "same alertname, ")

	wants(t, kongdao(0, "silence", "Always", "--dry-run"), "would silence", "1 alert ", "for a test")
	wants(t, kongdao(0, "silences"), "nothing is silenced")
	wants(t, kongdao(3, "silence", "alertname=~.+"), "silence every alert")
	for _, wrong := range [][]string{{"silence"}, {"silence", "a=b", "--for", "soon"}, {"silence", "a=~("}, {"test"}, {"test", "--route", "a"}, {"list", "--receiver", "("}, {"show"}} {
		kongdao(2, wrong...)
	}
	wants(t, kongdao(0, "silence", "--function", "feed", "--for", "10m", "--comment", "drill", "--author", "ann"), "silences 1 alert ")
	wants(t, kongdao(0, "list", "Always"), "silenced")
	wants(t, kongdao(0, "show", "Always"), "silenced", "ann: drill")
	wants(t, kongdao(0, "test", "--route", "alertname=Always", "function=feed"), "silenced now by")
	var silences []struct {
		ID     string
		Alerts int
	}
	decode(t, kongdao(0, "silences", "-o", "json"), &silences)
	if len(silences) != 1 || silences[0].Alerts != 1 {
		t.Fatalf("silences %+v", silences)
	}
	wants(t, kongdao(1, "expire", "nope"), "no such silence")
	wants(t, kongdao(0, "expire", silences[0].ID[:8]), "ended "+silences[0].ID)
	wants(t, kongdao(1, "expire", silences[0].ID), "is over since")
	wants(t, kongdao(0, "silences", "--ended"), "expired", "drill")
	wants(t, kongdao(0, "list", "Always"), "active")
}

// asWatcher sees an alert begin and end.
func asWatcher(t *testing.T, data string, p *process) {
	w := start(t, data, "alert", "list", "--watch", "-o", "json", "Watched", "--data", data)
	until(t, "it watches", func() error { return has(tail(w.log), "watching, 0 alerts fire now") })
	newAmtool(t, p.addr.Alertmanager).fire("Watched", "zone", "zb-x")
	until(t, "it has seen the alert", func() error { return has(tail(w.log), "\n1 alert fires now") })
	w.ctrlC()
	if code := w.wait(patience); code != 0 {
		t.Errorf("exit code %d after Ctrl-C", code)
	}
	var change struct {
		Change string
		Alert  models.GettableAlert
	}
	decode(t, strings.SplitN(w.out.String(), "\n", 2)[0], &change)
	if change.Change != "active" || change.Alert.Labels["zone"] != "zb-x" {
		t.Errorf("watched: %s", w.out.String())
	}
}

func has(text string, parts ...string) error {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return &lacks{text, part}
		}
	}
	return nil
}

type lacks struct{ text, part string }

func (l *lacks) Error() string { return "no " + l.part + " in:\n" + l.text }

func wants(t *testing.T, text string, parts ...string) {
	t.Helper()
	if err := has(text, parts...); err != nil {
		t.Error(err)
	}
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
}
