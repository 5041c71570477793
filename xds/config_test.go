package xds

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestConfigProblemsNameTheirFields(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	err := Config{Gateway: "localhost:0", RemovedClusterGrace: -1, WarmTimeout: -1, SilenceThreshold: -1, GatewayGrace: -1, FirstReadiness: -1}.Validate()
	for _, field := range []string{"listen", "gateway", "shards", "gateways", "removedClusterGrace", "warmTimeout", "silenceThreshold", "gatewayGrace", "firstReadiness"} {
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+field+": ") {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	c := DefaultConfig()
	first, err := New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	c.Listen = first.Addr()
	if _, err := New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), nil); err == nil {
		t.Error("two listen at one address")
	}
}
