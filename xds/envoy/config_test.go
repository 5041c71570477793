package envoy

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestValidateNamesEveryField(t *testing.T) {
	err := Config{
		HTTPAddr: "nonsense", AdminAddr: "127.0.0.1:99999", XDSAddr: "127.0.0.1:0", ALSAddr: ":80",
		Concurrency: -1, Drain: -1,
	}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	fields := []string{"dir", "nodeID", "cluster", "logLevel", "httpAddr", "adminAddr", "xdsAddr", "alsAddr", "concurrency", "maxConnections", "maxHeapBytes", "drain", "stopTimeout", "handover"}
	if len(lines) != len(fields) {
		t.Errorf("%d problems, want %d:\n%v", len(lines), len(fields), err)
	}
	for i, field := range fields {
		if i < len(lines) && !strings.HasPrefix(lines[i], field+": ") {
			t.Errorf("problem %d is %q, want it about %s", i, lines[i], field)
		}
	}
	cfg := DefaultConfig()
	cfg.Dir, cfg.XDSAddr = "x", "127.0.0.1:1"
	if err := cfg.Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
}

func testOptions() Options {
	return Options{
		NodeID: "gw-7", Cluster: "edge", Zone: "zb-a",
		XDSAddr: "127.0.0.1:18000", ALSAddr: "collector.internal:18001",
		AdminAddr: "127.0.0.1:19000", HTTPAddr: "[::1]:8080",
		MaxConnections: 1000, MaxHeapBytes: 1 << 30,
	}
}

func TestBootstrapPassesEnvoysOwnValidation(t *testing.T) {
	binary, err := Find("")
	if err != nil {
		t.Fatalf("run `make deps`: %v", err)
	}
	b, err := Bootstrap(testOptions())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bootstrap.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary.Path, "--mode", "validate", "-c", file).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "deprecated") {
		t.Errorf("uses something deprecated:\n%s", out)
	}
}

func TestBootstrapIsStableAndSaysWhatItMust(t *testing.T) {
	first, err := Bootstrap(testOptions())
	if err != nil {
		t.Fatal(err)
	}
	second, err := Bootstrap(testOptions())
	if err != nil || string(first) != string(second) {
		t.Errorf("differs from call to call (%v)", err)
	}
	var got struct {
		Node struct {
			ID, Cluster string
			Locality    struct{ Zone string }
		}
		DynamicResources struct {
			AdsConfig struct {
				APIType string `json:"api_type"`
			} `json:"ads_config"`
		} `json:"dynamic_resources"`
		StaticResources struct {
			Clusters []struct{ Name, Type string }
		} `json:"static_resources"`
		ClusterManager struct {
			Local string `json:"local_cluster_name"`
		} `json:"cluster_manager"`
	}
	if err := json.Unmarshal(first, &got); err != nil {
		t.Fatal(err)
	}
	if got.Node.ID != "gw-7" || got.Node.Cluster != "edge" || got.Node.Locality.Zone != "zb-a" {
		t.Errorf("node %+v", got.Node)
	}
	if got.DynamicResources.AdsConfig.APIType != "DELTA_GRPC" || got.ClusterManager.Local != LocalCluster {
		t.Errorf("ads %+v, local cluster %q", got.DynamicResources.AdsConfig, got.ClusterManager.Local)
	}
	names := []string{}
	for _, c := range got.StaticResources.Clusters {
		names = append(names, c.Name+" "+c.Type)
	}
	if strings.Join(names, ", ") != "xds STATIC, gateways STATIC, als STRICT_DNS" {
		t.Errorf("clusters %q", names)
	}
}

func TestBootstrapNamesTheBadAddress(t *testing.T) {
	for field, set := range map[string]func(*Options){
		"xds address":   func(o *Options) { o.XDSAddr = "x" },
		"als address":   func(o *Options) { o.ALSAddr = "x:y" },
		"admin address": func(o *Options) { o.AdminAddr = "" },
		"http address":  func(o *Options) { o.HTTPAddr = "1:2:3" },
	} {
		o := testOptions()
		set(&o)
		if _, err := Bootstrap(o); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
