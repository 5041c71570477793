package xds

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/kongdao/kongdao/api"
)

// gaugeOf is the gauge of a certificate.
func gaugeOf(t *testing.T, reg *prometheus.Registry, name, certificate string) prometheus.Collector {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "found"})
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && labelled(m, certificate) {
				g.Set(m.GetGauge().GetValue())
			}
		}
	}
	return g
}

func labelled(m *dto.Metric, certificate string) bool {
	for _, l := range m.GetLabel() {
		if l.GetName() == "certificate" && l.GetValue() == certificate {
			return true
		}
	}
	return false
}

// resolveForTest reads ${file:…}; anything else is its own text.
func resolveForTest(s api.Secret) (string, error) {
	if strings.HasPrefix(s.Reveal(), "${file:") {
		return fileSecret(s)
	}
	return s.Reveal(), nil
}
