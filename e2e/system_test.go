package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/xds"
)

// ephemeral is the configuration of all systems here: free ports for everything,
// and alerting that does not keep a test waiting.
const ephemeral = `listen: {gateway: "127.0.0.1:0", api: "127.0.0.1:0"}
envoy: {concurrency: 2}
alerting: {scrapeInterval: 1s, evaluationInterval: 1s}
`

// process is a kongdao of its own.
type process struct {
	t    *testing.T
	name string
	data string // its data directory
	log  string // file with its standard error
	cmd  *exec.Cmd
	out  bytes.Buffer // standard output, to be read once it has ended

	done chan struct{} // closed when it has ended
	err  error         // how; to be read after done
	addr app.Addresses
}

// start runs a kongdao command line. It is killed, with all that it started, when
// the test ends before it does.
func start(t *testing.T, data string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: args[0], data: data, done: make(chan struct{})}
	p.log = filepath.Join(t.TempDir(), "stderr.log")
	log := must(os.Create(p.log))(t)
	defer log.Close()
	p.cmd = exec.Command(must(os.Executable())(t), append([]string{asKongdao}, args...)...)
	// The variable marks all processes of this system, see processesOf.
	p.cmd.Env = append(os.Environ(), "KONGDAO_DATA="+data)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.err = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		if !p.ended() {
			p.kill()
			p.gone()
		}
		if t.Failed() {
			t.Logf("end of %s:\n%s", p.log, tail(p.log))
			t.Logf("end of Envoy's log:\n%s", tail(filepath.Join(data, "gateway", "envoy.log")))
		}
	})
	return p
}

// up starts a system on a platform's resources and waits until it is ready.
func up(t *testing.T, data, resources string) *process {
	t.Helper()
	p := start(t, data, "up", "-c", configFile(t, ephemeral), "--data", data, "--resources", resources)
	p.ready()
	return p
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kongdao.yaml")
	write(t, file, text)
	return file
}

// ready waits for the addresses of the running system.
func (p *process) ready() {
	p.t.Helper()
	until(p.t, "kongdao "+p.name+" is ready", func() (err error) {
		if p.ended() {
			p.t.Fatalf("kongdao %s ended: %v\n%s", p.name, p.err, tail(p.log))
		}
		if p.addr, err = app.ReadAddresses(p.data); err != nil {
			return err
		}
		// The file may still be the one of a system that was killed.
		res, err := httpClient.Get("http://" + p.addr.API + "/readyz")
		if err != nil {
			return err
		}
		return res.Body.Close()
	})
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait returns the exit code; -1 when a signal ended it.
func (p *process) wait(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		p.t.Fatalf("kongdao %s has not ended after %v", p.name, limit)
	}
	return p.cmd.ProcessState.ExitCode()
}

// ctrlC is what a terminal does: SIGINT to the process and to those of its children
// that are still in its group.
func (p *process) ctrlC() {
	p.t.Helper()
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT); err != nil {
		p.t.Fatal(err)
	}
}

// stop is Ctrl-C; nothing may be left behind, neither process nor port.
func (p *process) stop() {
	p.t.Helper()
	p.ctrlC()
	if code := p.wait(patience); code != 0 {
		p.t.Errorf("kongdao %s ended with %d after Ctrl-C\n%s", p.name, code, tail(p.log))
	}
	p.gone()
	p.portsFree(p.addr)
	if _, err := app.ReadAddresses(p.data); !errors.Is(err, app.ErrNotRunning) {
		p.t.Errorf("addresses after the end: %v", err)
	}
}

// kill is kill -9 of kongdao alone.
func (p *process) kill() {
	p.t.Helper()
	_ = p.cmd.Process.Kill()
	<-p.done
}

// gone waits until no process of this system is left.
func (p *process) gone() {
	p.t.Helper()
	if err := wait(15*time.Second, func() error {
		if left := processesOf(p.data); len(left) > 0 {
			return fmt.Errorf("processes left: %v", left)
		}
		return nil
	}); err != nil {
		p.t.Error(err)
	}
}

// processesOf finds all processes of the system with this data directory in the
// process table: the directory is in their environment or on their command line.
// Processes that only wait to be collected have neither.
func processesOf(data string) map[int]string {
	found := map[int]string{}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		line, errLine := os.ReadFile(file)
		if err != nil || errLine != nil || pid == os.Getpid() {
			continue
		}
		env, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "environ"))
		marked := bytes.Contains(append(env, 0), []byte("KONGDAO_DATA="+data+"\x00"))
		if marked || bytes.Contains(line, []byte(data+"/")) {
			found[pid] = strings.TrimSpace(strings.ReplaceAll(string(line[:min(len(line), 200)]), "\x00", " "))
		}
	}
	return found
}

// child is the process of this system whose command line holds text.
func (p *process) child(text string) int {
	p.t.Helper()
	pid := 0
	until(p.t, "process "+text, func() error {
		for id, line := range processesOf(p.data) {
			if strings.Contains(line, text) {
				pid = id
				return nil
			}
		}
		return errors.New("not there")
	})
	return pid
}

// What the command lines of the children hold.
const (
	envoyProcess  = "/gateway/bootstrap.json" // not the canary
	engineProcess = "kongdao-clickhouse-engine"
)

func (p *process) killChild(text string) {
	p.t.Helper()
	pid := p.child(text)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	p.t.Logf("SIGKILL to %s (process %d)", text, pid)
}

var httpClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}

// get asks the API of the running system.
func (p *process) get(path string, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr.API+path, nil)
	if err != nil {
		return err
	}
	res, err := httpClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// metric is the value of a metric without labels.
func (p *process) metric(name string) (float64, error) {
	res, err := httpClient.Get("http://" + p.addr.API + "/metrics")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, errors.New("no metric " + name)
}

func (p *process) state() (xds.State, error) {
	var s xds.State
	return s, p.get("/api/v1/state", &s)
}

// noNACK fails when Envoy has refused anything.
func (p *process) noNACK() {
	p.t.Helper()
	s, err := p.state()
	if err != nil {
		p.t.Fatal(err)
	}
	if len(s.Rejections) > 0 || s.Fault != "" {
		p.t.Errorf("rejections %v, fault %q", s.Rejections, s.Fault)
	}
}

// podsReady waits until every pod of that many functions takes calls.
func (p *process) podsReady(functions int) {
	p.t.Helper()
	until(p.t, "all pods are ready", func() error {
		s, err := p.state()
		if err != nil {
			return err
		}
		if len(s.Functions) < functions {
			return fmt.Errorf("%d functions of %d", len(s.Functions), functions)
		}
		for _, f := range s.Functions {
			for _, c := range f.Pods {
				if c.Ready < c.Total {
					return fmt.Errorf("%s: %d of %d pods in %s", f.Name, c.Ready, c.Total, c.Zone)
				}
			}
		}
		return nil
	})
}

// run is a kongdao command line that ends by itself.
func run(t *testing.T, data string, args ...string) (code int, out, stderr string) {
	t.Helper()
	p := start(t, data, args...)
	code = p.wait(2 * time.Minute)
	return code, p.out.String(), string(must(os.ReadFile(p.log))(t))
}

func tail(file string) string {
	b, _ := os.ReadFile(file)
	return string(b[max(0, len(b)-4000):])
}

// write replaces a file at once, as editors and deployments do.
func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name+".tmp", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".tmp", name); err != nil {
		t.Fatal(err)
	}
}
