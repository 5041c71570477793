// Package usage says what a pod used while it was under load: CPU, memory, and how
// long it was kept from running.
//
// It reads what pods and machines expose for Prometheus, about once a second: the
// pod's own endpoint (process_*, go_*, as client libraries of most languages have it),
// the container's figures of cAdvisor (container_*, by the kubelet or by /federate of
// a Prometheus server), and steal time of the node exporter (node_cpu_seconds_total).
// Figures with times of their own keep these. What is not exposed is not known, and
// nothing is assumed in its place.
//
// A source that does not answer costs nothing but its figures.
package usage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Source is a place to read from.
type Source struct {
	URL   string            // of metrics in Prometheus' text format
	Match map[string]string // labels that a container's series must have; empty: all
}

// Validate reports what is wrong with the URL.
func (s Source) Validate() error {
	u, err := url.Parse(s.URL)
	if err != nil {
		return errNoURL
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("metrics: is %q, want a URL such as http://10.0.0.7:9090/metrics", plain(u))
	}
	return nil
}

// errNoURL does not name what was given: it may hold a password.
var errNoURL = errors.New("metrics: not a URL")

// plain is a URL without what may be secret in it.
func plain(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path }

// ParseMatch reads labels such as "pod=feed-0,namespace=shop".
func ParseMatch(text string) (map[string]string, error) {
	match := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("is %q, want labels such as pod=feed-0,namespace=shop", part)
		}
		match[name] = strings.Trim(value, `"`)
	}
	return match, nil
}

// Reading is what was used at a moment. NaN: not known.
type Reading struct {
	At          time.Time
	Started     float64 // of the process, Unix seconds
	CPU         float64 // seconds since it started
	CPULimit    float64 // cores
	Memory      float64 // bytes
	MemoryLimit float64
	Throttled   float64 // periods in which its quota was used up
	Periods     float64
	Steal       float64 // seconds that the machine's cores were taken by others
	Machine     float64 // seconds of all of the machine's cores, whatever they did

	limitFrom string // what the limit is
	requests  float64
}

func unknown(at time.Time) Reading {
	n := math.NaN()
	return Reading{At: at, Started: n, CPU: n, CPULimit: n, Memory: n, MemoryLimit: n, Throttled: n, Periods: n, Steal: n, Machine: n}
}

// most is the size of an answer up to which it is read: a machine with some hundred
// containers.
const most = 64 << 20

// read asks a source. The body is parsed as it comes.
func (s Source) read(ctx context.Context, client *http.Client) (Reading, error) {
	target, err := s.target()
	if err != nil {
		return Reading{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return Reading{}, err
	}
	req.Header.Set("Accept", "text/plain;version=0.0.4")
	res, err := client.Do(req)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL
		}
		return Reading{}, fmt.Errorf("read metrics: %s: %w", plain(target), err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return Reading{}, fmt.Errorf("read metrics: %s answers %s", plain(target), res.Status)
	}
	r, err := s.parse(io.LimitReader(res.Body, most))
	if err != nil {
		return r, fmt.Errorf("read metrics: %s: %w", plain(target), err)
	}
	return r, nil
}

func (s Source) parse(text io.Reader) (Reading, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return Reading{}, err
	}
	return s.of(all, time.Now())
}

// target is the URL, of /metrics when it has no path.
func (s Source) target() (*url.URL, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, errNoURL
	}
	if u.Path == "" {
		u.Path = "/metrics"
	}
	return u, nil
}

// of takes what is known from an exposition. A container's figures are before those
// of a process in it, since its limit is theirs.
func (s Source) of(all map[string]*dto.MetricFamily, now time.Time) (Reading, error) {
	r := unknown(now)
	var errs []error
	get := func(name string) float64 {
		v, at, err := s.value(all[name])
		if err != nil {
			errs = append(errs, err)
		}
		if !at.IsZero() && at.Before(r.At) {
			r.At = at
		}
		return v
	}
	r.CPU = first(get("container_cpu_usage_seconds_total"), get("process_cpu_seconds_total"))
	r.Memory = first(get("container_memory_working_set_bytes"), get("process_resident_memory_bytes"))
	r.Started = first(get("container_start_time_seconds"), get("process_start_time_seconds"))
	r.MemoryLimit = positive(get("container_spec_memory_limit_bytes"))
	r.Throttled, r.Periods = get("container_cpu_cfs_throttled_periods_total"), get("container_cpu_cfs_periods_total")
	r.Steal, r.Machine = machine(all["node_cpu_seconds_total"])
	r.CPULimit, r.limitFrom = positive(get("container_spec_cpu_quota")/get("container_spec_cpu_period")), "its quota"
	if math.IsNaN(r.CPULimit) {
		r.CPULimit, r.limitFrom = positive(get("go_sched_gomaxprocs_threads")), "GOMAXPROCS"
	}
	if len(errs) == 0 && math.IsNaN(r.CPU) && math.IsNaN(r.Memory) && math.IsNaN(r.Steal) {
		errs = append(errs, errors.New("neither process_cpu_seconds_total nor container_cpu_usage_seconds_total is there, nor memory"))
	}
	if len(errs) > 0 {
		return r, errs[0]
	}
	return r, nil
}

// value is the sum over a pod's containers, or the only series that matches. The time
// is the sample's own, zero without.
func (s Source) value(f *dto.MetricFamily) (v float64, at time.Time, err error) {
	v = math.NaN()
	var whole []*dto.Metric // of a whole pod, or without containers
	n := 0
	for _, m := range f.GetMetric() {
		labels := labelsOf(m)
		if !s.matches(labels) {
			continue
		}
		if ms := m.GetTimestampMs(); ms != 0 {
			at = time.UnixMilli(ms)
		}
		switch labels["container"] {
		case "POD": // the one that holds the others' network
		case "":
			whole = append(whole, m)
		default:
			if n == 0 {
				v = 0
			}
			v, n = v+number(m), n+1
		}
	}
	switch {
	case n > 0:
		return v, at, nil
	case len(whole) > 1:
		return v, at, fmt.Errorf("%d series of %s: say by labels which is the pod's, such as pod=feed-0", len(whole), f.GetName())
	case len(whole) == 1:
		return number(whole[0]), at, nil
	}
	return v, at, nil
}

func (s Source) matches(labels map[string]string) bool {
	for name, want := range maps.All(s.Match) {
		if labels[name] != want {
			return false
		}
	}
	return true
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

// machine sums up a machine's cores.
func machine(f *dto.MetricFamily) (steal, all float64) {
	if f == nil {
		return math.NaN(), math.NaN()
	}
	for _, m := range f.GetMetric() {
		all += number(m)
		if labelsOf(m)["mode"] == "steal" {
			steal += number(m)
		}
	}
	return steal, all
}

func number(m *dto.Metric) float64 {
	switch {
	case m.GetCounter() != nil:
		return m.GetCounter().GetValue()
	case m.GetGauge() != nil:
		return m.GetGauge().GetValue()
	case m.GetUntyped() != nil:
		return m.GetUntyped().GetValue()
	}
	return math.NaN()
}

// first is the first that is known.
func first(all ...float64) float64 {
	for _, v := range all {
		if !math.IsNaN(v) {
			return v
		}
	}
	return math.NaN()
}

// positive is v, not known unless it is above 0: a limit of 0 is none, and one of
// 2^63 bytes neither.
func positive(v float64) float64 {
	if v > 0 && v < 1<<60 {
		return v
	}
	return math.NaN()
}
