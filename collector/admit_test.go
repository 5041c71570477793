package collector

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/collector/policy"
	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

// total sums a metric over its series.
func (r *running) total(name string) (sum float64) {
	r.t.Helper()
	families, err := r.reg.Gather()
	testkit.Must(r.t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "kongdao_collector_"+name {
				sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// TestSampledAndRedacted follows calls of a tenant that is sampled, with a phone
// number in each, from the file to ClickHouse: metrics count all of them, the
// tables have what is to be kept, weighted, and no number is stored anywhere.
func TestSampledAndRedacted(t *testing.T) {
	const lines, oneIn, number = 4000, 5, "13812345678"
	engine := migrated(t)
	dir := t.TempDir()
	log := newAccessLog(t, dir)
	cfg := testConfig(dir, log.path)
	cfg.Tenants = map[string]policy.Sampling{"t": {OneIn: oneIn, Slow: time.Second}}
	cfg.Redact.IPv4Bits = 8
	c := start(t, cfg, engine.Options())
	tail := c.Subscribe(testkit.Context(t), nil)
	errors, tests := 0, 0
	for n := range lines {
		_, err := log.file.WriteString(strings.Replace(line(n), "/p?", "/p?mobile="+number+"&", 1))
		testkit.Must(t, err)
		switch {
		case loadTest(n) != "-":
			tests++
		case status(n) >= 500:
			errors++
		}
	}
	_, err := log.file.WriteString("\x1ek1\tno line, but a number: " + number + "\n")
	testkit.Must(t, err)
	c.settle(lines + 1)
	for what, got := range map[string][2]float64{
		"calls":           {c.total("calls_total"), float64(lines + 1 - tests)},
		"durations":       {c.total("call_duration_seconds"), float64(lines + 1 - tests)},
		"calls of pods":   {c.total("pod_calls_total"), float64(lines - tests)},
		"durations, pods": {c.total("pod_call_duration_seconds"), float64(lines - tests)},
		"load tests":      {c.total("load_test_calls_total"), float64(tests)},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %v are counted, want %v", what, got[0], got[1])
		}
	}
	left := int(c.total("sampled_out_calls_total"))
	c.stop()

	ch := open(t, engine.Options())
	var rows, weights, drawn, storedErrors, storedTests, phones, hidden, networks uint64
	testkit.Must(t, ch.QueryRow(testkit.Context(t), `SELECT count(), sum(sample_weight), countIf(sample_weight = 5), countIf(status >= 500 AND load_test = '' AND sample_weight = 1),
		countIf(load_test != '' AND sample_weight = 1), countIf(positionUTF8(concat(path, attrs['line']), '13812345678') > 0),
		countIf(path LIKE '/p?mobile=[phone]&n=%'), countIf(client_ip = toIPv6('::ffff:127.0.0.0')) FROM calls`).
		Scan(&rows, &weights, &drawn, &storedErrors, &storedTests, &phones, &hidden, &networks))
	if int(rows)+left != lines+1 || int(storedErrors) != errors || int(storedTests) != tests {
		t.Errorf("%d rows and %d left out of %d; %d errors, want %d; %d load tests, want %d", rows, left, lines+1, storedErrors, errors, storedTests, tests)
	}
	if deviation := 6 * math.Sqrt(lines*(oneIn-1)); math.Abs(float64(weights)-lines) > deviation || drawn == 0 {
		t.Errorf("%d calls by their weights, %d of them drawn, want %d give or take %v", weights, drawn, lines, deviation)
	}
	if phones != 0 || hidden != rows-1 || networks != rows-1 {
		t.Errorf("%d numbers are stored, %d of %d are hidden, %d addresses are cut", phones, hidden, rows, networks)
	}
	for _, table := range schema.Rollups() {
		var calls uint64
		testkit.Must(t, ch.QueryRow(testkit.Context(t), "SELECT sum(calls) FROM "+table.Name).Scan(&calls))
		if calls != weights {
			t.Errorf("%s: %d calls, the table has %d", table.Name, calls, weights)
		}
	}
	seen, _, err := tail.Next(testkit.Context(t))
	testkit.Must(t, err)
	for _, call := range seen {
		if text := fmt.Sprint(call); strings.Contains(text, number) || !strings.Contains(text, "[phone]") && call.Function != "" {
			t.Fatalf("a watcher sees %s", text)
		}
	}
}

// TestNothingLeftToStore: calls that are all left out are counted all the same,
// and their batch holds nothing up.
func TestNothingLeftToStore(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	log := newAccessLog(t, dir)
	cfg := testConfig(dir, log.path)
	cfg.Tenants = map[string]policy.Sampling{"t": {OneIn: 1 << 30, Slow: time.Hour}}
	c := start(t, cfg, engine.Options())
	write := func(times int) {
		_, err := log.file.WriteString(strings.Repeat(line(1), times))
		testkit.Must(t, err)
	}
	write(1)
	c.settle(1)
	write(500)
	testkit.Eventually(t, "501 calls counted", func() bool { return c.total("calls_total") == 501 })
	if s := c.Stats(); s.SampledOut != 500 || s.Read != 501 {
		t.Errorf("%+v", s)
	}
	c.stop()
	var rows uint64
	testkit.Must(t, open(t, engine.Options()).QueryRow(testkit.Context(t), "SELECT count() FROM calls").Scan(&rows))
	if rows != 1 {
		t.Errorf("%d rows, want the first call alone", rows)
	}
}

// TestRedactedOnDisk: what is hidden is in no file of the collector either.
func TestRedactedOnDisk(t *testing.T) {
	engine := migrated(t)
	dir := t.TempDir()
	log := newAccessLog(t, dir)
	cfg := testConfig(dir, log.path)
	c := start(t, cfg, engine.Options())
	_, err := log.file.WriteString(strings.Replace(line(1), "/p?", "/p?password=hunter2hunter2&", 1))
	testkit.Must(t, err)
	c.settle(1)
	c.stop()
	files, err := os.ReadDir(cfg.walDir())
	testkit.Must(t, err)
	found := false
	for _, f := range files {
		text, err := os.ReadFile(cfg.walDir() + "/" + f.Name())
		testkit.Must(t, err)
		if bytes.Contains(text, []byte("hunter2")) {
			t.Errorf("%s holds the password", f.Name())
		}
		found = found || bytes.Contains(text, []byte("[token]"))
	}
	if !found {
		t.Error("the call is in no file: the test looks at the wrong place")
	}
}
