package alerting_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/alerting/ledger"
	"github.com/kongdao/kongdao/api"
)

// A storm is 10,000 alerts in a second, in groups, the first ten groups of which page.
type storm struct {
	groups, robots, kills int
}

const (
	stormAlerts = 10_000
	stormPages  = 10
	envStorm    = "ALERTING_STORM" // the child's settings, as JSON
	stormEnd    = 100 * time.Second
)

// child is what the process that is killed is told.
type stormChild struct {
	Dir, URL, GroupBy string
	Robots            int
}

func stormRobots(url string, n int) (robots []alerting.Robot, names []string) {
	for i := range n {
		name := fmt.Sprint("r", i)
		names = append(names, name)
		robots = append(robots, alerting.Robot{Name: name, URL: api.Secret(url + name)})
	}
	return robots, names
}

// TestStormChild is the process that is killed: alerting as it is, behind
// Alertmanager's API.
func TestStormChild(t *testing.T) {
	text := os.Getenv(envStorm)
	if text == "" {
		return // not a child
	}
	var c stormChild
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	cfg := alerting.DefaultConfig(c.Dir)
	robots, names := stormRobots(c.URL, c.Robots)
	cfg.Robots, cfg.Channels = robots, []alerting.Channel{{Name: "storm", Robots: names}}
	cfg.Alertmanager = "route: {receiver: storm, group_by: [" + c.GroupBy + "], group_wait: 1s, group_interval: 5s, repeat_interval: 4h}\nreceivers: [{name: storm}]\n"
	a, err := alerting.New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("listens", a.Addr())
	_ = a.Run(t.Context())
}

// stormProcess is the child that runs at the moment.
type stormProcess struct {
	b       *testing.B
	child   stormChild
	mu      sync.Mutex
	cmd     *exec.Cmd
	address string
}

func (p *stormProcess) start() {
	text, err := json.Marshal(p.child)
	if err != nil {
		p.b.Error(err)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestStormChild$")
	cmd.Env = append(os.Environ(), envStorm+"="+string(text))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.b.Error(err)
		return
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "listens "); ok {
			p.mu.Lock()
			p.cmd, p.address = cmd, address
			p.mu.Unlock()
			return
		}
	}
	p.b.Error("the child does not listen")
}

func (p *stormProcess) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Kill() // SIGKILL
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

func (p *stormProcess) at() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address
}

// groupName is in each message about the group.
func groupName(i int) string { return fmt.Sprintf("Storm%05d", i) }

func (s storm) severity(group int) string {
	if group < stormPages {
		return "page"
	}
	return "ticket"
}

// alerts of one group, as the API takes them.
func (s storm) alerts(group int, start time.Time) []map[string]any {
	var all []map[string]any
	for pod := range stormAlerts / s.groups {
		all = append(all, map[string]any{
			"labels":      map[string]string{"alertname": groupName(group), "severity": s.severity(group), "pod": fmt.Sprint("10.0.0.", pod)},
			"annotations": map[string]string{"summary": "errors of a pod"},
			"startsAt":    start.Format(time.RFC3339Nano), "endsAt": start.Add(time.Hour).Format(time.RFC3339Nano),
		})
	}
	return all
}

// send posts all alerts within a second, each group until it is taken, as Prometheus
// does.
func (s storm) send(ctx context.Context, p *stormProcess) {
	start := time.Now()
	const batches = 100
	var sending sync.WaitGroup
	for i := range batches {
		time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / batches)))
		sending.Go(func() {
			var body []map[string]any
			for g := i * s.groups / batches; g < (i+1)*s.groups/batches; g++ {
				body = append(body, s.alerts(g, start)...)
			}
			text, _ := json.Marshal(body)
			for ctx.Err() == nil && stormPost(p.at(), text) != nil {
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	sending.Wait()
}

func stormPost(address string, body []byte) error {
	res, err := http.Post("http://"+address+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answer %s", res.Status)
	}
	return nil
}

// stormResult is what reached the robots.
type stormResult struct {
	told             int           // groups
	repeated         int           // groups that came again with the same mark, after a kill or a lost answer
	double           int           // messages that said what another one had said, with another mark
	throttled        int           // 130101
	firstPage, worst time.Duration // page, since the storm began
	messages         int
	took             time.Duration
}

var stormMark = regexp.MustCompile(`Storm\d{5}|#[0-9A-F]{4}-\d+`)

func (s storm) judge(robot *dingtalktest.Server, begin time.Time) (r stormResult) {
	marks := map[string]map[string]int{} // by group: how often each of its marks came
	for _, m := range robot.Messages() {
		r.messages++
		name, named := "", map[string]bool{}
		for _, word := range stormMark.FindAllString(m.Text, -1) {
			if strings.HasPrefix(word, "Storm") {
				name = word
				continue
			}
			if name == "" || named[name] {
				continue
			}
			named[name] = true
			if marks[name] == nil {
				marks[name] = map[string]int{}
				r.took = max(r.took, m.At.Sub(begin))
				if name < groupName(stormPages) {
					r.worst = max(r.worst, m.At.Sub(begin))
					if r.firstPage == 0 {
						r.firstPage = m.At.Sub(begin)
					}
				}
			}
			marks[name][word]++
		}
	}
	r.told = len(marks)
	for _, of := range marks {
		for _, n := range of {
			r.repeated += n - 1
		}
	}
	for _, x := range robot.Refusals() {
		if x.Code == 130101 {
			r.throttled++
		}
	}
	return r
}

func stormRobot(b *testing.B, n int) *dingtalktest.Server {
	_, names := stormRobots("", n)
	return dingtalktest.Start(b, dingtalktest.Config{Tokens: names})
}

// run is one storm, with kills at random moments and robots that fail.
func (s storm) run(b *testing.B) stormResult {
	robot := stormRobot(b, s.robots)
	faults := []dingtalktest.Fault{{}, {}, {}, {Kind: dingtalktest.HTTPStatus, Code: 502}, {}, {Kind: dingtalktest.Errcode, Code: -1}, {}, {}, {Kind: dingtalktest.LoseAnswer}}
	robot.Inject(faults...)
	by := "alertname"
	if s.groups == stormAlerts {
		by = "'...'"
	}
	p := &stormProcess{b: b, child: stormChild{Dir: b.TempDir(), URL: robot.URL(""), GroupBy: by, Robots: s.robots}}
	p.start()
	defer p.kill()
	ctx, cancel := context.WithTimeout(b.Context(), stormEnd)
	defer cancel()
	begin := time.Now()
	var storming sync.WaitGroup
	storming.Go(func() { s.send(ctx, p) })
	storming.Go(func() {
		for range s.kills {
			time.Sleep(time.Duration(300+rand.IntN(1500)) * time.Millisecond)
			p.kill()
			p.start()
		}
	})
	_, _ = robot.Wait(ctx, func(all []dingtalktest.Received) bool {
		return len(all) > 0 && ctx.Err() == nil && s.judge(robot, begin).told == s.groups
	})
	storming.Wait()
	time.Sleep(6 * time.Second) // another group_interval: what would come twice comes now
	p.kill()
	r := s.judge(robot, begin)
	r.double = doubles(b, p.child.Dir)
	return r
}

// doubles counts, in the ledger, delivered messages that said no more than one before
// them. A group that Alertmanager tells again because it has grown is none.
func doubles(b *testing.B, dir string) (n int) {
	l, err := ledger.Open(ledger.DefaultConfig(filepath.Join(dir, "ledger")))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	events, _, err := l.Read(1 << 20)
	if err != nil {
		b.Fatal(err)
	}
	alerts, delivered := map[string]string{}, map[string]bool{}
	for _, e := range events { // some twice, by the same IDs: told again after a kill
		switch {
		case e.Kind == ledger.Accepted:
			alerts[e.Message] = fmt.Sprint(e.Group, e.Alerts, e.Firing)
		case e.Kind == ledger.Digested || (e.Kind == ledger.Sent && e.Last):
			delivered[e.Message] = true
		}
	}
	said := map[string]bool{}
	for message := range delivered {
		if said[alerts[message]] {
			n++
		}
		said[alerts[message]] = true
	}
	return n
}

// BenchmarkStorm: 10,000 alerts in a second, with kill -9 and failing robots, and what
// prometheus-webhook-dingtalk makes of the same groups.
func BenchmarkStorm(b *testing.B) {
	for _, c := range []struct {
		name string
		storm
	}{
		{"groups-of-ten", storm{groups: 1000, robots: 3, kills: 3}},
		{"every-alert-alone", storm{groups: stormAlerts, robots: 6, kills: 2}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var rounds []stormResult
			for b.Loop() {
				rounds = append(rounds, c.run(b))
			}
			var first []float64
			var all stormResult
			for _, r := range rounds {
				first = append(first, r.firstPage.Seconds())
				all.told, all.double, all.repeated = all.told+r.told, all.double+r.double, all.repeated+r.repeated
				all.throttled, all.messages = all.throttled+r.throttled, all.messages+r.messages
				all.worst, all.took = max(all.worst, r.worst), max(all.took, r.took)
			}
			b.ReportMetric(float64(len(rounds)*c.groups-all.told), "lost")
			b.ReportMetric(float64(all.double), "double")
			b.ReportMetric(float64(all.repeated), "sent-again-same-mark")
			b.ReportMetric(float64(all.throttled), "130101")
			b.ReportMetric(slices.Max(first), "first-page-s")
			b.ReportMetric(all.worst.Seconds(), "last-page-s")
			b.ReportMetric(all.took.Seconds(), "all-told-s")
			b.ReportMetric(float64(all.messages)/float64(len(rounds)), "messages")
		})
		b.Run(c.name+"/peer", func(b *testing.B) { peerStorm(b, c.storm) })
	}
}
