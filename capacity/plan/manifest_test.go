package plan_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/kongdao/kongdao/capacity/plan"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// fleet has what plans can meet: a forecast, too many pods, unknown figures, and a
// name that YAML would take for a number.
func fleet(t *testing.T) plan.Plan {
	t.Helper()
	p := plan.DefaultPolicy(zones...)
	p.Growth, p.PodHour, p.Risk = 0.2, 0.5, 0.01
	p.Events = []plan.WhatIf{{Name: "11.11", Factor: 2}}
	seen := plan.Input{Name: "peak", Value: 578.74, Source: plan.SourceForecast, Date: "2026-11-23", Used: true, Text: "peak 578.7/s by forecast"}
	out, err := plan.Make(p, []plan.Function{
		{
			Name: "recommend-feed", PeakQPS: 578.74, SafeRate: 300, Measured: true, HavePerZone: map[string]int{"zb-a": 3, "zb-b": 5, "zb-c": 5},
			Mean: 200, MeanKnown: true, Inputs: []plan.Input{seen, {Name: "peak", Value: 400, Source: plan.SourceDeclared}},
		},
		{Name: "1e3", PeakQPS: 1, SafeRate: 50, Measured: true, HavePerZone: map[string]int{"zb-a": 1, "zb-b": 1, "zb-c": 1}, Mean: 0.4, MeanKnown: true},
		{Name: "visa-wifi", PeakQPS: 50, Notes: []string{"9 days of history: no weekly season"}},
		{Name: "forgotten", Unplanned: true, HavePerZone: map[string]int{"zb-a": 2}, MeanKnown: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestForms(t *testing.T) {
	p := fleet(t)
	for name, write := range map[string]func(io.Writer) error{
		"plan.txt":  p.WriteText,
		"patch.yml": p.WritePatch,
		"hpa.yml":   p.WriteHPA,
		"keda.yml":  func(w io.Writer) error { return p.WriteKEDA(w, "http://prometheus:9090") },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
		if filepath.Ext(name) != ".yml" {
			continue
		}
		for d := yaml.NewDecoder(&b); ; {
			var v struct {
				Metadata struct{ Name string }
			}
			if err := d.Decode(&v); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if v.Metadata.Name == "" {
				t.Errorf("%s: a document has no name", name)
			}
		}
	}
}

// At the target every pod that is left when zones are lost is at the planned
// utilisation.
func TestTargetLeavesRoomForLostZones(t *testing.T) {
	p := fleet(t)
	r := p.Functions[0]
	n := float64(r.PerZone)
	if all, left := p.Target(r)*3*n, 300*0.7*2*n; all > left || all < 0.99*left {
		t.Errorf("at %.1f/s a pod %.0f pods take %.1f/s, those of two zones %.1f/s", p.Target(r), 3*n, all, left)
	}
}
