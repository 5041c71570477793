package outbox

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/api"
)

const (
	envDir, envURL, envRound = "OUTBOX_TEST_DIR", "OUTBOX_TEST_URL", "OUTBOX_TEST_ROUND"
	robots                   = 12
	perRound                 = 24
)

// TestChild is the process that is killed: it puts groups for several robots,
// says which were accepted, and sends them.
func TestChild(t *testing.T) {
	dir, url, round := os.Getenv(envDir), os.Getenv(envURL), os.Getenv(envRound)
	if dir == "" {
		return // not a child
	}
	send := func(ctx context.Context, robot string, m dingtalk.Message) error {
		c, err := dingtalk.NewClient(dingtalk.Robot{Name: robot, URL: api.Secret(url + robot)}, nil)
		if err != nil {
			return err
		}
		return c.Send(ctx, m)
	}
	o, err := New(DefaultConfig(dir), send, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = o.Run(ctx) }()
	for i := range perRound {
		key := fmt.Sprintf("k%s.%02d", round, i)
		if err := o.Put(fmt.Sprint("r", i%robots), group(key, "page", false)); err != nil {
			t.Fatal(err)
		}
		fmt.Println("accepted", key)
	}
	for {
		if n, _ := o.Waiting(); n == 0 {
			fmt.Println("drained")
		}
		<-time.After(10 * time.Millisecond)
	}
}

// Whatever was accepted before a kill -9 is delivered; a message comes twice at
// most for each kill that hit it, and no robot is sent too much.
func TestKill(t *testing.T) {
	var tokens []string
	for i := range robots {
		tokens = append(tokens, fmt.Sprint("r", i))
	}
	s := dingtalktest.Start(t, dingtalktest.Config{Tokens: tokens})
	dir := t.TempDir()
	var accepted []string
	const kills = 4
	for round := range kills + 1 {
		accepted = append(accepted, child(t, s, dir, round, round == kills)...)
	}
	var told strings.Builder
	times := map[string]int{}
	for _, m := range s.Messages() {
		told.WriteString(m.Text + "\n")
		times[m.Title]++
	}
	for _, key := range accepted {
		if !strings.Contains(told.String(), "A-"+key) {
			t.Errorf("%s was accepted and is told nowhere", key)
		}
	}
	for title, n := range times {
		if n > 1+kills {
			t.Errorf("%s came %d times", title, n)
		}
	}
	if r := s.Refusals(); len(r) > 0 {
		t.Errorf("refused: %v", r)
	}
	if len(accepted) < kills+perRound {
		t.Errorf("only %d were accepted, the kills came too early to prove anything", len(accepted))
	}
}

// child runs a process, kills it after some accepted groups, or at the end when
// all is delivered, and returns what it said was accepted.
func child(t *testing.T, s *dingtalktest.Server, dir string, round int, last bool) (accepted []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), envDir+"="+dir, envURL+"="+s.URL(""), fmt.Sprint(envRound, "=", round))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	lines := bufio.NewScanner(out)
	drained := false
	for lines.Scan() && !drained {
		word, key, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "accepted":
			accepted = append(accepted, key)
			if !last && len(accepted) == 5*round+2 { // each time at another moment
				_ = cmd.Process.Kill()
			}
		case "drained":
			drained = last
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if last && !drained {
		t.Errorf("the last process did not deliver everything in time; refused: %v", s.Refusals())
	}
	return accepted
}
