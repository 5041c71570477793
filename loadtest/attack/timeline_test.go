package attack_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/loadtest/attack"
)

// The intervals are the run: nothing is in none of them, nothing in two.
func TestIntervalsAddUp(t *testing.T) {
	n := 0
	targets := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n++; n%10 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	c := config()
	c.Duration, c.Workers = 2*time.Second, 1 // one: the handler counts without a lock
	var last attack.Progress
	s := run(t, t.Context(), c, attack.Stages{{From: 50, To: 150, Duration: 2 * time.Second}}, targets, attack.Hooks{
		Progress: func(p attack.Progress) { last = p },
	})
	var sum attack.Interval
	for i, v := range s.Intervals {
		if v.Length != 100*time.Millisecond || v.At != time.Duration(i)*v.Length {
			t.Errorf("interval %d begins at %v and takes %v", i, v.At, v.Length)
		}
		if v.Latency.Count() != v.Planned-v.Dropped {
			t.Errorf("interval %d has %d latencies of %d requests", i, v.Latency.Count(), v.Planned)
		}
		sum.Planned, sum.Sent, sum.Late, sum.Lagging = sum.Planned+v.Planned, sum.Sent+v.Sent, sum.Late+v.Late, sum.Lagging+v.Lagging
		sum.Failed, sum.Good = sum.Failed+v.Failed, sum.Good+v.Good
		sum.Self.CPU = max(sum.Self.CPU, v.Self.CPU)
	}
	if sum.Planned != s.Planned || sum.Sent != s.Sent || sum.Late != s.Late || sum.Lagging != s.Lagging || sum.Failed != 20 || sum.Good != 180 {
		t.Errorf("the intervals sum up to %+v, the run is %d planned, %d sent, %d late", sum, s.Planned, s.Sent, s.Late)
	}
	if a, b := s.Intervals[1].Planned, s.Intervals[18].Planned; a >= b {
		t.Errorf("planned %d in the second interval and %d near the end of a ramp", a, b)
	}
	if sum.Self.CPU <= 0 || sum.Self.CPU > 1.5 {
		t.Errorf("used %v of the cores", sum.Self.CPU)
	}
	if last.Planned == 0 || last.NowP99 == 0 {
		t.Errorf("progress %+v", last)
	}
}

func TestIntervalLengths(t *testing.T) {
	for run, want := range map[time.Duration]time.Duration{
		0: time.Second, time.Second: 100 * time.Millisecond, 10 * time.Second: 500 * time.Millisecond,
		time.Minute: time.Second, 10 * time.Minute: time.Second, time.Hour: 6 * time.Second,
	} {
		if got := attack.IntervalOf(run); got != want {
			t.Errorf("a run of %v has intervals of %v, want %v", run, got, want)
		}
	}
}

// What the generator lacks is not the target's fault. A process of its own runs out
// of file descriptors.
func TestOwnFaultsAreNamed(t *testing.T) {
	if os.Getenv("KONGDAO_FEW_FILES") != "" {
		fewFiles(t)
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("limits are set as on Linux")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select { // long enough for the next request to need a connection of its own
		case <-time.After(time.Second):
		case <-r.Context().Done():
		}
	})}
	go func() { _ = s.Serve(l) }()
	defer s.Close()
	child := exec.Command(os.Args[0], "-test.run", "^TestOwnFaultsAreNamed$", "-test.v")
	child.Env = append(os.Environ(), "KONGDAO_FEW_FILES=http://"+l.Addr().String())
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "named ") {
		t.Errorf("%v\n%s", err, out)
	}
}

func fewFiles(t *testing.T) {
	limit := syscall.Rlimit{Cur: 64, Max: 64}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	c := config()
	c.Workers, c.Duration = 100, time.Second
	targets := vegeta.NewStaticTargeter(vegeta.Target{Method: "GET", URL: os.Getenv("KONGDAO_FEW_FILES")})
	s := run(t, t.Context(), c, attack.Constant(100, time.Second), targets, attack.Hooks{})
	if s.Faults[attack.KindFiles] == 0 || s.Own() != s.Faults[attack.KindFiles] {
		t.Errorf("faults %v", s.Faults)
	}
	var own uint64
	for _, i := range s.Intervals {
		own += i.Own
	}
	if own != s.Own() {
		t.Errorf("%d in the intervals, %d in all", own, s.Own())
	}
	fmt.Printf("named %v\n", s.Faults)
}

func TestFaultsOfTheGenerator(t *testing.T) {
	for err, want := range map[error]string{
		&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)}: attack.KindPorts,
		&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}:         attack.KindFiles,
		&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.ENOBUFS)}:        attack.KindBuffers,
		&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}:  attack.KindRefused,
		&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ETIMEDOUT)}:     attack.KindTimeout,
		io.ErrUnexpectedEOF: attack.KindEOF,
	} {
		var r attack.Reply
		r.Fail(err)
		if own := want == attack.KindPorts || want == attack.KindFiles || want == attack.KindBuffers; r.Fault != want || attack.OwnFault(r.Fault) != own {
			t.Errorf("%v is %s, own %v; want %s", err, r.Fault, attack.OwnFault(r.Fault), want)
		}
	}
}
