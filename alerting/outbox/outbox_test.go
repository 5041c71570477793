package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inProcess sends through the strict stand-in without a network, so that time can
// be a test's own.
func inProcess(s *dingtalktest.Server) Send {
	return func(ctx context.Context, robot string, m dingtalk.Message) error {
		h := &http.Client{Transport: handler{s}}
		c, err := dingtalk.NewClient(dingtalk.Robot{Name: robot, URL: "http://robot.invalid/robot/send?access_token=token"}, h)
		if err != nil {
			return err
		}
		return c.Send(ctx, m)
	}
}

// byRobot is inProcess with a robot for each name: its token.
func byRobot(s *dingtalktest.Server) Send {
	return func(ctx context.Context, robot string, m dingtalk.Message) error {
		h := &http.Client{Transport: handler{s}}
		c, err := dingtalk.NewClient(dingtalk.Robot{Name: robot, URL: api.Secret("http://robot.invalid/robot/send?access_token=" + robot)}, h)
		if err != nil {
			return err
		}
		return c.Send(ctx, m)
	}
}

type handler struct{ http.Handler }

func (h handler) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if recover() != nil { // http.ErrAbortHandler: the connection breaks
			resp, err = nil, errors.New("connection reset")
		}
	}()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	return w.Result(), nil
}

func group(key, severity string, ended bool) dingtalk.Group {
	a := dingtalk.Alert{
		Labels:   map[string]string{"alertname": "A-" + key, "severity": severity},
		StartsAt: time.Now(), Fingerprint: key,
	}
	if ended {
		a.EndsAt = time.Now()
	}
	return dingtalk.Group{Key: key, Alerts: []dingtalk.Alert{a}}
}

// box is an outbox that runs, in a directory that outlives it.
type box struct {
	*Outbox
	reg  *prometheus.Registry
	stop func()
}

func open(t *testing.T, cfg Config, send Send) *box {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	o, err := New(cfg, send, slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := o.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	return &box{o, reg, func() {
		cancel()
		<-done
		if err := o.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}}
}

func (b *box) put(t *testing.T, gs ...dingtalk.Group) {
	t.Helper()
	for _, g := range gs {
		if err := b.Put("r", g); err != nil {
			t.Fatal(err)
		}
	}
}

func titles(s *dingtalktest.Server) string {
	var b strings.Builder
	for _, m := range s.Messages() {
		b.WriteString(m.Title + "\n")
	}
	return b.String()
}

func TestDeliversOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dingtalktest.NewHandler(dingtalktest.Config{})
		b := open(t, DefaultConfig(t.TempDir()), inProcess(s))
		b.put(t, group("k", "page", false))
		synctest.Wait()
		if n, _ := b.Waiting(); n != 0 || len(s.Messages()) != 1 {
			t.Errorf("%d wait, messages:\n%s", n, titles(s))
		}
		time.Sleep(time.Hour) // of the test's own time: nothing more comes
		b.stop()
		if len(s.Messages()) != 1 {
			t.Errorf("messages:\n%s", titles(s))
		}
		if v := testutil.ToFloat64(b.metrics.messages.WithLabelValues("r", "ok")); v != 1 {
			t.Errorf("counted %v messages", v)
		}
	})
}

// 200 groups at once and then one a second: nothing is refused, and every group
// is told, alone or in a digest.
func TestBurstNeverExceedsTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dingtalktest.NewHandler(dingtalktest.Config{})
		dir := t.TempDir()
		b := open(t, DefaultConfig(dir), inProcess(s))
		var keys []string
		add := func(severity string) {
			k := fmt.Sprintf("g%03d", len(keys))
			keys = append(keys, k)
			b.put(t, group(k, severity, false))
		}
		for i := range 200 {
			add([]string{"ticket", "page"}[i%2])
		}
		for i := range 120 {
			time.Sleep(time.Second)
			if i == 35 || i == 45 { // restarts must not forget what was sent
				b.stop()
				b = open(t, DefaultConfig(dir), inProcess(s))
			}
			add("ticket")
		}
		time.Sleep(3 * time.Minute)
		b.stop()
		if r := s.Refusals(); len(r) > 0 {
			t.Errorf("refused: %v", r)
		}
		var all strings.Builder
		for _, m := range s.Messages() {
			all.WriteString(m.Title + m.Text)
		}
		for _, k := range keys {
			if !strings.Contains(all.String(), "A-"+k) {
				t.Errorf("group %s is told nowhere", k)
			}
		}
		if n := len(s.Messages()); n < 18 || n > 5*18 {
			t.Errorf("%d messages", n)
		}
	})
}

func TestPagesGoFirstAndFindRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dingtalktest.NewHandler(dingtalktest.Config{})
		b := open(t, DefaultConfig(t.TempDir()), inProcess(s))
		for i := range 40 {
			b.put(t, group(fmt.Sprint("t", i), "ticket", false))
		}
		synctest.Wait()
		before := len(s.Messages())
		b.put(t, group("p", "page", false))
		synctest.Wait()
		got := s.Messages()
		if before > 15 || len(got) != before+1 || !strings.Contains(got[len(got)-1].Title, "A-p") {
			t.Errorf("%d messages before the page; messages:\n%s", before, titles(s))
		}
		b.stop()
	})
}

func TestWhatEndedWhileWaitingIsNotSentAsFiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dingtalktest.NewHandler(dingtalktest.Config{})
		s.Inject(dingtalktest.Fault{Kind: dingtalktest.HTTPStatus, Code: 503})
		b := open(t, DefaultConfig(t.TempDir()), inProcess(s))
		b.put(t, group("k", "page", false))
		synctest.Wait() // refused, waits for its retry
		b.put(t, group("k", "page", true))
		time.Sleep(time.Minute)
		b.stop()
		got := s.Messages()
		if len(got) != 1 || !strings.Contains(got[0].Title, "已恢复") {
			t.Errorf("messages:\n%s", titles(s))
		}
	})
}

func TestFailuresAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dingtalktest.NewHandler(dingtalktest.Config{})
		for range 8 {
			s.Inject(dingtalktest.Fault{Kind: dingtalktest.HTTPStatus, Code: 500}, dingtalktest.Fault{Kind: dingtalktest.Hang})
		}
		b := open(t, DefaultConfig(t.TempDir()), inProcess(s))
		b.put(t, group("k", "page", false))
		time.Sleep(5 * time.Minute)
		_, age := b.Waiting()
		if want := 5 * time.Minute; age != want {
			t.Errorf("oldest is %s, want %s", age, want)
		}
		time.Sleep(25 * time.Minute)
		b.stop()
		if len(s.Messages()) != 1 {
			t.Errorf("messages:\n%s", titles(s))
		}
	})
}

// At least once: after an answer that got lost the same message comes again,
// with the same mark.
func TestLostAnswerRepeatsTheSameMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dingtalktest.NewHandler(dingtalktest.Config{})
		s.Inject(dingtalktest.Fault{Kind: dingtalktest.LoseAnswer})
		b := open(t, DefaultConfig(t.TempDir()), inProcess(s))
		g := group("k", "page", false)
		b.put(t, g)
		time.Sleep(time.Minute)
		b.stop()
		got := s.Messages()
		g.Sequence = 1
		if len(got) != 2 || got[0].Title != got[1].Title || !strings.Contains(got[0].Text, g.Mark()) || !strings.Contains(got[1].Text, g.Mark()) {
			t.Errorf("messages:\n%s", titles(s))
		}
	})
}

func TestSilencedRobotIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dingtalktest.NewHandler(dingtalktest.Config{})
		send := inProcess(s)
		for range 20 { // somebody else uses the robot too
			if err := send(t.Context(), "r", dingtalk.Message{Title: "t", Text: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		dir := t.TempDir()
		b := open(t, DefaultConfig(dir), send)
		b.put(t, group("k", "page", false))
		synctest.Wait()
		b.put(t, group("k2", "page", false))
		time.Sleep(5 * time.Minute)
		b.stop()
		b = open(t, DefaultConfig(dir), send) // a restart does not forget the silence
		time.Sleep(6 * time.Minute)
		b.stop()
		if r := s.Refusals(); len(r) != 1 || r[0].Code != 130101 {
			t.Errorf("refusals: %v, want the first one alone", r)
		}
		if n := len(s.Messages()); n != 22 {
			t.Errorf("%d messages, want 22", n)
		}
	})
}

func TestRefusedForGoodGoesToFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dingtalktest.NewHandler(dingtalktest.Config{Tokens: []string{"r", "other"}})
		s.Inject(dingtalktest.Fault{Kind: dingtalktest.Errcode, Code: 310000})
		cfg := DefaultConfig(t.TempDir())
		cfg.Fallback = "other"
		b := open(t, cfg, byRobot(s))
		b.put(t, group("k", "page", false))
		time.Sleep(time.Hour)
		n, _ := b.Waiting()
		b.stop()
		got := s.Messages()
		if len(got) != 1 || got[0].Token != "other" || !strings.Contains(got[0].Text, "A-k") || n != 0 {
			t.Errorf("%d wait, messages: %v", n, got)
		}
		if v := testutil.ToFloat64(b.metrics.handed.WithLabelValues("r")); v != 1 {
			t.Errorf("counted %v handed over", v)
		}
	})
}

func TestPartsGoOutInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dingtalktest.NewHandler(dingtalktest.Config{})
		s.Inject(dingtalktest.Fault{}, dingtalktest.Fault{Kind: dingtalktest.HTTPStatus, Code: 500})
		b := open(t, DefaultConfig(t.TempDir()), inProcess(s))
		g := group("k", "page", false)
		g.Alerts[0].Annotations = map[string]string{"description": strings.Repeat("长", 14_000)}
		b.put(t, g)
		time.Sleep(time.Minute)
		b.stop()
		if got := titles(s); strings.Count(got, "\n") != 3 || !strings.Contains(got, "(1/3)\n") || !strings.HasSuffix(got, "(3/3)\n") {
			t.Errorf("messages:\n%s", got)
		}
	})
}

func TestTornAndDamagedJournal(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "outbox.log")
	never := func(context.Context, string, dingtalk.Message) error { return errors.New("down") }
	o, err := New(DefaultConfig(dir), never, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"a", "b", "c"} {
		if err := o.Put("r", group(k, "page", false)); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := func(content []byte, groups int) {
		t.Helper()
		if err := os.WriteFile(name, content, 0o640); err != nil {
			t.Fatal(err)
		}
		o, err := New(DefaultConfig(dir), never, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		if n, _ := o.Waiting(); n != groups {
			t.Errorf("%d groups wait, want %d", n, groups)
		}
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	last := lines[len(lines)-2]
	for cut := 1; cut < len(last); cut += 7 {
		want(text[:len(text)-cut], 2) // torn anywhere in the last record
	}
	damaged := bytes.Clone(text)
	damaged[len(lines[0])+30] ^= 1
	want(damaged, 2)
	want(text, 3)
}

func TestOneProcessOnly(t *testing.T) {
	dir := t.TempDir()
	o, err := New(DefaultConfig(dir), nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if _, err := New(DefaultConfig(dir), nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second outbox in the same folder: %v", err)
	}
}

func TestJournalStaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cfg := DefaultConfig(dir)
		cfg.Limit, cfg.Window = 1000, time.Millisecond
		send := func(context.Context, string, dingtalk.Message) error { return nil }
		b := open(t, cfg, send)
		g := group("k", "page", false)
		g.Alerts[0].Annotations = map[string]string{"x": strings.Repeat("x", 100_000)}
		for range 40 {
			b.put(t, g)
			time.Sleep(time.Second)
		}
		b.stop()
		info, err := os.Stat(filepath.Join(dir, "outbox.log"))
		if err != nil || info.Size() > 2*rewriteAbove {
			t.Errorf("journal: %v %v", info.Size(), err)
		}
	})
}

func TestConfigProblemsAllAtOnce(t *testing.T) {
	err := Config{Reserve: -1}.Validate()
	for _, field := range []string{"dir", "limit", "reserve", "window", "firstRetry", "silence", "timeout", "patience", "giveUp"} {
		if err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
}

func FuzzDecodeLine(f *testing.F) {
	line, err := encodeLine(record{Op: opPut, Robot: "r", Seqs: []uint64{1}, Group: &dingtalk.Group{Key: "k"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := decodeLine(line)
		if err != nil {
			return
		}
		again, err := encodeLine(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeLine(again)
		if err != nil {
			t.Fatal(err)
		}
		a, _ := json.Marshal(r)
		b, _ := json.Marshal(back)
		if !bytes.Equal(a, b) {
			t.Errorf("%s became %s", a, b)
		}
		o := &Outbox{queues: map[string]*queue{}, lanes: map[string]*lane{}, lasts: map[matter]lastPut{}}
		o.events(r)
		o.apply(r) // whatever it says, it does not panic
	})
}
