package rule_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/kongdao/kongdao/alerting/rule"
)

const envKillDir, envKillTarget = "RULE_TEST_DIR", "RULE_TEST_TARGET"

func killedRules() map[string]string {
	return map[string]string{
		"ready": fmt.Sprintf(notReady, "1h"),
		"kept":  "groups: [{name: kept, rules: [{record: 'kongdao:objective_kept:x', expr: 'ready + 5'}]}]",
	}
}

// TestEvaluatorChild is the process that is killed. It says where it answers.
func TestEvaluatorChild(t *testing.T) {
	dir := os.Getenv(envKillDir)
	if dir == "" {
		return // not a child
	}
	cfg := config(dir, os.Getenv(envKillTarget))
	cfg.Rules = killedRules()
	e, err := rule.New(cfg, func(context.Context, ...model.Alert) error { return nil }, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("addr", e.Addr())
	_ = e.Run(t.Context()) // until it is killed
}

// After kill -9 in the middle of evaluations, what was pending counts on from when it
// began, and what objectives recorded is there.
func TestPendingTimeSurvivesKill(t *testing.T) {
	m, dir := serve(t), t.TempDir()
	child := exec.Command(os.Args[0], "-test.run", "^TestEvaluatorChild$", "-test.timeout", "2m")
	child.Env = append(os.Environ(), envKillDir+"="+dir, envKillTarget+"="+m.addr)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() { _ = child.Process.Kill(); _ = child.Wait() } // its exit code is the kill's
	defer kill()
	addr := ""
	for lines := bufio.NewScanner(out); addr == "" && lines.Scan(); {
		if a, ok := strings.CutPrefix(lines.Text(), "addr "); ok {
			addr = a
		}
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	eventually(t, func() bool { // much longer than the pause will be
		resp, err := c.Get("http://" + addr + "/api/v1/query?query=time()-ALERTS_FOR_STATE%3E3")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var b [4096]byte
		n, _ := resp.Body.Read(b[:])
		return strings.Contains(string(b[:n]), `"NotReady"`)
	}, func() string { return "nothing is pending in the child at " + addr })
	killed := time.Now()
	kill()

	cfg := config(dir, m.addr)
	cfg.Rules = killedRules()
	delete(cfg.Rules, "kept")
	e := start(t, cfg)
	e.query(t, "last_over_time(kongdao:objective_kept:x[1h])", "5")
	eventually(t, func() bool {
		var answer struct {
			Data struct {
				Alerts []struct{ ActiveAt time.Time }
			}
		}
		e.get(t, "/api/v1/alerts", &answer)
		return len(answer.Data.Alerts) == 1 && answer.Data.Alerts[0].ActiveAt.Before(killed)
	}, func() string { return "what was pending before the kill is not" })
}
