package crew_test

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/crew"
)

var update = flag.Bool("update", false, "write the golden file")

const scenarioText = `apiVersion: kongdao.io/v1
kind: Scenario
metadata: {name: feed-300}
spec:
  targets: [{method: GET, url: "http://feed.shop.svc:8080/feed"}]

  stages: [{rate: 300, duration: 30s}]
`

func TestManifests(t *testing.T) {
	var b bytes.Buffer
	m := crew.Manifests{
		Name: "feed-300", Scenario: scenarioText, Agents: 3, Image: "registry.example/kongdao:1.0", Namespace: "load", Allow: []string{"feed.shop.svc:8080"},
	}
	if err := m.Write(&b); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/manifests.yaml"
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var kinds []string
	for _, text := range strings.Split(b.String(), "\n---\n") {
		var doc struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
			Data     map[string]string
			Spec     struct{ Completions, Parallelism int }
		}
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		kinds = append(kinds, doc.Kind+" "+doc.Metadata.Namespace+"/"+doc.Metadata.Name)
		if doc.Kind == "ConfigMap" {
			set, problems := api.Parse("scenario.yaml", []byte(doc.Data["scenario.yaml"]))
			if len(problems) > 0 || len(set.Scenarios) != 1 || set.Scenarios[0].Name != "feed-300" {
				t.Errorf("the scenario does not survive: %v\n%s", problems, doc.Data["scenario.yaml"])
			}
		}
		if strings.HasSuffix(doc.Metadata.Name, "agents") && (doc.Spec.Completions != 3 || doc.Spec.Parallelism != 3) {
			t.Errorf("%+v", doc)
		}
	}
	if diff := cmp.Diff([]string{"ConfigMap load/load-feed-300", "Service load/load-feed-300", "Job load/load-feed-300", "Job load/load-feed-300-agents"}, kinds); diff != "" {
		t.Error(diff)
	}
}

func TestManifestsRefuse(t *testing.T) {
	good := crew.Manifests{Name: "a", Scenario: scenarioText, Agents: 1, Image: "kongdao"}
	for want, spoil := range map[string]func(*crew.Manifests){
		"name: ":      func(m *crew.Manifests) { m.Name = "A b" },
		"agents: ":    func(m *crew.Manifests) { m.Agents = 0 },
		"image: ":     func(m *crew.Manifests) { m.Image = "x\ny" },
		"namespace: ": func(m *crew.Manifests) { m.Namespace = "-" },
	} {
		m := good
		spoil(&m)
		if err := m.Write(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
