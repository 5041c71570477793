package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kongdao/kongdao/dashboards"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/demo/fleet"
	"github.com/kongdao/kongdao/xds/explain"
)

// maxRSS is the goal for this process' memory.
const maxRSS = 200 << 20

func (w *walk) look(ctx context.Context, s *Step) error {
	w.stopUsers()
	all := w.sent.Sent + w.others
	logged, err := w.logged(ctx, all)
	if err != nil {
		return err
	}
	s.figure("all ordinary calls of the walk", float64(all), "", "sent %d, logged %d, difference %d", all, sum(logged), all-sum(logged))
	s.must(sum(logged) == all, "sent %d calls, logged %d", all, sum(logged))
	w.explain(s)
	info := w.system.Info(ctx)
	s.must(info.EnvoyRestarts == 0 && info.ClickHouseRestarts == 0, "Envoy was restarted %d times, ClickHouse %d times", info.EnvoyRestarts, info.ClickHouseRestarts)
	s.must(len(w.system.State().Rejections) == 0, "Envoy rejected configuration: %v", w.system.State().Rejections)
	if err := dashboards.Write(w.grafanaDir()); err != nil {
		return err
	}
	s.figure("dashboards", 0, "", "%s, for Grafana's provisioning; kongdao dashboards export", w.grafanaDir())
	a := w.system.Addresses()
	s.figure("call log", 0, "", "table calls at %s; kongdao logs %s --data %s", a.ClickHouse, fleet.Feed, w.o.Config.DataDir)
	s.figure("alerts", 0, "", "http://%s/api/v2/alerts (amtool), rules at http://%s/api/v1/rules", a.Alertmanager, a.Prometheus)
	s.figure("messages to DingTalk", float64(len(w.robot.Messages())), "", "%s", w.messagesFile())
	s.figure("addresses", 0, "", "%s", app.AddressesFile(w.o.Config.DataDir))
	rss, err := residentBytes()
	if err != nil {
		return err
	}
	s.figure("memory of kongdao", float64(rss)/(1<<20), "MiB", "%d MiB resident (goal: at most %d)", rss>>20, maxRSS>>20)
	s.must(rss <= maxRSS, "this process takes %d MiB, more than %d", rss>>20, maxRSS>>20)
	return nil
}

// explain shows the way of one request.
func (w *walk) explain(s *Step) {
	r, err := explain.ParseRequest("GET", "http://"+fleet.Host+w.catalog[0].Path, nil)
	if err != nil {
		s.must(false, "explain: %v", err)
		return
	}
	answer := w.system.Explain(r)
	s.Text = fmt.Sprintf("$ kongdao explain GET http://%s%s --data %s\n", fleet.Host, w.catalog[0].Path, w.o.Config.DataDir) + answer.Text()
	s.must(answer.Function == fleet.Feed && answer.Status == 0, "explain says %q, status %d", answer.Function, answer.Status)
}

func (w *walk) grafanaDir() string { return filepath.Join(w.o.Config.DataDir, "grafana") }

func (w *walk) messagesFile() string { return filepath.Join(w.o.Config.DataDir, "dingtalk.md") }

// residentBytes is the memory of this process that is in RAM.
func residentBytes() (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no VmRSS in /proc/self/status")
}
