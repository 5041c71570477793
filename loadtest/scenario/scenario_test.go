package scenario_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

func valid() api.ScenarioSpec {
	return api.ScenarioSpec{
		Targets:    []api.Target{{URL: "http://127.0.0.1:9000/feed"}},
		Stages:     []api.Stage{{Rate: 300, Duration: api.Duration(30 * time.Second)}},
		Thresholds: []string{"p99 < 120ms", "success > 99.9%"},
	}
}

func TestPlanHasDefaults(t *testing.T) {
	p, err := scenario.New(valid(), scenario.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if p.Workers != 16 || p.Timeout != 10*time.Second || p.Poisson || p.Series[0].Target != "GET /feed" {
		t.Errorf("got %+v", p)
	}
	if n := p.Stages.Total(); n != 9000 {
		t.Errorf("%d requests, want 9000", n)
	}
}

func TestRefusals(t *testing.T) {
	stage := func(s api.Stage) func(*api.ScenarioSpec) {
		return func(x *api.ScenarioSpec) { x.Stages = []api.Stage{s} }
	}
	target := func(url string) func(*api.ScenarioSpec) {
		return func(x *api.ScenarioSpec) { x.Targets = []api.Target{{URL: url}} }
	}
	second := api.Duration(time.Second)
	for name, c := range map[string]struct {
		change func(*api.ScenarioSpec)
		want   string
	}{
		"no target":              {func(x *api.ScenarioSpec) { x.Targets = nil }, "targets: must not be empty"},
		"a host nobody allowed":  {target("http://example.com/"), "targets[0].url: host example.com is not on the list"},
		"a host that looks near": {target("http://127.0.0.1.example.com/"), "is not on the list"},
		"a user that looks near": {target("http://127.0.0.1@example.com/"), "host example.com is not on the list"},
		"another protocol":       {target("ftp://127.0.0.1/"), "not an http or https address"},
		"no address":             {target("/feed"), "not an http or https address"},
		"a method with spaces": {
			func(x *api.ScenarioSpec) { x.Targets[0].Method = "GET IT" },
			"targets[0]: net/http: invalid method",
		},
		"no stage":          {func(x *api.ScenarioSpec) { x.Stages = nil }, "stages: must not be empty"},
		"no duration":       {stage(api.Stage{Rate: 1}), "stages[0].duration: must be above 0"},
		"two kinds of rate": {stage(api.Stage{Rate: 1, To: 2, Duration: second}), "stages[0]: give rate, or from and to, not both"},
		"negative rate":     {stage(api.Stage{Rate: -1, Duration: second}), "stages[0]: rate -1"},
		"too fast":          {stage(api.Stage{Rate: 30_000, Duration: second}), "above the cap of 20000/s"},
		"too long":          {stage(api.Stage{Rate: 1, Duration: api.Duration(2 * time.Hour)}), "above the cap of 1h0m0s"},
		"too many":          {stage(api.Stage{Rate: 20_000, Duration: api.Duration(time.Hour)}), "above the cap of 20000000"},
		"too many workers":  {func(x *api.ScenarioSpec) { x.Workers = 5000 }, "workers: 5000 is above the cap of 1024"},
		"fewer than none":   {func(x *api.ScenarioSpec) { x.Workers = -1 }, "workers: must not be negative"},
		"negative timeout":  {func(x *api.ScenarioSpec) { x.Timeout = -1 }, "timeout: must not be negative"},
		"unknown arrivals":  {func(x *api.ScenarioSpec) { x.Arrivals = "bursty" }, `arrivals: "bursty" must be`},
		"a wrong threshold": {func(x *api.ScenarioSpec) { x.Thresholds[1] = "p99 < fast" }, `thresholds[1]: "p99 < fast"`},
	} {
		t.Run(name, func(t *testing.T) {
			spec := valid()
			c.change(&spec)
			_, err := scenario.New(spec, scenario.DefaultLimits())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := scenario.New(api.ScenarioSpec{Arrivals: "x", Thresholds: []string{"y"}, Workers: -1}, scenario.Limits{})
	for _, field := range []string{"targets:", "stages:", "arrivals:", "thresholds[0]:", "workers:", "limits: maxRate:"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is missing in %v", field, err)
		}
	}
}

func TestHosts(t *testing.T) {
	l := scenario.DefaultLimits()
	l.Hosts = []string{"api.example.com", "other.example.com:8080", "10.1.0.0/16", "192.0.2.7"}
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST:80": true, "127.0.0.1:9000": true, "127.8.8.8": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true,
		"api.example.com": true, "API.example.com:443": true, "other.example.com:8080": true, "10.1.2.3:80": true, "192.0.2.7:1": true,
		"other.example.com": false, "other.example.com:81": false, "xapi.example.com": false, "10.2.0.1": false, "192.0.2.8": false,
		"0.0.0.0:80": false, "": false, "128.0.0.1": false, "localhost.example.com": false,
	} {
		if got := l.Allows(host); got != want {
			t.Errorf("%s: allowed is %v", host, got)
		}
	}
}

func TestThresholds(t *testing.T) {
	for _, c := range []struct {
		text   string
		metric string
		value  float64
		kept   float64
		broken float64
	}{
		{"p99 < 120ms", "p99", 0.12, 0.119, 0.12},
		{"p90 <= 50ms", "p90", 0.05, 0.05, 0.051},
		{"p99.9<1s", "p99.9", 1, 0.9, 1.1},
		{"max < 1s", "max", 1, 0.5, 1},
		{"mean < 1.5ms", "mean", 0.0015, 0.001, 0.002},
		{"success > 99.9%", "success", 0.999, 1, 0.999},
		{"success >= 0.5", "success", 0.5, 0.5, 0.4},
		{"errors <= 0%", "errors", 0, 0, 0.01},
		{"achieved_rate >= 299", "achieved_rate", 299, 299, 298.9},
		{"  dropped   <= 0 ", "dropped", 0, 0, 1},
	} {
		th, err := scenario.ParseThreshold(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if th.Metric != c.metric || math.Abs(th.Value-c.value) > 1e-12 {
			t.Errorf("%q: parsed as %+v", c.text, th)
		}
		if !th.Holds(c.kept) || th.Holds(c.broken) || th.Holds(math.NaN()) {
			t.Errorf("%q: holds for %v %v, %v %v, NaN %v", c.text, c.kept, th.Holds(c.kept), c.broken, th.Holds(c.broken), th.Holds(math.NaN()))
		}
	}
}

func TestThresholdErrorsHelp(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "metric operator value",
		"p99":               "metric operator value",
		"p99 = 1s":          "metric operator value",
		"p99 < 1 s":         "metric operator value",
		"p99 < 120":         "not a duration, such as 120ms",
		"p99 < -1s":         "not a duration",
		"p0 < 1s":           "unknown: use mean, max",
		"p100 < 1s":         "unknown: use mean, max",
		"latency < 1s":      "unknown: use mean, max",
		"success > 101%":    "not a share, such as 99.9%",
		"success > NaN":     "not a share",
		"success > 10":      "not a share",
		"dropped < 1s":      "not a number",
		"achieved_rate > -": "not a number",
	} {
		_, err := scenario.ParseThreshold(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func FuzzParseThreshold(f *testing.F) {
	for _, s := range []string{"p99 < 120ms", "success > 99.9%", "achieved_rate >= 299", "p.. < 1s", "p1e5 < 1h", "<<", "errors < 0x1p-2%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		th, err := scenario.ParseThreshold(s)
		if err != nil {
			return
		}
		if math.IsNaN(th.Value) || math.IsInf(th.Value, 0) || th.Value < 0 {
			t.Errorf("%q: value %v", s, th.Value)
		}
		again, err := scenario.ParseThreshold(th.String())
		if err != nil || again != th {
			t.Errorf("%q: printed and parsed again it is %+v, %v", s, again, err)
		}
		if th.Holds(math.NaN()) {
			t.Errorf("%q holds for nothing", s)
		}
	})
}
