package alerting_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
)

const envInstance = "ALERTING_TEST_INSTANCE"

// member is one instance of a cluster: what its process is given.
type member struct {
	Dir, Target, Robot string
	Cluster            alerting.Cluster
}

// TestInstance is the process of one instance.
func TestInstance(t *testing.T) {
	text := os.Getenv(envInstance)
	if text == "" {
		return // not a child
	}
	var m member
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	cfg := alerting.DefaultConfig(m.Dir)
	cfg.ScrapeInterval, cfg.EvaluationInterval = api.Duration(100*time.Millisecond), api.Duration(100*time.Millisecond)
	cfg.Targets, cfg.Alertmanager, cfg.TimeZone = []string{m.Target}, quick, "UTC"
	cfg.Rules = map[string]string{"test": brokenRule}
	cfg.Robots = []alerting.Robot{{Name: "oncall", URL: api.Secret(m.Robot), Secret: secret}}
	cfg.Cluster = m.Cluster
	a, err := alerting.New(cfg, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent has enough
		cancel()
	}()
	gossip, mirror := a.AddrCluster()
	fmt.Println("listens", gossip, mirror, a.Addr())
	if err := a.Run(ctx); err != nil {
		t.Error(err)
	}
}

// instance is a running process.
type instance struct {
	*exec.Cmd
	stdin                io.Closer
	gossip, mirror, addr string
}

func spawn(t *testing.T, m member, peers ...*instance) *instance {
	t.Helper()
	if m.Cluster.Listen == "" {
		m.Cluster.Listen = "127.0.0.1:0"
	}
	m.Cluster.PeerTimeout = time.Second
	for _, p := range peers {
		m.Cluster.Peers = append(m.Cluster.Peers, p.gossip)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{Cmd: exec.CommandContext(context.Background(), os.Args[0], "-test.run=^TestInstance$")}
	i.Env = append(os.Environ(), envInstance+"="+string(text))
	i.Stderr = t.Output()
	out, err := i.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if i.stdin, err = i.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := i.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.kill)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if n, _ := fmt.Sscanf(lines.Text(), "listens %s %s %s", &i.gossip, &i.mirror, &i.addr); n == 3 {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return i
		}
	}
	t.Fatal("the instance ended before it listened")
	return nil
}

func (i *instance) kill() {
	_ = i.Process.Kill()
	_ = i.Wait()
}

// sees waits until an instance knows n members, itself included.
func (i *instance) sees(t *testing.T, n int) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("%d members", n), func() bool {
		var s struct {
			Cluster struct {
				Status string
				Peers  []any
			}
		}
		text := get(t, "http://"+i.addr+"/api/v2/status")
		return json.Unmarshal([]byte(text), &s) == nil && len(s.Cluster.Peers) == n && s.Cluster.Status == "ready"
	})
}

// fires waits until an instance knows of the fault.
func (i *instance) fires(t *testing.T, yes bool) {
	t.Helper()
	testkit.Eventually(t, "the alert to be known", func() bool {
		return strings.Contains(get(t, "http://"+i.addr+"/api/v2/alerts"), `"Broken"`) == yes
	})
}

// refusing makes a robot answer 503 until the function it returns is called.
func refusing(robot *dingtalktest.Server) (stop func()) {
	robot.FailAll(dingtalktest.Fault{Kind: dingtalktest.HTTPStatus, Code: 503})
	return func() { robot.FailAll(dingtalktest.Fault{}) }
}

// settle gives a message that must not come the time to come.
func settle() { <-time.After(4 * time.Second) }

// Both know of the fault; one tells, and tells the end, even when the first try fails.
func TestTwoInstancesTellOnce(t *testing.T) {
	t.Parallel()
	target, robot := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: secret})
	m := member{Target: target.addr(), Robot: robot.URL("token")}
	m.Dir = t.TempDir()
	a := spawn(t, m)
	m.Dir = t.TempDir()
	b := spawn(t, m, a)
	a.sees(t, 2)
	b.sees(t, 2)
	fault := dingtalktest.Fault{Kind: dingtalktest.HTTPStatus, Code: 503}
	robot.Inject(fault, fault)
	target.broken.Store(1)
	wait(t, robot, 1)
	a.fires(t, true)
	b.fires(t, true)
	settle()
	target.broken.Store(0)
	wait(t, robot, 2)
	settle()
	if n := len(robot.Messages()); n != 2 {
		t.Errorf("%d messages, want the fault and its end: %+v", n, robot.Messages())
	}
}

// What an instance has accepted and not told is told by the other when it dies, once,
// and not again when it is back.
func TestWhatADeadInstanceAcceptedIsTold(t *testing.T) {
	t.Parallel()
	target, robot := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: secret})
	dirs := []string{t.TempDir(), t.TempDir()}
	m := member{Dir: dirs[0], Target: target.addr(), Robot: robot.URL("token")}
	a := spawn(t, m)
	m.Dir = dirs[1]
	b := spawn(t, m, a)
	a.sees(t, 2)
	b.sees(t, 2)
	heal := refusing(robot)
	t.Cleanup(heal)
	target.broken.Store(1)
	testkit.Eventually(t, "a try", func() bool { return len(robot.Refusals()) > 0 })
	b.fires(t, true)
	first, other := a, b
	if !strings.Contains(outboxLog(t, dirs[0]), `"Broken"`) {
		first, other = b, a
		dirs[0], dirs[1] = dirs[1], dirs[0]
	}
	first.kill()
	heal()
	if msg := wait(t, robot, 1)[0]; !strings.Contains(msg.Text, "feed 坏了") {
		t.Errorf("told %s", msg.Text)
	}
	m.Dir = dirs[0]
	back := spawn(t, m, other)
	back.sees(t, 2)
	back.fires(t, true)
	settle()
	target.broken.Store(0)
	wait(t, robot, 2)
	settle()
	if n := len(robot.Messages()); n != 2 {
		t.Errorf("%d messages, want the fault and its end: %+v", n, robot.Messages())
	}
}

func outboxLog(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(dir + "/outbox/outbox.log")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
