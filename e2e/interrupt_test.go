package e2e

import (
	"maps"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/demo/fleet"
)

// soon is how long a stop may take at any moment.
const soon = 10 * time.Second

// TestInterruptUp presses Ctrl-C at random moments of the start and of the life of
// a system. Each time it is gone soon, with its processes and ports, and the next
// one starts on the same data directory.
func TestInterruptUp(t *testing.T) {
	platform := newPlatform(t, fleet.Rates{}, functions("feed", "rank")...)
	data := t.TempDir()
	for i := range 6 {
		// From before it has read its flags to some time after it is ready.
		delay := time.Duration(i)*200*time.Millisecond + rand.N(200*time.Millisecond)
		p := start(t, data, "up", "-c", configFile(t, ephemeral), "--data", data, "--resources", platform.dir)
		pass(delay)
		t.Logf("Ctrl-C after %v", delay)
		p.interrupt()
	}
	p := up(t, data, platform.dir)
	p.podsReady(len(platform.catalog))
	l := call(t, p.addr.Gateway, platform.paths(), rate)
	pass(time.Second)
	c := l.stop()
	noFailure(t, c)
	p.stop()
	s := openStore(t, data)
	s.equals(c.sent)
	s.exact(c.answered)
}

// TestStopUnderLoad presses Ctrl-C while calls are under way. They may fail from then
// on, but every call that was answered is stored when kongdao has ended.
func TestStopUnderLoad(t *testing.T) {
	platform := newPlatform(t, fleet.Rates{}, functions("feed", "rank")...)
	data := t.TempDir()
	answered := map[string]string{}
	for range 3 {
		p := up(t, data, platform.dir)
		p.podsReady(len(platform.catalog))
		l := call(t, p.addr.Gateway, platform.paths(), 2*rate)
		pass(time.Second)
		p.stop()
		maps.Copy(answered, l.stop().answered)
	}
	openStore(t, data).exact(answered)
}

// TestInterruptDemo presses Ctrl-C at random moments of the demo's walk, on one
// data directory.
func TestInterruptDemo(t *testing.T) {
	data := t.TempDir()
	for _, second := range []int{0, 1, 3, 8, 14, 21} {
		delay := time.Duration(second)*time.Second + rand.N(time.Second)
		p := start(t, data, "demo", "--data", data)
		select {
		case <-time.After(delay):
		case <-p.done:
			t.Fatalf("the demo ended by itself: %v\n%s", p.err, tail(p.log))
		}
		t.Logf("Ctrl-C after %v", delay)
		p.interrupt()
	}
}

// interrupt is Ctrl-C at any moment; it wants everything gone soon.
func (p *process) interrupt() {
	p.t.Helper()
	addr, _ := app.ReadAddresses(p.data) // none while it starts
	began := time.Now()
	p.ctrlC()
	code := p.wait(patience)
	if took := time.Since(began); took > soon {
		p.t.Errorf("it took %v to stop", took)
	}
	// Before main has asked for it, the signal ends the process by itself.
	if code != 0 && !(code == -1 && addr == app.Addresses{}) && p.name == "up" {
		p.t.Errorf("kongdao %s ended with %d after Ctrl-C\n%s", p.name, code, tail(p.log))
	}
	p.gone()
	p.portsFree(addr)
	if _, err := app.ReadAddresses(p.data); err == nil {
		p.t.Error("addresses.json is still there")
	}
}

// portsFree fails when somebody listens where the system did.
func (p *process) portsFree(a app.Addresses) {
	p.t.Helper()
	for _, address := range []string{a.Gateway, a.GatewayAdmin, a.XDS, a.ALS, a.ClickHouse, a.ClickHouseHTTP, a.API, a.Metrics, a.Alertmanager, a.Prometheus} {
		if address == "" {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			p.t.Errorf("port held after the end: %v", err)
			continue
		}
		l.Close()
	}
}
