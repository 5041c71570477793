package fleet

import (
	"bytes"
	"fmt"
	"text/template"
	"time"
)

// Specs is what the processes of all zones are told at their first start, one
// for each zone; the pods choose their own ports.
func Specs(catalog []Function, zones []string, seed uint64) []ZoneSpec {
	specs := make([]ZoneSpec, 0, len(zones))
	for _, zone := range zones {
		s := ZoneSpec{Zone: zone, Seed: seed}
		for _, f := range catalog {
			for range f.PodsPerZone {
				s.Pods = append(s.Pods, PodSpec{Function: f.Name, Address: "127.0.0.1:0", Behaviour: f.Behaviour})
			}
		}
		specs = append(specs, s)
	}
	return specs
}

// Rates are the figures of the feed that the demo finds out while it runs.
type Rates struct {
	PerPod, Low, High float64 // requests a second; PerPod 0: not measured yet
	Run               string
	Date              time.Time
	Forecast          float64 // peak to plan for, requests a second
}

// Objective is what the feed promises: 99 % of its calls within this time.
const Objective = 100 * time.Millisecond

// Resources renders the YAML of the whole platform as a developer would write it.
func Resources(catalog []Function, zones []ZoneSpec, feed Rates) ([]byte, error) {
	type function struct {
		Function
		Endpoints []PodSpec
		Zones     []string
		Rates     Rates
		Objective time.Duration
	}
	var out bytes.Buffer
	for _, z := range zones {
		fmt.Fprintf(&out, "apiVersion: kongdao.io/v1\nkind: Zone\nmetadata: {name: %s}\nspec: {priority: 0}\n---\n", z.Zone)
	}
	for i, f := range catalog {
		data := function{Function: f, Objective: 500 * time.Millisecond}
		if f.Name == Feed {
			data.Rates, data.Objective = feed, Objective
		}
		for _, z := range zones {
			for _, p := range z.Pods {
				if p.Function == f.Name {
					data.Endpoints = append(data.Endpoints, p)
					data.Zones = append(data.Zones, z.Zone)
				}
			}
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		if err := functionYAML.Execute(&out, data); err != nil {
			return nil, fmt.Errorf("render %s: %w", f.Name, err)
		}
	}
	return out.Bytes(), nil
}

var functionYAML = template.Must(template.New("function").Parse(`apiVersion: kongdao.io/v1
kind: Function
metadata:
  name: {{.Name}}
  tenant: {{.Tenant}}
  labels: {domain: {{.Domain}}, scenario: {{.Scenario}}}
spec:
  description: {{printf "%q" .Description}}
  routes:
    - {hosts: [` + Host + `], path: {{printf "%q" .Route}}, methods: [GET]}
  revisions:
    - name: r1
      endpoints:
{{- range $i, $p := .Endpoints}}
        - {address: "{{$p.Address}}", zone: {{index $.Zones $i}}}
{{- end}}
  traffic: [{revision: r1, weight: 100}]
  objective: {latency: {p99: {{.Objective}}}, success: 99.9%}
{{- if .Rates.PerPod}}
  capacity:
    perPodQPS: {{printf "%.1f" .Rates.PerPod}}
    measured: {date: {{.Rates.Date.Format "2006-01-02"}}, low: {{printf "%.1f" .Rates.Low}}, {{if .Rates.High}}high: {{printf "%.1f" .Rates.High}}, {{end}}run: {{.Rates.Run}}}
    forecastQPS: {{printf "%.0f" .Rates.Forecast}}
{{- else if .Rates.Forecast}}
  capacity: {forecastQPS: {{printf "%.0f" .Rates.Forecast}}}
{{- end}}
  timeout: 3s
  idempotent: true
  healthCheck: {path: /healthz}
  access: {public: true}
`))
