package plan

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"text/template"
)

// Target is the rate of a pod, requests a second, at which more pods are due while
// no zone is lost: at it, those that are left when zones are lost are at the planned
// utilisation of their safe rate. 0: unknown.
func (p Plan) Target(r Row) float64 {
	z := float64(len(p.Zones))
	return math.Floor(10*r.SafeRate*p.Utilisation*(z-float64(p.LostZones))/z) / 10
}

// ceiling is how many times the planned pods a scaler may start.
const ceiling = 2

// scaled is what manifests say of a function.
type scaled struct {
	Name, Why, Prometheus string
	Min, Max              int
	Target                float64
}

// Milli is the target as Kubernetes writes quantities.
func (s scaled) Milli() float64 { return 1000 * s.Target }

// WriteHPA writes a HorizontalPodAutoscaler (autoscaling/v2) for the Deployment of
// each function whose plan is known. Its metric has to come from an adapter.
func (p Plan) WriteHPA(w io.Writer) error { return p.manifests(w, hpa, "") }

// WriteKEDA writes a ScaledObject (keda.sh/v1alpha1) for the Deployment of each
// function whose plan is known, which asks the Prometheus at that URL.
func (p Plan) WriteKEDA(w io.Writer, prometheus string) error {
	return p.manifests(w, keda, prometheus)
}

func (p Plan) manifests(w io.Writer, t *template.Template, prometheus string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n# Spread each Deployment over the zones %s: topologySpreadConstraints, maxSkew 1.\n",
		p.headline(), strings.Join(p.Zones, ", "))
	for _, r := range p.Functions {
		if r.PerZone == 0 || p.Target(r) <= 0 {
			fmt.Fprintf(&b, "# %s is left out: %s\n", r.Function, strings.Join(r.Notes, "; "))
			continue
		}
		n := r.PerZone * len(p.Zones)
		s := scaled{Name: r.Function, Min: n, Max: ceiling * n, Target: p.Target(r), Prometheus: prometheus}
		s.Why = fmt.Sprintf("peak %.1f/s, %d pods in each of %d zones", r.PeakQPS, r.PerZone, len(p.Zones))
		if err := t.Execute(&b, s); err != nil {
			return fmt.Errorf("write manifest of %s: %w", r.Function, err)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// headline says what the plan is for.
func (p Plan) headline() string {
	text := fmt.Sprintf("kongdao capacity plan: %d zones, %d may be lost, %.0f %% of the safe rate, %.0f %% growth",
		len(p.Zones), p.LostZones, 100*p.Utilisation, 100*p.Growth)
	for _, e := range p.Events {
		text += fmt.Sprintf(", event %s %gx", e.Name, e.Factor)
	}
	return text
}

// WritePatch writes, for each function whose peak was forecast, the part of its
// resource that the forecast changes: a merge patch (RFC 7386) in YAML.
func (p Plan) WritePatch(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n", p.headline())
	n := 0
	for _, r := range p.Functions {
		for _, in := range r.Inputs {
			if in.Name != "peak" || in.Source != SourceForecast || !in.Used {
				continue
			}
			n++
			if err := patch.Execute(&b, struct {
				Name, Text string
				Peak       float64
			}{r.Function, in.Text, math.Ceil(10*in.Value) / 10}); err != nil {
				return fmt.Errorf("write patch of %s: %w", r.Function, err)
			}
		}
	}
	if n == 0 {
		fmt.Fprintln(&b, "# nothing to change: no peak was forecast to be above the declared one")
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Names of functions are of a-z, 0-9 and -, which YAML and PromQL take as they are;
// the quotes are for names such as 1e3.
var (
	patch = template.Must(template.New("patch").Parse(`---
apiVersion: kongdao.io/v1
kind: Function
metadata: {name: "{{.Name}}"}
spec:
  capacity:
    forecastQPS: {{printf "%.1f" .Peak}}  # {{.Text}}
`))

	hpa = template.Must(template.New("hpa").Parse(`---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: "{{.Name}}"
  labels: {app.kubernetes.io/managed-by: kongdao}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: "{{.Name}}"}
  minReplicas: {{.Min}}  # {{.Why}}
  maxReplicas: {{.Max}}
  metrics:
    - type: External
      external:
        metric:
          name: kongdao_function_calls_per_second
          selector: {matchLabels: {function: "{{.Name}}"}}
        target: {type: AverageValue, averageValue: "{{printf "%.0fm" .Milli}}"}
  behavior:
    scaleUp: {stabilizationWindowSeconds: 0}
    scaleDown: {stabilizationWindowSeconds: 600}
`))

	keda = template.Must(template.New("keda").Parse(`---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: "{{.Name}}"
  labels: {app.kubernetes.io/managed-by: kongdao}
spec:
  scaleTargetRef: {name: "{{.Name}}"}
  minReplicaCount: {{.Min}}  # {{.Why}}
  maxReplicaCount: {{.Max}}
  cooldownPeriod: 600
  triggers:
    - type: prometheus
      metricType: AverageValue
      metadata:
        serverAddress: {{printf "%q" .Prometheus}}
        query: sum(rate(kongdao_collector_calls_total{function="{{.Name}}"}[1m]))
        threshold: "{{printf "%.1f" .Target}}"
`))
)
