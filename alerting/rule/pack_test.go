package rule

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
)

// packCase is a test of shipped rules. Series are written as promtool's tests write
// them.
type packCase struct {
	name   string
	series string
	step   time.Duration // between samples and evaluations; 0: 5 s
	at     time.Duration
	want   []string // alerts that fire, with labels and description
}

var packCases = []packCase{
	{
		name: "a zone without a ready pod is down, and its pods are",
		series: `
			kongdao_xds_pods{function="feed",revision="r1",zone="zb-a"} 2x20
			kongdao_xds_pods{function="feed",revision="r1",zone="zb-b"} 2x20
			kongdao_xds_pods{function="cart",revision="r1",zone="zb-b"} 1x20
			kongdao_xds_ready_pods{function="feed",revision="r1",zone="zb-a"} 2x20
			kongdao_xds_ready_pods{function="feed",revision="r1",zone="zb-b"} 2 0x20
			kongdao_xds_ready_pods{function="cart",revision="r1",zone="zb-b"} 1 0x20`,
		at: 30 * time.Second,
		want: []string{
			`PodsDown{function="cart", severity="ticket", zone="zb-b"}: 1 pods not ready`,
			`PodsDown{function="feed", severity="ticket", zone="zb-b"}: 2 pods not ready`,
			`ZoneDown{severity="page", zone="zb-b"}: 0 of 3 pods ready`,
		},
	},
	{
		name: "a certificate that ends, one that ends soon, and one that cannot be used",
		series: `
			kongdao_xds_certificate_expiry_timestamp_seconds{certificate="fine"} 5000000x20
			kongdao_xds_certificate_expiry_timestamp_seconds{certificate="edge"} 864090x20
			kongdao_xds_certificate_expiry_timestamp_seconds{certificate="api"} 86490x20
			kongdao_xds_certificate_problem{certificate="fine"} 0x20
			kongdao_xds_certificate_problem{certificate="edge"} 1x20`,
		at: 90 * time.Second,
		want: []string{
			`CertificateExpires{certificate="api", severity="page"}: in 1d 0h 0m 0s`,
			`CertificateExpires{certificate="api", severity="ticket"}: in 1d 0h 0m 0s`,
			`CertificateExpires{certificate="edge", severity="ticket"}: in 10d 0h 0m 0s`,
			`CertificateRefused{certificate="edge", severity="ticket"}: kongdao doctor says why`,
		},
	},
	{
		name: "a zone is down ten seconds after its last pod",
		series: `
			kongdao_xds_pods{function="feed",revision="r1",zone="zb-b"} 2x20
			kongdao_xds_ready_pods{function="feed",revision="r1",zone="zb-b"} 2 0x20`,
		at:   10 * time.Second,
		want: []string{`ZoneDown{severity="page", zone="zb-b"}: 0 of 2 pods ready`},
	},
	{
		name: "two control planes that report the same pods count them once",
		series: `
			kongdao_xds_pods{function="feed",revision="r1",zone="zb-b",instance="a"} 2x20
			kongdao_xds_pods{function="feed",revision="r1",zone="zb-b",instance="b"} 2x20
			kongdao_xds_ready_pods{function="feed",revision="r1",zone="zb-b",instance="a"} 1x20
			kongdao_xds_ready_pods{function="feed",revision="r1",zone="zb-b",instance="b"} 1x20`,
		at:   30 * time.Second,
		want: []string{`PodsDown{function="feed", severity="ticket", zone="zb-b"}: 1 pods not ready`},
	},
	{
		name: "a zone without any pods is not down",
		series: `
			kongdao_xds_pods{function="feed",revision="r1",zone="zb-c"} 0x20
			kongdao_xds_ready_pods{function="feed",revision="r1",zone="zb-c"} 0x20`,
		at: 60 * time.Second,
	},
	{
		name: "half of the calls refused is a page",
		series: `
			kongdao_collector_calls_total{function="feed",revision="r1",zone="zb-a",code="200"} 0+250x30
			kongdao_collector_calls_total{function="feed",revision="",zone="",code="429"} 0+250x30
			kongdao_collector_refused_calls_total{function="feed",limit="capacity"} 0+250x30`,
		at:   45 * time.Second,
		want: []string{`CapacityRefusals{function="feed", severity="page"}: 50% of its calls refused with 429`},
	},
	{
		name: "callers held to their own limits are none",
		series: `
			kongdao_collector_calls_total{function="feed",code="200"} 0+250x30
			kongdao_collector_calls_total{function="feed",code="429"} 0+250x30
			kongdao_collector_refused_calls_total{function="feed",limit="consumer"} 0+200x30
			kongdao_collector_refused_calls_total{function="feed",limit="header:x-user"} 0+50x30`,
		at: 45 * time.Second,
	},
	{
		name: "one refusal in a thousand is none",
		series: `
			kongdao_collector_calls_total{function="feed",code="200"} 0+5000x30
			kongdao_collector_refused_calls_total{function="feed",limit="capacity"} 0+5x30`,
		at: 45 * time.Second,
	},
	{
		name: "a tenth of the calls failing is a page",
		series: `
			kongdao_collector_calls_total{function="feed",code="200"} 0+90x30
			kongdao_collector_calls_total{function="feed",code="503"} 0+10x30`,
		at:   60 * time.Second,
		want: []string{`ErrorRate{function="feed", severity="page"}: 10% of its calls end in 5xx`},
	},
	{
		name: "a call a minute that fails pages nobody",
		series: `
			kongdao_collector_calls_total{function="rare",code="503"} 0x11 1x11 2x11`,
		at: 150 * time.Second,
	},
	{
		name: "two percent for long is a ticket",
		series: `
			kongdao_collector_calls_total{function="feed",code="200"} 0+98x200
			kongdao_collector_calls_total{function="feed",code="500"} 0+2x200`,
		at:   12 * time.Minute,
		want: []string{`ErrorRate{function="feed", severity="ticket"}: 2% of its calls end in 5xx`},
	},
	{
		name: "refused configuration is a page while it is new",
		series: `
			kongdao_xds_rejections_total{type="routes"} 0x10 1x100`,
		at:   90 * time.Second,
		want: []string{`ConfigurationRejected{severity="page", type="routes"}: 1 rejections of routes in 2 minutes`},
	},
	{
		name:   "what is in quarantine is a page",
		series: `kongdao_xds_quarantined{function="feed",stage="canary"} 2x100`,
		at:     90 * time.Second,
		want:   []string{`Quarantined{function="feed", severity="page", stage="canary"}: 2 in quarantine, found by canary`},
	},
	{
		name:   "a gateway that takes no configuration is a page",
		series: `kongdao_xds_gateway_silent_seconds{gateway="gw-1"} 15x100`,
		at:     90 * time.Second,
		want:   []string{`GatewayWedged{gateway="gw-1", severity="page"}: an update is unanswered for 15s; kongdao gateway list names what it waits for`},
	},
	{
		name:   "refused configuration is over when nothing is refused any more",
		series: `kongdao_xds_rejections_total{type="routes"} 0x10 1x100`,
		at:     5 * time.Minute,
	},
	{
		name:   "slow at the 99th percentile",
		series: `kongdao_collector_call_duration_seconds{function="feed"} {{schema:0 sum:0 count:0 buckets:[0]}}+{{schema:0 sum:400 count:100 buckets:[0 0 100]}}x40` + "\n" + `kongdao_collector_calls_total{function="feed",code="200"} 0+100x40`,
		at:     3 * time.Minute,
		want:   []string{`LatencyHigh{function="feed", severity="ticket"}: 99 % of its calls end within 3.972s`},
	},
	{
		name: "what the collector cannot deliver",
		series: `
			kongdao_collector_wal_bytes 800x20
			kongdao_collector_wal_budget_bytes 1000x20
			kongdao_collector_wal_waiting 1x20
			kongdao_collector_wal_quarantined 2x20
			kongdao_collector_dead_letter_bytes{table="calls"} 2048x20`,
		at: time.Minute,
		want: []string{
			`CallsRefused{severity="ticket", table="calls"}: 2kiB wait for kongdao collector replay`,
			`CollectorFilling{severity="ticket"}: 80% of its budget are used`,
			`CollectorFull{severity="page"}: files keep their lines, access log streams lose calls`,
			`LogDamaged{severity="page"}: 2 damaged ranges in the folder quarantine`,
		},
	},
	{
		name: "a collector that delivers",
		series: `
			kongdao_collector_wal_bytes 100x20
			kongdao_collector_wal_budget_bytes 1000x20
			kongdao_collector_wal_waiting 0x20
			kongdao_collector_wal_quarantined 0x20
			kongdao_collector_dead_letter_bytes{table="calls"} 0x20`,
		at: time.Minute,
	},
	{
		name: "log records of functions refused",
		series: `
			kongdao_collector_otlp_requests_total{protocol="grpc",outcome="busy"} 0 30x60
			kongdao_collector_otlp_requests_total{protocol="http",outcome="busy"} 0x60
			kongdao_collector_otlp_requests_total{protocol="grpc",outcome="stored"} 0+100x60`,
		at:   time.Minute,
		want: []string{`FunctionLogsRefused{severity="ticket"}: about 30 requests in the last 2 minutes`},
	},
	{
		name:   "log files dropped unread",
		series: `kongdao_collector_file_dropped_lines_total{gateway="gw-1"} 0x4 1000x60`,
		at:     time.Minute,
		want:   []string{`LogFilesDropped{gateway="gw-1", severity="page"}: about 1k calls in the last 5 minutes`},
	},
	{
		name: "a thousandth of a gateway's calls missing, and a gateway that went silent",
		series: `
			kongdao_collector_completeness_counted{gateway="gw-1",gateway_zone="zb-a"} 60000x20
			kongdao_collector_completeness_lost{gateway="gw-1",gateway_zone="zb-a",stage="gateway"} 0 60x20
			kongdao_collector_completeness_lost{gateway="gw-1",gateway_zone="zb-a",stage="storage"} 0x20
			kongdao_collector_completeness_heard_seconds{gateway="gw-1",gateway_zone="zb-a"} 1x20
			kongdao_collector_completeness_heard_seconds{gateway="gw-2",gateway_zone="zb-b"} 25x20`,
		at: 20 * time.Second,
		want: []string{
			`CallLogIncomplete{gateway="gw-1", gateway_zone="zb-a", severity="ticket", stage="gateway"}: 0.1% of its calls in a minute`,
			`GatewaySilent{gateway="gw-2", gateway_zone="zb-b", severity="ticket"}: its counters were last heard of 25s ago`,
		},
	},
	{
		name: "one call in a quiet minute, or five in a hundred thousand, are no incomplete log",
		series: `
			kongdao_collector_completeness_counted{gateway="gw-1",gateway_zone="zb-a"} 10x20
			kongdao_collector_completeness_lost{gateway="gw-1",gateway_zone="zb-a",stage="gateway"} 1x20
			kongdao_collector_completeness_counted{gateway="gw-2",gateway_zone="zb-a"} 100000x20
			kongdao_collector_completeness_lost{gateway="gw-2",gateway_zone="zb-a",stage="storage"} 5x20`,
		at: 20 * time.Second,
	},
	{
		name: "a zone that was not drilled for 31 days, and one that was",
		series: `
			kongdao_practice_remind_seconds 2592000x20
			kongdao_practice_age_seconds{zone="zb-a"} 2678400x20
			kongdao_practice_age_seconds{zone="zb-b"} 86400x20`,
		at:   30 * time.Second,
		want: []string{`PracticeMissed{severity="ticket", zone="zb-a"}: the last drill as planned is 31d 0h 0m 0s ago`},
	},
	{
		name: "a release whose calls take longer, and one whose do not beyond chance",
		series: `
			kongdao_capacity_release_slowdown{function="feed",revision="r13",before="r12"} 1.27x20
			kongdao_capacity_release_slowdown{function="cart",revision="r2",before="r1"} 1.04x20`,
		at:   60 * time.Second,
		want: []string{`ReleaseSlower{before="r12", function="feed", revision="r13", severity="ticket"}: its calls take at least 1.27 times as long`},
	},
	{
		name: "what waits too long, and who cannot be seen",
		series: `
			kongdao_collector_oldest_unstored_seconds 90x20
			kongdao_alerting_channel_oldest_seconds{channel="on-call"} 61x20
			kongdao_collector_file_bytes{gateway="gw-1"} 2097152x20
			kongdao_collector_file_budget_bytes{gateway="gw-1"} 1048576x20
			kongdao_collector_file_bytes{gateway="gw-2"} 2097152x20
			up{instance="10.0.0.1:9"} 0x20`,
		at: 45 * time.Second,
		want: []string{
			`CollectorBehind{severity="ticket"}: the oldest waits for 1m 30s`,
			`LogFilesOverBudget{gateway="gw-1", severity="ticket"}: they use 2MiB`,
			`MetricsMissing{instance="10.0.0.1:9", severity="ticket"}: its last scrape failed`,
			`NotificationUndelivered{channel="on-call", severity="page"}: the oldest waits for 1m 1s`,
		},
	},
}

func TestPack(t *testing.T) {
	for _, c := range slices.Concat(packCases, trendCases) {
		t.Run(c.name, func(t *testing.T) {
			if diff := gocmp.Diff(c.want, firing(t, run(t, Pack(), c.series, cmp.Or(c.step, 5*time.Second), c.at))); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}

// run evaluates rules every 5 s, or as their groups say, and returns the groups as
// they are in the end, by text and name. There is a sample every step.
func run(t *testing.T, rulesByName map[string]string, series string, step, at time.Duration) map[string]*rules.Group {
	t.Helper()
	texts := newTexts()
	parsed, err := texts.with(rulesByName)
	if err != nil {
		t.Fatal(err)
	}
	names := texts.set(parsed)
	load := fmt.Sprintf("load %s\n", model.Duration(step))
	for line := range strings.Lines(strings.TrimSpace(series)) {
		load += "  " + strings.TrimSpace(line) + "\n"
	}
	suite, err := promqltest.NewLazyLoader(load, promqltest.LazyLoaderOpts{Parser: parser.NewParser(parser.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = suite.Close() })
	m := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(suite.QueryEngine(), suite.Storage()), AppendableV2: suite.Storage(),
		Context: t.Context(), NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
		Logger: slog.New(slog.DiscardHandler), GroupLoader: texts, Parser: texts.parser,
	})
	groups, errs := m.LoadGroups(5*time.Second, labels.EmptyLabels(), "", nil, false, names...)
	if errs != nil {
		t.Fatal(errs)
	}
	for ts := time.Unix(0, 0); ts.Sub(time.Unix(0, 0)) <= at; ts = ts.Add(step) {
		suite.WithSamplesTill(ts, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range slices.Sorted(maps.Keys(groups)) {
				if g := groups[name]; ts.UnixMilli()%g.Interval().Milliseconds() == 0 {
					g.Eval(suite.Context(), ts)
				}
			}
		})
	}
	return groups
}

func firing(t *testing.T, groups map[string]*rules.Group) []string {
	t.Helper()
	var got []string
	for _, g := range groups {
		for _, r := range g.Rules() {
			if err := r.LastError(); err != nil {
				t.Errorf("%s: %v", r.Name(), err)
			}
			alerting, ok := r.(*rules.AlertingRule)
			if !ok {
				continue
			}
			for _, a := range alerting.ActiveAlerts() {
				if a.State != rules.StateFiring || r.Name() == "Watchdog" { // see TestWatchdogAlwaysFires
					continue
				}
				ls := labels.NewBuilder(a.Labels).Del("alertname").Labels()
				got = append(got, fmt.Sprintf("%s%s: %s", r.Name(), ls, a.Annotations.Get("description")))
			}
		}
	}
	slices.Sort(got)
	return got
}
