package e2e

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/demo/fleet"
)

// rate of the load under which things are killed, calls a second.
const rate = 150

// TestKillClickHouse kills the engine under load, twice: callers see nothing of
// it, and every call is stored once.
func TestKillClickHouse(t *testing.T) {
	platform := newPlatform(t, fleet.Rates{}, functions("feed", "rank", "tours")...)
	data := t.TempDir()
	p := up(t, data, platform.dir)
	p.podsReady(len(platform.catalog))
	l := call(t, p.addr.Gateway, platform.paths(), rate)
	for range 2 {
		pass(time.Second)
		old, killed := p.child(engineProcess), time.Now()
		p.killChild(engineProcess)
		until(t, "calls are stored again", func() error { return p.storesAfter(old, killed) })
	}
	pass(time.Second)
	c := l.stop()
	p.settle(&c, platform.paths())
	noFailure(t, c)
	p.noNACK()
	p.stop()
	s := openStore(t, data)
	s.equals(c.sent)
	s.exact(c.answered)
}

// storesAfter wants another engine than old, and in it a call that began after t.
func (p *process) storesAfter(old int, t time.Time) error {
	if p.child(engineProcess) == old {
		return errors.New("the old engine is still there")
	}
	var list app.CallList
	if err := p.get("/api/v1/calls?limit=1&since="+t.UTC().Format(time.RFC3339Nano), &list); err != nil {
		return err
	}
	if len(list.Calls) == 0 {
		return fmt.Errorf("no call after %s is stored", t.Format(time.TimeOnly))
	}
	return nil
}

// TestKillEnvoy kills the gateway under load. Calls fail until it is back; those
// in its log are stored once, and lines that were torn harm no others. What it has
// answered in the moments before a kill may be missing: it writes its log every
// tenth of a second.
func TestKillEnvoy(t *testing.T) {
	const kills = 3
	platform := newPlatform(t, fleet.Rates{}, functions("feed", "rank", "tours")...)
	data := t.TempDir()
	p := up(t, data, platform.dir)
	p.podsReady(len(platform.catalog))
	l := call(t, p.addr.Gateway, platform.paths(), rate)
	for range kills {
		pass(time.Second)
		before := l.failures()
		p.killChild(envoyProcess)
		until(t, "callers notice", func() error {
			if l.failures() == before {
				return errors.New("no call has failed")
			}
			return nil
		})
		served(t, p.addr.Gateway, platform.paths())
	}
	c := l.stop()
	p.settle(&c, platform.paths())
	p.noNACK()
	p.stop()
	s := openStore(t, data)
	s.exact(nil)
	lost := without(slices.Sorted(maps.Keys(c.answered)), s.ids())
	t.Logf("%d of %d calls failed, %d that were answered never reached the log", len(c.failed), c.total(), len(lost))
	const unwritten = rate / 4 // a quarter of a second, for a machine that is busy
	if len(lost) > kills*unwritten {
		t.Errorf("%d answered calls are not stored, want at most %d for each of %d kills", len(lost), unwritten, kills)
	}
	if len(c.answered) < rate {
		t.Errorf("only %d calls were answered", len(c.answered))
	}
}

// TestKillZone kills the process of one zone under load: the others serve its
// share, the limit follows, no call fails, and the zone gets its share again when
// it is back.
func TestKillZone(t *testing.T) {
	const perPod = 100
	platform := newPlatform(t, measured(perPod), functions(fleet.Feed, "rank", "tours")...)
	data := t.TempDir()
	p := up(t, data, platform.dir)
	p.podsReady(len(platform.catalog))
	p.limit(fleet.Feed, 6*perPod)
	l := call(t, p.addr.Gateway, platform.paths(), rate)
	pass(time.Second)
	platform.zones[1].Kill()
	p.limit(fleet.Feed, 4*perPod)
	pass(time.Second)
	platform.restart(1)
	p.limit(fleet.Feed, 6*perPod)
	pass(time.Second)
	c := l.stop()
	p.settle(&c, platform.paths())
	noFailure(t, c)
	p.noNACK()
	p.stop()
	s := openStore(t, data)
	s.equals(c.sent)
	s.exact(c.answered)
	if n := s.number("SELECT count() FROM calls WHERE zone = ? AND ts > (SELECT max(ts) FROM calls WHERE attempts > 1)", platform.zones[1].Spec.Zone); n == 0 {
		t.Error("the zone that came back got no calls")
	}
}

// measured is a rate that a stress test has found, for fleet.Feed.
func measured(perPod float64) fleet.Rates {
	return fleet.Rates{PerPod: perPod, Low: perPod, High: perPod, Run: "e2e", Date: time.Now()}
}

// limit waits for the limit of a function, calls a second.
func (p *process) limit(function string, want float64) {
	p.t.Helper()
	until(p.t, "limit of "+function, func() error {
		s, err := p.state()
		if err != nil {
			return err
		}
		for _, f := range s.Functions {
			if f.Name == function && f.Limit == want {
				return nil
			}
		}
		return fmt.Errorf("not %v: %+v", want, s.Functions)
	})
}

// TestKillKongdao kills kongdao itself under load: Envoy and the engine go with
// it, nothing holds the data directory, and the next one stores what the first
// had not stored yet.
func TestKillKongdao(t *testing.T) {
	platform := newPlatform(t, fleet.Rates{}, functions("feed", "rank", "tours")...)
	const kills = 3
	data := t.TempDir()
	answered := map[string]string{}
	for range kills {
		p := up(t, data, platform.dir)
		p.podsReady(len(platform.catalog))
		l := call(t, p.addr.Gateway, platform.paths(), rate)
		pass(1500 * time.Millisecond)
		if n := len(processesOf(data)); n != 4 {
			t.Errorf("%d processes, want kongdao, Envoy, the canary and the engine: %v", n, processesOf(data))
		}
		p.kill()
		p.gone()
		for id, name := range l.stop().answered {
			answered[id] = name
		}
	}
	stale := must(app.ReadAddresses(data))(t)
	p := up(t, data, platform.dir)
	if p.addr == stale {
		t.Error("addresses.json is the one of the system that was killed")
	}
	p.podsReady(len(platform.catalog))
	l := call(t, p.addr.Gateway, platform.paths(), rate)
	pass(time.Second)
	c := l.stop()
	p.settle(&c, platform.paths())
	noFailure(t, c)
	for id, name := range c.answered {
		answered[id] = name
	}
	p.noNACK()
	p.stop()
	s := openStore(t, data)
	s.exact(c.answered)
	// Each Envoy got SIGTERM when its parent died, and answered calls in the moments
	// in which it wrote its log for the last time.
	lost := without(slices.Sorted(maps.Keys(answered)), s.ids())
	t.Logf("%d of %d answered calls never reached the log", len(lost), len(answered))
	if len(lost) > kills*rate/4 {
		t.Errorf("%d answered calls are not stored", len(lost))
	}
	if left := must(filepath.Glob(filepath.Join(data, "collector", "dead", "*")))(t); len(left) > 0 {
		t.Errorf("blocks that ClickHouse refused: %v", left)
	}
}

// TestKillWhileStarting kills kongdao at random moments of its start. The data
// directory is always one that the next start takes.
func TestKillWhileStarting(t *testing.T) {
	platform := newPlatform(t, fleet.Rates{}, functions("feed")...)
	data := t.TempDir()
	for i := range 5 {
		delay := time.Duration(i)*120*time.Millisecond + rand.N(120*time.Millisecond)
		p := start(t, data, "up", "-c", configFile(t, ephemeral), "--data", data, "--resources", platform.dir)
		pass(delay)
		t.Logf("SIGKILL after %v", delay)
		p.kill()
		p.gone()
	}
	p := up(t, data, platform.dir)
	p.podsReady(len(platform.catalog))
	l := call(t, p.addr.Gateway, platform.paths(), rate)
	pass(500 * time.Millisecond)
	c := l.stop()
	noFailure(t, c)
	p.settle(&c, platform.paths())
	p.stop()
	s := openStore(t, data)
	s.equals(c.sent)
	s.exact(c.answered)
}

// noFailure fails when a call ended in anything but 200.
func noFailure(t *testing.T, c counts) {
	t.Helper()
	if len(c.failed) > 0 {
		t.Errorf("%d of %d calls failed: %q", len(c.failed), c.total(), c.failed[:min(5, len(c.failed))])
	}
	if c.status[http.StatusOK] == 0 {
		t.Error("no call was answered with 200")
	}
}
