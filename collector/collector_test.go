package collector

import (
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/kongdao/kongdao/internal/testkit"
)

func TestLinesBecomeRows(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	lines := newAccessLog(t, dir)
	lines.write(3000)
	c := start(t, testConfig(dir, lines.path), engine.Options())
	c.settle(3000)
	want(t, engine.Options(), 3000)
	lines.write(4321)
	c.settle(7321)
	want(t, engine.Options(), 7321)

	s := c.Stats()
	if s.Read != 7321 || s.Stored != 7321 || s.Unstored != 0 || s.Lag != 0 || s.DeadRows != 0 {
		t.Errorf("%+v", s)
	}
	checkMetrics(t, c, 7321)
}

// checkMetrics compares the sums of all series with lines 0 to n-1.
func checkMetrics(t *testing.T, c *running, n int) {
	t.Helper()
	got := map[string]float64{}
	families, err := c.reg.Gather()
	testkit.Must(t, err)
	for _, f := range families {
		for _, m := range f.Metric {
			got[f.GetName()] += value(m)
		}
	}
	load := float64((n + 19) / 20)
	for name, want := range map[string]float64{
		"kongdao_collector_calls_total":           float64(n) - load,
		"kongdao_collector_load_test_calls_total": load,
		"kongdao_collector_call_duration_seconds": float64(n) - load,
		"kongdao_collector_rows_stored_total":     float64(n),
		"kongdao_collector_rows_read_total":       float64(n),
		"kongdao_collector_wal_rows":              0,
		"kongdao_collector_dead_blocks_total":     0,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if got["kongdao_collector_wal_bytes"] <= 0 || got["kongdao_collector_insert_seconds"] < 1 {
		t.Errorf("wal_bytes %v, inserts %v", got["kongdao_collector_wal_bytes"], got["kongdao_collector_insert_seconds"])
	}
}

func value(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
}

func TestRestartGoesOnWhereItWas(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	lines := newAccessLog(t, dir)
	cfg := testConfig(dir, lines.path)
	for range 3 {
		lines.write(500)
		c := start(t, cfg, engine.Options())
		c.settle(500)
		lines.write(100) // some of them are read, some not
		c.stop()
		c = start(t, cfg, engine.Options())
		lines.write(1)
		c.allStored(engine.Options(), lines.n)
	}
}

func TestConfigValidate(t *testing.T) {
	var cfg Config
	cfg.Source = "disk"
	err := cfg.Validate()
	for _, field := range []string{"dir", "source", "flushInterval", "maxRows", "walBytes", "maxSeries"} {
		if err == nil || !strings.Contains(err.Error(), field+":") {
			t.Errorf("%v does not name %s", err, field)
		}
	}
	cfg = DefaultConfig()
	cfg.Dir, cfg.Source, cfg.ALSListen = "x", SourceBoth, "nowhere"
	err = cfg.Validate()
	for _, field := range []string{"accessLog", "gateway", "alsListen"} {
		if err == nil || !strings.Contains(err.Error(), field+":") {
			t.Errorf("%v does not name %s", err, field)
		}
	}
	testkit.Must(t, testConfig("x", "y").Validate())
}
