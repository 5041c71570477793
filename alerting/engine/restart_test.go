package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/nflog/nflogpb"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/engine"
	"github.com/kongdao/kongdao/internal/testkit"
)

const (
	envDir    = "ENGINE_TEST_DIR"
	envAlerts = "ENGINE_TEST_ALERTS" // to put; none: only what is on disk
)

const perGroup = 10

// TestChild is the process that is killed. It prints its address, each group that
// it tells, and "ready" once a new alert gets through.
func TestChild(t *testing.T) {
	dir := os.Getenv(envDir)
	if dir == "" {
		return // not a child
	}
	cfg := engine.DefaultConfig(dir)
	cfg.Robots, cfg.MaintenanceInterval = []string{"oncall"}, time.Hour // only changes reach the disk
	cfg.Renewal = time.Hour
	var mu sync.Mutex
	out := bufio.NewWriter(os.Stdout)
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, format+"\n", args...)
		out.Flush()
	}
	e, err := engine.New(cfg, func(_ string, g dingtalk.Group) error {
		if g.Name() == "Probe" {
			say("ready")
		} else {
			say("told %s %s %t %d", g.Name(), g.Labels["function"], g.Firing(), len(g.Alerts))
		}
		return nil
	}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent has enough
		cancel()
	}()
	say("listens %s", e.Addr())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	n, _ := strconv.Atoi(os.Getenv(envAlerts))
	for g := range n / perGroup {
		if err := e.Put(ctx, many(g)...); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	probe := model.Alert{Labels: model.LabelSet{"alertname": "Probe"}, StartsAt: now.Add(-time.Minute), EndsAt: now.Add(time.Hour)}
	if n == 0 {
		probe.Labels["run"] = model.LabelValue(now.String())
	}
	if err := e.Put(ctx, probe); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// many are the alerts of one function, as long as real ones.
func many(g int) (alerts []model.Alert) {
	now := time.Now()
	function := model.LabelValue(fmt.Sprintf("recommend-%04d", g))
	for p := range perGroup {
		alerts = append(alerts, model.Alert{
			Labels: model.LabelSet{
				"alertname": "SlowPod", "function": function, "zone": "zb-a", "severity": "ticket", "team": "feed",
				"pod": model.LabelValue(fmt.Sprintf("10.%d.%d.%d:8080", g/250, g%250, p)),
			},
			Annotations: model.LabelSet{
				"summary":     model.LabelValue(fmt.Sprintf("%s answers slowly: %d ms at the 99th percentile of the last five minutes", function, 900+p)),
				"summary_zh":  "最近五分钟的第 99 百分位延迟过高",
				"description": "More than the objective allows, for longer than five minutes; see the runbook.",
				"runbook":     "docs/runbooks/latency-step.md",
			},
			GeneratorURL: "http://127.0.0.1:9090/api/v1/query?query=histogram_quantile%280.99%2C+rate%28kongdao_collector_pod_call_duration_seconds%5B5m%5D%29%29",
			StartsAt:     now, EndsAt: now.Add(time.Hour), // told whole, after group_wait
		})
	}
	return alerts
}

type process struct {
	*exec.Cmd
	addr  string
	lines chan string
	stdin io.Closer
}

func spawn(t testing.TB, dir string, alerts int) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.timeout=5m"), lines: make(chan string, 1<<20)}
	p.Env = append(os.Environ(), envDir+"="+dir, fmt.Sprint(envAlerts, "=", alerts))
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.stdin, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			p.lines <- in.Text()
		}
	}()
	_, p.addr, _ = strings.Cut(p.until(t, "listens")[0], " ")
	return p
}

// until returns what the process says, the line that begins with word last.
func (p *process) until(t testing.TB, word string) (lines []string) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		select {
		case l, ok := <-p.lines:
			if !ok {
				t.Fatalf("the process ended before it said %q: %q", word, lines)
			}
			if strings.HasPrefix(l, word) || strings.HasPrefix(l, "told") {
				lines = append(lines, l)
			}
			if strings.HasPrefix(l, word) {
				return lines
			}
		case <-deadline:
			t.Fatalf("the process did not say %q", word)
		}
	}
}

// allTold waits until all groups were told whole.
func (p *process) allTold(t testing.TB, alerts int) {
	t.Helper()
	for whole := map[string]bool{}; len(whole) < alerts/perGroup; {
		l := p.until(t, "told")
		if last := l[len(l)-1]; strings.HasSuffix(last, fmt.Sprintf(" %d", perGroup)) {
			whole[last] = true
		}
	}
}

// noted is how many groups have it on disk that all their alerts were told.
func noted(t testing.TB, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	whole := map[string]bool{}
	for in := bytes.NewReader(text); ; {
		var e nflogpb.MeshEntry
		if _, err := in.Seek(8, io.SeekCurrent); err != nil { // length and checksum
			t.Fatal(err)
		}
		if err := protodelim.UnmarshalFrom(in, &e); err != nil {
			return len(whole)
		}
		if len(e.Entry.FiringAlerts) == perGroup {
			whole[string(e.Entry.GroupKey)] = true
		}
	}
}

func (p *process) kill() {
	_ = p.Process.Kill()
	for range p.lines {
	}
	_ = p.Wait()
}

// end lets the process stop by itself.
func (p *process) end(t testing.TB) {
	t.Helper()
	p.stdin.Close()
	for range p.lines {
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

func (p *process) silence(t testing.TB, name, value string, regex bool) {
	t.Helper()
	now := time.Now()
	post(t, "http://"+p.addr+"/api/v2/silences", map[string]any{
		"matchers": []any{map[string]any{"name": name, "value": value, "isEqual": true, "isRegex": regex}},
		"startsAt": now, "endsAt": now.Add(time.Hour), "createdBy": "ann", "comment": "known",
	})
}

var noKeepAlive = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func post(t testing.TB, address string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := noKeepAlive.Post(address, "application/json", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode/100 != 2 {
		t.Fatalf("%s: %s %s", address, resp.Status, answer)
	}
}

func list(t testing.TB, address string) (all []map[string]any) {
	t.Helper()
	resp, err := noKeepAlive.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	return all
}

// A kill between two snapshots forgets no alert, no silence and nothing that was
// told; the end of an alert that came just before is told after.
func TestKillForgetsNothing(t *testing.T) {
	const alerts = 2000
	dir := t.TempDir()
	p := spawn(t, dir, alerts)
	p.allTold(t, alerts)
	p.silence(t, "function", "recommend-0007", false)
	testkit.Eventually(t, "what was told to be written down", func() bool {
		return noted(t, filepath.Join(dir, "nflog.1.log")) == alerts/perGroup
	})
	now := time.Now()
	ends := many(9)
	for i := range ends {
		ends[i].StartsAt, ends[i].EndsAt = now.Add(-time.Minute), now
	}
	post(t, "http://"+p.addr+"/api/v2/alerts", ends)
	p.kill()

	p = spawn(t, dir, 0)
	again := p.until(t, "ready")
	if len(again) == 1 { // the end of function 9 may come after the probe
		again = append(again, p.until(t, "told")...)
	}
	for _, l := range again {
		if l != "ready" && l != fmt.Sprintf("told SlowPod recommend-0009 false %d", perGroup) {
			t.Errorf("after the kill: %s", l)
		}
	}
	if n := len(list(t, "http://"+p.addr+"/api/v2/alerts")); n != alerts-perGroup+2 { // and two probes
		t.Errorf("%d alerts after the kill", n)
	}
	if s := list(t, "http://"+p.addr+"/api/v2/silences"); len(s) != 1 {
		t.Errorf("silences after the kill: %v", s)
	}
	p.kill()
}

// Killed while it tells: nothing is forgotten, and what was just being told comes
// twice at most.
func TestKillInTheMiddle(t *testing.T) {
	const alerts = 3000
	dir := t.TempDir()
	groups := map[string]int{}
	count := func(lines []string) {
		for _, l := range lines {
			if f := strings.Fields(l); f[0] == "told" && f[4] == fmt.Sprint(perGroup) {
				groups[f[2]]++
			}
		}
	}
	p := spawn(t, dir, alerts)
	for len(groups) < 100 {
		count(p.until(t, "told"))
	}
	_ = p.Process.Kill()
	for l := range p.lines {
		if strings.HasPrefix(l, "told") {
			count([]string{l})
		}
	}
	_ = p.Wait()
	p = spawn(t, dir, alerts) // who put the alerts puts them again
	for len(groups) < alerts/perGroup {
		count(p.until(t, "told"))
	}
	p.kill()
	for g, n := range groups {
		if n > 2 {
			t.Errorf("%s was told %d times, with one kill", g, n)
		}
	}
}

// BenchmarkRestart starts an engine with 50,000 alerts that fire, in 5,000 groups,
// and 1,000 silences, one in ten a regular expression, until a new alert is told.
func BenchmarkRestart(b *testing.B) {
	const alerts, silences = 50_000, 1_000
	dir := b.TempDir()
	p := spawn(b, dir, alerts)
	p.allTold(b, alerts)
	for i := range silences {
		if i%10 == 0 {
			p.silence(b, "function", fmt.Sprintf("checkout-%d.*", i), true)
		} else {
			p.silence(b, "function", fmt.Sprintf("checkout-%d", i), false)
		}
	}
	p.end(b)
	var again, rss, peak, cpu float64
	for b.Loop() {
		p := spawn(b, dir, 0)
		again += float64(len(p.until(b, "ready")) - 1)
		b.StopTimer()
		cpu += cpuSeconds(b, p.Process.Pid)
		<-time.After(12 * time.Second) // through two flushes of all groups
		rss, peak = max(rss, memory(b, p.Process.Pid, "VmRSS")), max(peak, memory(b, p.Process.Pid, "VmHWM"))
		if n := len(list(b, "http://"+p.addr+"/api/v2/silences")); n != silences {
			b.Errorf("%d silences", n)
		}
		for len(p.lines) > 0 {
			again, _ = again+1, <-p.lines
		}
		if n := len(list(b, "http://"+p.addr+"/api/v2/alerts")); n < alerts {
			b.Errorf("%d alerts", n)
		}
		p.kill()
		b.StartTimer()
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/restart")
	b.ReportMetric(cpu/float64(b.N), "cpu-s/restart")
	b.ReportMetric(rss, "MB-RSS")
	b.ReportMetric(peak, "MB-RSS-peak")
	b.ReportMetric(again, "told-again")
	b.ReportMetric(0, "ns/op")
}

func memory(t testing.TB, pid int, what string) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), what+":")
	kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb / 1024
}

// cpuSeconds is what a process has used so far.
func cpuSeconds(t testing.TB, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	f := strings.Fields(rest)
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / 100
}
