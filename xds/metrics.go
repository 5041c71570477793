package xds

import (
	"errors"
	"path"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/xds/serve"
)

// metrics are what the control plane counts. Numbers of pods and limits are read
// from the World when they are asked for, so that functions that are gone leave no
// series behind.
type metrics struct {
	rejections *prometheus.CounterVec
	push       prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, s *Server) (*metrics, error) {
	m := &metrics{
		rejections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kongdao_xds_rejections_total", Help: "Updates that a gateway refused, by type of resource.",
		}, []string{"type"}),
		push: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kongdao_xds_push_seconds", Help: "From a change to its acceptance by a gateway.",
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}),
	}
	for _, typeURL := range serve.Types() {
		m.rejections.WithLabelValues(typeName(typeURL))
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.rejections, m.push, worldCollector{s}} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) acked(_ string, since time.Duration) { m.push.Observe(since.Seconds()) }

func (m *metrics) rejected(typeURL string) { m.rejections.WithLabelValues(typeName(typeURL)).Inc() }

// typeName is Cluster, Listener and so on.
func typeName(typeURL string) string {
	return strings.TrimPrefix(path.Ext(typeURL), ".")
}

var (
	podsDesc = prometheus.NewDesc("kongdao_xds_pods",
		"Pods of a revision in a zone that are in rotation: neither drained nor taken out for a test.", []string{"function", "revision", "zone"}, nil)
	readyDesc = prometheus.NewDesc("kongdao_xds_ready_pods",
		"Pods of a revision in a zone that are in rotation and ready.", []string{"function", "revision", "zone"}, nil)
	limitDesc = prometheus.NewDesc("kongdao_xds_limit_requests_per_second",
		"Rate that all gateways together admit to a function; functions without a limit are not listed.", []string{"function"}, nil)
	gatewaysDesc = prometheus.NewDesc("kongdao_xds_gateways",
		"Connected gateways.", nil, nil)
	callersDesc = prometheus.NewDesc("kongdao_xds_callers",
		"Connected gRPC clients that call pods without a gateway.", nil, nil)
	refusingDesc = prometheus.NewDesc("kongdao_xds_refusing_callers",
		"Those of them that refuse something that they were sent.", nil, nil)
	silentDesc = prometheus.NewDesc("kongdao_xds_silent_gateways",
		"Connected gateways that leave an update unanswered for longer than the threshold.", nil, nil)
	expiryDesc = prometheus.NewDesc("kongdao_xds_certificate_expiry_timestamp_seconds",
		"When a certificate that gateways show ends, or the first one in its chain, as Unix time.", []string{"certificate"}, nil)
	badCertificateDesc = prometheus.NewDesc("kongdao_xds_certificate_problem",
		"1 while what a Certificate refers to cannot be used; what was in force before it still is.", []string{"certificate"}, nil)
	silenceDesc = prometheus.NewDesc("kongdao_xds_gateway_silent_seconds",
		"For how long a gateway leaves an update unanswered; only those are listed that do so for longer than the update may take.", []string{"gateway"}, nil)
	quarantineDesc = prometheus.NewDesc("kongdao_xds_quarantined",
		"Routes of a function, or 1 for all of it, that are answered by 503 because their configuration would be refused, by who found it.", []string{"function", "stage"}, nil)
	invalidDesc = prometheus.NewDesc("kongdao_xds_quarantined_functions",
		"Functions that are not served because their configuration is wrong.", nil, nil)
)

// worldCollector reads the World and the gateways.
type worldCollector struct{ s *Server }

// Describe implements prometheus.Collector.
func (c worldCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{podsDesc, readyDesc, limitDesc, gatewaysDesc, callersDesc, refusingDesc, silentDesc, silenceDesc, quarantineDesc, invalidDesc, expiryDesc, badCertificateDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c worldCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	state, invalid, silent := c.s.State(), 0, 0
	for _, f := range state.Functions {
		if f.Limit > 0 {
			gauge(limitDesc, f.Limit, f.Name)
		}
		if f.Invalid != "" {
			invalid++
		}
		for _, p := range f.Pods {
			// Drained and pinned pods are nobody's loss: alerts compare these two.
			gauge(podsDesc, float64(p.Wanted), f.Name, p.Revision, p.Zone)
			gauge(readyDesc, float64(p.Ready), f.Name, p.Revision, p.Zone)
		}
	}
	for _, k := range state.Certificates {
		if !k.NotAfter.IsZero() {
			gauge(expiryDesc, float64(k.NotAfter.Unix()), k.Name)
		}
		bad := 0.0
		if k.Problem != "" {
			bad = 1
		}
		gauge(badCertificateDesc, bad, k.Name)
	}
	for _, g := range state.Gateways {
		if g.Faulty {
			silent++
			gauge(silenceDesc, time.Since(g.Silent).Seconds(), g.Node)
		}
	}
	type found struct{ function, stage string }
	pieces := map[found]int{}
	for _, q := range state.Quarantined {
		pieces[found{q.Function, q.Stage}]++
	}
	for at, n := range pieces {
		gauge(quarantineDesc, float64(n), at.function, at.stage)
	}
	gauge(gatewaysDesc, float64(len(state.Gateways)))
	callers, refusing := c.s.Callers(), 0
	for _, x := range callers {
		if len(x.Refused) > 0 {
			refusing++
		}
	}
	gauge(callersDesc, float64(len(callers)))
	gauge(refusingDesc, float64(refusing))
	gauge(silentDesc, float64(silent))
	gauge(invalidDesc, float64(invalid))
}
