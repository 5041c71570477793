package app

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/apply"
	"github.com/kongdao/kongdao/capacity/search"
	"github.com/kongdao/kongdao/capacity/usage"
)

// Begin is what is known before a search.
type Begin struct {
	Earlier float64  `json:"earlier" doc:"safe rate of an earlier search of this revision, or one of the same image; 0: there is none"`
	Start   float64  `json:"start" doc:"first rate where the earlier search is only a hint; 0: none"`
	Safe    float64  `json:"safe_rate" doc:"what that search found; 0: there was none"`
	Run     string   `json:"run,omitempty"`
	Age     float64  `json:"age_s"`
	Hint    string   `json:"hint,omitempty" doc:"why it is only a hint"`
	Metrics []string `json:"metrics" doc:"where the pod's CPU and memory are read"`
}

// hintShare is the first rate as a part of what was found where that may not hold any
// more: of a pod that has become three times as slow it is still the limit.
const hintShare = 0.3

// beginOf looks for an earlier search of a function, all of which are given, the newest
// first.
func beginOf(all []apply.Found, f *api.Function, revision string, maxAge time.Duration, now time.Time) (b Begin) {
	image := imageOf(f, revision)
	objective := search.ObjectiveOf(f.Spec.Objective).String()
	var hint *Begin
	for _, x := range all {
		if x.Function != f.Name || x.Safe <= 0 {
			continue
		}
		b := Begin{Safe: x.Safe, Run: x.Run, Age: now.Sub(x.Started).Seconds(), Hint: doubt(x, revision, image, objective, maxAge, now)}
		if b.Hint == "" {
			b.Earlier = x.Safe
			return b
		}
		if hint == nil {
			b.Start = hintShare * x.Safe
			hint = &b
		}
	}
	if hint != nil {
		return *hint
	}
	if m := f.Spec.Capacity.Measured; m != nil && m.Low > 0 {
		b = Begin{Earlier: m.Low, Safe: m.Low, Run: m.Run}
		if day, err := time.Parse(time.DateOnly, m.Date); err == nil {
			b.Age = now.Sub(day).Seconds()
		}
		if m.Revision != "" && m.Revision != revision && revision != "" {
			b.Earlier, b.Start, b.Hint = 0, hintShare*m.Low, fmt.Sprintf("it is of revision %s", m.Revision)
		}
	}
	return b
}

// doubt says why a result of the past may not hold for this revision; empty: it does.
func doubt(x apply.Found, revision, image, objective string, maxAge time.Duration, now time.Time) string {
	switch {
	case x.Image != "" && image != "" && x.Image != image:
		return fmt.Sprintf("it is of another image, that of revision %s", x.Revision)
	case x.Revision != revision && (x.Image == "" || x.Image != image):
		return fmt.Sprintf("it is of revision %s", x.Revision)
	case x.Objective != objective:
		return fmt.Sprintf("it is for %s", x.Objective)
	case maxAge > 0 && now.Sub(x.Started) > maxAge:
		return fmt.Sprintf("it is older than %s", days(maxAge.Seconds()))
	}
	return ""
}

func imageOf(f *api.Function, revision string) string {
	for _, r := range f.Spec.Revisions {
		if r.Name == revision {
			return r.Image
		}
	}
	return ""
}

// Text says where a search begins and why; empty without an earlier one.
func (b Begin) Text(first float64) string {
	if b.Safe == 0 {
		return ""
	}
	text := fmt.Sprintf("starting at %.0f/s: %.2g of %.0f/s", first, first/b.Safe, b.Safe)
	if b.Run != "" {
		text += ", run " + b.Run
	}
	text += ", " + days(b.Age) + " ago"
	if b.Hint != "" {
		text += ", a hint alone, for " + b.Hint
	}
	return text + "; --cold to ignore"
}

// days is a length of time in the largest unit that fits.
func days(seconds float64) string {
	count := func(n int, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d >= 24*time.Hour:
		return count(int(d.Hours()/24), "day")
	case d >= time.Hour:
		return count(int(d.Hours()), "hour")
	}
	return count(max(0, int(d.Minutes())), "minute")
}

type beginInput struct {
	Name     string `path:"name"`
	Revision string `query:"revision"`
	Pod      string `query:"pod"`
}

func (s *System) getBegin(_ context.Context, in *beginInput) (*body[Begin], error) {
	f, err := s.Function(in.Name)
	if err != nil {
		return nil, huma.Error404NotFound("there is no function " + in.Name)
	}
	b := beginOf(s.allFound(), f, in.Revision, s.cfg.Capacity.MaxAge.Std(), time.Now())
	b.Metrics = metricsOf(s.cfg.Capacity.Metrics, in.Pod)
	return reply(b), nil
}

// metricsOf fills a pod's address into places to read from.
func metricsOf(all []string, pod string) []string {
	out := []string{}
	host, _, err := net.SplitHostPort(pod)
	if err != nil {
		host = pod
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	for _, text := range all {
		if host != "" || !strings.Contains(text, "{host}") {
			out = append(out, strings.ReplaceAll(text, "{host}", host))
		}
	}
	return out
}

// MetricsSources are places to read a pod's CPU and memory from. match are labels, such
// as pod=feed-0, for those that expose several pods.
func MetricsSources(urls []string, match string) ([]usage.Source, error) {
	labels, err := usage.ParseMatch(match)
	if err != nil {
		return nil, fmt.Errorf("--metrics-pod: %w", err)
	}
	var all []usage.Source
	for _, u := range urls {
		s := usage.Source{URL: u, Match: labels}
		if err := s.Validate(); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// ours tells whether an address is of this machine.
func ours(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	if ip == nil {
		return host == "localhost"
	}
	mine, err := net.InterfaceAddrs()
	return ip.IsLoopback() || err == nil && slices.ContainsFunc(mine, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip)
	})
}

// pathOf is the path of a URL, for people.
func pathOf(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Path
	}
	return text
}
