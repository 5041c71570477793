package als

import (
	"context"
	"log/slog"
	"math"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	metricsservice "github.com/envoyproxy/go-control-plane/envoy/service/metrics/v3"
	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
)

func counterOf(name string, ms int64, value float64) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Type: dto.MetricType_COUNTER.Enum(), Metric: []*dto.Metric{
		{TimestampMs: &ms, Counter: &dto.Counter{Value: &value}},
	}}
}

func gaugeOf(name string, ms int64, value float64) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{
		{TimestampMs: &ms, Gauge: &dto.Gauge{Value: &value}},
	}}
}

func metricsMessage(first bool, families ...*dto.MetricFamily) *metricsservice.StreamMetricsMessage {
	m := &metricsservice.StreamMetricsMessage{EnvoyMetrics: families}
	if first {
		m.Identifier = &metricsservice.StreamMetricsMessage_Identifier{Node: &core.Node{Id: "gw-9", Locality: &core.Locality{Zone: "zb-c"}}}
	}
	return m
}

// A reading comes in one message or in several, with much that nobody asked for.
func TestCountersAreReadings(t *testing.T) {
	in := counterStream{names: statisticsOf("gateway")}
	want := Counters{Gateway: "gw-9", Zone: "zb-c"}
	at := func(ms int64) time.Time { return time.UnixMilli(ms).Add(-Guard) }
	steps := []struct {
		name    string
		message *metricsservice.StreamMetricsMessage
		edit    func() // of want; nil: no reading
	}{
		{
			"before the first request there are no counters of requests",
			metricsMessage(true, gaugeOf("server.uptime", 1000, 7), counterOf("http.admin.downstream_rq_total", 1000, 5)),
			func() { want.Time, want.Uptime = at(1000), 7*time.Second },
		},
		{
			"half of a reading", metricsMessage(false, counterOf("http.gateway.downstream_rq_total", 2000, 100), gaugeOf("server.uptime", 2000, 8)), nil,
		},
		{
			"and the other half", metricsMessage(false, gaugeOf("http.gateway.downstream_rq_active", 2000, 3), counterOf("http.gateway.downstream_cx_total", 2000, 9)),
			func() { want.Time, want.Total, want.Active, want.Uptime = at(2000), 100, 3, 8*time.Second },
		},
		{"half of one", metricsMessage(false, counterOf("http.gateway.downstream_rq_total", 3000, 200), gaugeOf("server.uptime", 3000, 9)), nil},
		{"that is never completed", metricsMessage(false, gaugeOf("http.gateway.downstream_rq_active", 4000, 4)), nil},
		{
			"the next is, with entries that were dropped", metricsMessage(false, counterOf("http.gateway.downstream_rq_total", 4000, 300),
				gaugeOf("server.uptime", 4000, 10), counterOf("access_logs.grpc_access_log.logs_dropped", 4000, 17)),
			func() {
				want.Time, want.Total, want.Active, want.Uptime, want.Dropped = at(4000), 300, 4, 10*time.Second, 17
			},
		},
		{"no number", metricsMessage(false, counterOf("http.gateway.downstream_rq_total", 5000, math.NaN()), gaugeOf("http.gateway.downstream_rq_active", 5000, 0), gaugeOf("server.uptime", 5000, 1)), nil},
	}
	for _, s := range steps {
		got, complete := in.read(marshal(t, s.message))
		if complete != (s.edit != nil) {
			t.Fatalf("%s: complete %v", s.name, complete)
		}
		if s.edit == nil {
			continue
		}
		s.edit()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.name, diff)
		}
	}
}

// The stream of a gateway is heard, and that it ended.
func TestCounterStream(t *testing.T) {
	heard, gone := make(chan Counters, 1), make(chan string, 1)
	s, err := New(DefaultConfig(), slog.New(slog.DiscardHandler), nil, nil, Counting{
		Heard: func(c Counters) { heard <- c },
		Gone:  func(gateway string, _ time.Time) { gone <- gateway },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := metricsservice.NewMetricsServiceClient(conn).StreamMetrics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(metricsMessage(true, counterOf("http.gateway.downstream_rq_total", 9, 1), gaugeOf("http.gateway.downstream_rq_active", 9, 1), gaugeOf("server.uptime", 9, 2)))
	if err != nil {
		t.Fatal(err)
	}
	if c := <-heard; c.Gateway != "gw-9" || c.Total != 1 || c.Active != 1 {
		t.Errorf("%+v", c)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if name := <-gone; name != "gw-9" {
		t.Errorf("%s is gone", name)
	}
}

func FuzzCounters(f *testing.F) {
	b := marshal(f, metricsMessage(true, counterOf("http.gateway.downstream_rq_total", 2, 100), gaugeOf("http.gateway.downstream_rq_active", 2, 8), gaugeOf("server.uptime", 2, 8)))
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		in := counterStream{names: statisticsOf("gateway")}
		c, complete := in.read(b)
		m := new(metricsservice.StreamMetricsMessage)
		if proto.Unmarshal(b, m) != nil || !complete {
			return
		}
		for _, family := range m.GetEnvoyMetrics() {
			if family.GetName() == "server.uptime" && c.Uptime >= 0 {
				return
			}
		}
		t.Errorf("%+v out of nothing", c)
	})
}
