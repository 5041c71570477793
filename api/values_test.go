package api

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"100ms": 100 * time.Millisecond, "1.5s": 1500 * time.Millisecond, "2m": 2 * time.Minute, "0": 0, "1h30m": 90 * time.Minute,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Std() != want {
			t.Errorf("%q is %s, %v, want %s", text, d, err, want)
		}
		var again Duration
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%s does not read back: %s, %v", d, again, err)
		}
	}
	for _, text := range []string{"", "5", "-1s", "1d", "soon"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil || d != 0 {
			t.Errorf("%q is taken for %s", text, d)
		}
	}
	for d, want := range map[Duration]string{
		Duration(time.Minute): "1m", Duration(24 * time.Hour): "24h", Duration(61 * time.Minute): "1h1m",
		Duration(90 * time.Second): "1m30s", Duration(time.Hour + time.Second): "1h0m1s", 0: "0s", Duration(10 * time.Second): "10s",
		Duration(10 * time.Minute): "10m", Duration(20 * time.Hour): "20h",
	} {
		if d.String() != want {
			t.Errorf("prints %s, want %s", d, want)
		}
	}
}

func TestPercent(t *testing.T) {
	for text, want := range map[string]Percent{"99.9%": 99.9, "99.9": 99.9, "0": 0, "100 %": 100} {
		var p Percent
		if err := p.UnmarshalText([]byte(text)); err != nil || p != want {
			t.Errorf("%q is %v, %v, want %v", text, p, err, want)
		}
	}
	for _, text := range []string{"", "%", "101%", "-1", "NaN", "0.999x"} {
		var p Percent
		if err := p.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %v", text, p)
		}
	}
}

func TestPercentGoesThroughJSON(t *testing.T) {
	for _, want := range []Objective{{}, {Success: 99.9}} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Objective
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Errorf("%s is read as %v, %v", text, got, err)
		}
	}
}

// TestFunctionIsReadWhole: every value of the documented example arrives, with
// the lines of its parts.
func TestFunctionIsReadWhole(t *testing.T) {
	set, problems := Parse("function.yaml", read(t, "testdata/good/function.yaml"))
	if len(problems) > 0 || len(set.Functions) != 1 {
		t.Fatal(problems)
	}
	got := *set.Functions[0]
	if at := got.Lines.At("spec.revisions[1].endpoints[0].address"); at != 14 {
		t.Errorf("the second revision's pod is on line %d, want 14", at)
	}
	got.Lines = nil
	in := func(line int) Source { return Source{"function.yaml", line} }
	want := Function{
		Metadata: Metadata{Name: "recommend-feed", Tenant: "recommend", Source: in(1)},
		Spec: FunctionSpec{
			Routes: []Route{
				{Hosts: []string{"api.example.com"}, Path: "/recommend/feed", Methods: []string{"GET"}, Source: in(6)},
				{Path: "/recommend/items/{id}/*", Headers: map[string]Matcher{"x-app": Is("7")}, Source: in(7)},
			},
			Revisions: []Revision{
				{Name: "r12", Endpoints: []Endpoint{{"127.0.0.1:9101", "zb-a"}, {"127.0.0.1:9102", "zb-b"}}, Source: in(10)},
				{Name: "r13", Endpoints: []Endpoint{{"[::1]:9103", "zb-a"}}, Source: in(12)},
			},
			Traffic: []Traffic{
				{Revision: "r12", Weight: 100},
				{Revision: "r13", Match: &TrafficMatch{Headers: map[string]string{"x-gray": "1"}}},
			},
			Objective:  Objective{Latency: LatencyObjective{P99: Duration(100 * time.Millisecond)}, Success: 99.9},
			Capacity:   Capacity{PerPodQPS: 300},
			Timeout:    Duration(time.Second),
			Idempotent: true,
			Access:     &Access{Public: true},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestJSON pins what -o json prints.
func TestJSON(t *testing.T) {
	var out strings.Builder
	for _, file := range []string{"testdata/good/function.yaml", "testdata/good/others.yaml"} {
		set, problems := Parse(strings.TrimPrefix(file, "testdata/good/"), read(t, file))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for _, r := range set.resources() {
			text, err := json.MarshalIndent(r, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			out.Write(append(text, '\n'))
		}
	}
	golden(t, "testdata/good/all.json", out.String())
}

// TestRuleGroupsAreKeptAsWritten: the text is a rule file, comments and all, and
// line n of it is line Line+n-1 of the resource.
func TestRuleGroupsAreKeptAsWritten(t *testing.T) {
	data := read(t, "testdata/good/others.yaml")
	set, _ := Parse("others.yaml", data)
	want := map[string]AlertRuleSpec{
		"latency": {Line: 12, Groups: `groups:
  - name: gateway
    rules:
      - alert: Slow
        # why: it hurts
        expr: |
          histogram_quantile(0.99, x) > 1
        for: 1m
`},
		"left": {Line: 25, Groups: "groups:\n- name: left\n  rules: [{alert: A, expr: up == 0}]\n"},
		"flow": {Line: 32, Groups: "groups: [{name: flow, rules: [{alert: A, expr: \"up == 0\"}]}]\n"},
	}
	for _, r := range set.AlertRules {
		if diff := cmp.Diff(want[r.Name], r.Spec); diff != "" {
			t.Errorf("%s (-want +got):\n%s", r.Name, diff)
		}
		first := strings.Split(string(data), "\n")[r.Spec.Line-1]
		if !strings.Contains(first, "groups:") {
			t.Errorf("%s: line %d is %q", r.Name, r.Spec.Line, first)
		}
	}
}

func TestLines(t *testing.T) {
	l := Lines{"": 1, "spec": 4, "spec.routes[1]": 9}
	for field, want := range map[string]int{
		"metadata.name": 1, "spec.routes[0].path": 4, "spec.routes[1].path": 9, "spec.routes[10]": 4, "spec.routes": 4,
	} {
		if got := l.At(field); got != want {
			t.Errorf("At(%s) = %d, want %d", field, got, want)
		}
	}
	if got := Lines(nil).At("spec.x"); got != 0 {
		t.Errorf("no lines give %d", got)
	}
}

// TestWindowsAndByteOrderMark: files from other editors read the same.
func TestWindowsAndByteOrderMark(t *testing.T) {
	text := "\ufeff" + strings.ReplaceAll(string(read(t, "testdata/good/function.yaml")), "\n", "\r\n")
	set, problems := Parse("f.yaml", []byte(text))
	if len(problems) > 0 || len(set.Functions) != 1 || set.Functions[0].Spec.Routes[1].Source.Line != 7 {
		t.Errorf("got %+v, %v", set.Functions, problems)
	}
}

func TestNotText(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\nb: \xff\n":   "f.yaml:2: is not UTF-8 text, want a YAML file",
		"a: 1\n\nb: \x00\n": "f.yaml:3: holds the control character U+0000, want text",
	} {
		if _, problems := Parse("f.yaml", []byte(text)); problems.Error() != want {
			t.Errorf("got %q, want %q", problems.Error(), want)
		}
	}
}

// TestValidateWithoutLines: resources that were not parsed are reported where
// their Source says.
func TestValidateWithoutLines(t *testing.T) {
	f := &Function{Metadata: Metadata{Name: "a", Source: Source{"pods", 0}}}
	got := Validate(Set{Functions: []*Function{f}})
	if len(got) != 2 || got[0].String() != "pods: spec.revisions: is missing, want at least one revision with a name and endpoints" {
		t.Errorf("got %v", got)
	}
}

// TestOneRouteTwiceInItself: a host that is listed twice is one problem, not also
// a contradiction of the route with itself.
func TestOneRouteTwiceInItself(t *testing.T) {
	f := &Function{
		Metadata: Metadata{Name: "a", Source: Source{"f.yaml", 1}},
		Spec: FunctionSpec{
			Routes:    []Route{{Hosts: []string{"x.com", "x.com"}, Path: "/a"}},
			Revisions: []Revision{{Name: "r1", Endpoints: []Endpoint{{Address: "127.0.0.1:1"}}}},
		},
	}
	want := `f.yaml:1: spec.routes[0].hosts[1]: is "x.com" again, as spec.routes[0].hosts[0]: want it once`
	if got := Validate(Set{Functions: []*Function{f}}).Error(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
