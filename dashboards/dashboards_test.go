package dashboards

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/deploy/embedded/embeddedtest"
)

var update = flag.Bool("update", false, "rewrite deploy/grafana")

func TestMain(m *testing.M) { embeddedtest.Main(m) }

func built(t *testing.T) []Dashboard {
	t.Helper()
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestFilesAreFresh compares what is committed for those who only want the files.
func TestFilesAreFresh(t *testing.T) {
	const dir = "../deploy/grafana"
	if *update {
		if err := Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	fresh := t.TempDir()
	if err := Write(fresh); err != nil {
		t.Fatal(err)
	}
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		got, err := os.ReadFile(filepath.Join(dir, f.Path))
		if err != nil {
			t.Fatal(err)
		}
		written, err := os.ReadFile(filepath.Join(fresh, f.Path))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(written), string(got)); diff != "" {
			t.Errorf("%s is stale: go test ./dashboards -update (-want +got):\n%s", f.Path, diff)
		}
	}
	committed, err := filepath.Glob(dir + "/*/*.json")
	if err != nil {
		t.Fatal(err)
	}
	// One more: Objectives.
	if want := len(built(t)) + 1; len(committed) != want {
		t.Errorf("%s holds %d dashboards, want %d: remove what is no longer built", dir, len(committed), want)
	}
}

func TestNothingToComplainAbout(t *testing.T) {
	uids := map[string]bool{}
	for _, d := range built(t) {
		for _, problem := range Lint(d) {
			t.Error(problem)
		}
		if uids[d.UID] {
			t.Errorf("uid %s is used twice", d.UID)
		}
		uids[d.UID] = true
	}
}

// TestComplaints breaks a good dashboard in every way that Lint knows.
func TestComplaints(t *testing.T) {
	empty, other, one := "", "my-clickhouse", uint32(1)
	first := func(d *Dashboard) *dashboard.Panel { return d.panels()[0] }
	for want, spoil := range map[string]func(*Dashboard){
		"no title":                        func(d *Dashboard) { first(d).Title = &empty },
		"no description":                  func(d *Dashboard) { first(d).Description = nil },
		"no unit":                         func(d *Dashboard) { first(d).FieldConfig.Defaults.Unit = nil },
		"no link onward":                  func(d *Dashboard) { first(d).Links = nil },
		"no query":                        func(d *Dashboard) { first(d).Targets = nil },
		"its data source is not":          func(d *Dashboard) { first(d).Datasource.Uid = &other },
		"wider than the page":             func(d *Dashboard) { first(d).GridPos.W = 25 },
		"overlaps":                        func(d *Dashboard) { first(d).GridPos.W = 5 },
		"id 1 is taken":                   func(d *Dashboard) { first(d).Id = &one },
		"no id":                           func(d *Dashboard) { first(d).Id = nil },
		"/$zone: no query uses it":        func(d *Dashboard) { d.Model.Panels, d.Model.Annotations.List = nil, nil },
		"no variable zone":                func(d *Dashboard) { d.Model.Templating.List = d.Model.Templating.List[:5] },
		"/$zone: its data source is not":  func(d *Dashboard) { d.Model.Templating.List[5].Datasource.Uid = &other },
		"a query without rawSql or refId": func(d *Dashboard) { first(d).Targets[0] = query("A", Table, "") },
		"the data source of a query is not": func(d *Dashboard) {
			q := query("A", Table, "SELECT 1")
			q.Datasource.Uid = &other
			first(d).Targets[0] = q
		},
	} {
		d := built(t)[0]
		spoil(&d)
		if got := strings.Join(Lint(d), "\n"); !strings.Contains(got, want) {
			t.Errorf("want a complaint with %q, got:\n%s", want, got)
		}
	}
}

// TestRoundTrip reads the JSON back through the SDK: what Grafana gets is what
// was built.
func TestRoundTrip(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	cog.NewRuntime().RegisterDataqueryVariant(Variant())
	for _, d := range built(t) {
		var got Model
		if err := json.Unmarshal(d.JSON, &got); err != nil {
			t.Fatal(err)
		}
		read := Dashboard{Title: d.Title, Model: got}
		if len(read.Queries()) != len(d.Queries()) {
			t.Fatalf("%s: %d queries are read, %d were built", d.File, len(read.Queries()), len(d.Queries()))
		}
		for i, q := range read.Queries() {
			if want := d.Queries()[i]; !q.Query.Equals(want.Query) {
				t.Errorf("%s is not read as it was built", want)
			}
		}
		var strict Model
		if err := strict.UnmarshalJSONStrict(d.JSON); err != nil && err.Error() != "" { // an empty list of errors is not nil
			t.Errorf("%s: %v", d.File, err)
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		if err := json.Compact(&want, d.JSON); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(asValue(t, want.Bytes()), asValue(t, again)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", d.File, diff)
		}
	}
}

func asValue(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestProvisioning(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Path, ".yaml") {
			continue
		}
		var v map[string]any
		if err := yaml.Unmarshal(f.Text, &v); err != nil {
			t.Errorf("%s: %v", f.Path, err)
		}
		if v["apiVersion"] != uint64(1) {
			t.Errorf("%s: apiVersion %v", f.Path, v["apiVersion"])
		}
	}
	if !strings.Contains(provisionSource, "type: "+PluginID+"\n") {
		t.Errorf("the data source is not of type %s", PluginID)
	}
}

// TestRollups: the hidden variables name the tables that exist.
func TestRollups(t *testing.T) {
	for i, r := range schema.Rollups() {
		step := []string{"10 SECOND", "1 MINUTE", "1 HOUR"}[i]
		if !strings.Contains(rollupQuery, "'"+r.Name+"'") || r.Step != step {
			t.Errorf("rollup %s with step %s is not what the variables rollup and step choose", r.Name, r.Step)
		}
	}
}

// TestColoursAreOfTheTheme: a colour by value is readable in one theme at most.
func TestColoursAreOfTheTheme(t *testing.T) {
	byValue := regexp.MustCompile(`"[cC]olor": *"(#|rgb)[^"]*"|"fixedColor": *"(#|rgb)[^"]*"`)
	for _, d := range built(t) {
		for _, found := range byValue.FindAllString(string(d.JSON), -1) {
			t.Errorf("%s: %s", d.File, found)
		}
	}
}

// TestLinksLeadSomewhere: every link is to a dashboard of this package and hands
// over the time range and the data source.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`"url": "([^"]+)"`)
	all := built(t)
	for _, d := range all {
		for _, found := range link.FindAllStringSubmatch(string(d.JSON), -1) {
			url := found[1]
			ours := slices.ContainsFunc(all, func(o Dashboard) bool { return o.UID != d.UID && strings.HasPrefix(url, "/d/"+o.UID+"?") })
			if !ours || !strings.Contains(url, "${__url_time_range}") || !strings.Contains(url, "var-datasource=${datasource}") {
				t.Errorf("%s: link %s", d.File, url)
			}
		}
	}
}

// TestDerivedVariables: a URL must not keep a rollup for another time range.
func TestDerivedVariables(t *testing.T) {
	for _, d := range built(t) {
		for _, v := range d.Model.Templating.List {
			hidden := v.Name == "rollup" || v.Name == "step"
			if skips := v.SkipUrlSync != nil && *v.SkipUrlSync; skips != hidden {
				t.Errorf("%s/$%s: left out of URLs: %v, want %v", d.Title, v.Name, skips, hidden)
			}
		}
	}
}
