package apply

import (
	"bytes"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/capacity/search"
)

var update = flag.Bool("update", false, "write golden files")

func limit() Limit {
	return Limit{PerPodQPS: 243.1, Measured: api.Measured{Date: "2026-11-20", Low: 243.1, High: 260.4, Run: "lt-0123456789ab", Revision: "r13"}}
}

// TestGolden: testdata holds before and after of each way to write a resource.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			before := a.Files[0].Data
			got, err := Edit(before, "feed", limit())
			if err != nil {
				got = []byte(err.Error() + "\n")
				if !errors.Is(err, ErrByHand) {
					t.Errorf("%v is no ErrByHand", err)
				}
			} else {
				if _, problems := api.Parse("feed.yaml", before); len(problems) == 0 {
					parses(t, got)
				}
				if again, err := Edit(got, "feed", limit()); err != nil || !bytes.Equal(again, got) {
					t.Errorf("a second time changed it: %v\n%s", err, cmp.Diff(string(got), string(again)))
				}
			}
			if *update {
				a.Files = append(a.Files[:1], txtar.File{Name: "after.yaml", Data: got})
				if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(a.Files[1].Data), string(got)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// parses: the project's own reader takes it, with the limit in it.
func parses(t *testing.T, text []byte) {
	t.Helper()
	set, problems := api.Parse("feed.yaml", text)
	if len(problems) > 0 || set.Function("feed") == nil {
		t.Fatalf("%v in\n%s", problems, text)
	}
	c := set.Function("feed").Spec.Capacity
	if c.PerPodQPS != limit().PerPodQPS || c.Measured == nil || *c.Measured != limit().Measured {
		t.Errorf("read %+v of\n%s", c, text)
	}
}

func TestLineEnds(t *testing.T) {
	text := "\uFEFFkind: Function\r\nmetadata: {name: feed}\r\nspec:\r\n  # Überraschung\r\n  capacity:\r\n    perPodQPS: 300 # was\r\n  timeout: 1s"
	want := strings.Replace(text, "300 # was\r\n", "243.1 # was\r\n    measured: "+`{date: "2026-11-20", low: 243.1, high: 260.4, run: lt-0123456789ab, revision: r13}`+"\r\n", 1)
	got, err := Edit([]byte(text), "feed", limit())
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, cmp.Diff(want, string(got)))
	}
}

func TestNoSuchFunction(t *testing.T) {
	for text, want := range map[string]string{
		"kind: Zone\nmetadata: {name: feed}\n": "there is no function feed",
		"a: [\n":                               "read resources",
		"":                                     "there is no function feed",
		"kind: Function\nmetadata: {name: feed}\nspec: {a: 1}\n---\nkind: Function\nmetadata: {name: feed}\nspec: {a: 1}\n": "written twice",
	} {
		if _, err := Edit([]byte(text), "feed", limit()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// FuzzEdit: whatever a file looks like, an edit that succeeds leaves every line as it
// is that is not the function's capacity, and can be read.
func FuzzEdit(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, before []byte) {
		after, err := Edit(before, "feed", limit())
		if err != nil {
			return
		}
		docs, err := parse(before)
		if err != nil {
			t.Fatal(err)
		}
		i, err := find(docs, "feed")
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(docs, i, after, limit()); err != nil {
			t.Fatalf("%v\nbefore %q\nafter  %q", err, before, after)
		}
		onlyCapacity(t, before, after)
	})
}

// onlyCapacity: what differs is one stretch, in which the file has no more than
// capacity's own fields, and no comment is lost.
func onlyCapacity(t *testing.T, before, after []byte) {
	t.Helper()
	head := 0
	for head < min(len(before), len(after)) && before[head] == after[head] {
		head++
	}
	tail := 0
	for tail < min(len(before), len(after))-head && before[len(before)-1-tail] == after[len(after)-1-tail] {
		tail++
	}
	gone := before[head : len(before)-tail]
	if bytes.Contains(gone, []byte("\n---")) {
		t.Errorf("more than one document was touched: %q", gone)
	}
	if n, m := comments(t, before), comments(t, after); m < n {
		t.Errorf("%d of %d comments are left\nbefore %q\nafter  %q", m, n, before, after)
	}
	if n, m := bytes.Count(before, []byte("\n")), bytes.Count(after, []byte("\n")); m < n {
		t.Errorf("%d of %d lines are left", m, n)
	}
}

// comments counts the lines of all comments.
func comments(t *testing.T, text []byte) (n int) {
	docs, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var walk func(*yaml.Node)
	walk = func(node *yaml.Node) {
		n += strings.Count(node.HeadComment+"\n"+node.LineComment+"\n"+node.FootComment, "#")
		for _, c := range node.Content {
			walk(c)
		}
	}
	for _, d := range docs {
		walk(d)
	}
	return n
}

func TestJudge(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	good := Found{Function: "feed", Revision: "r13", Run: "lt-1", Started: now.Add(-time.Hour), Result: search.Result{Safe: 243.1, High: 260.4, Proven: 250}}
	facts := Facts{Now: now, MaxAge: 24 * time.Hour, Serving: []Serving{{"r13", 100}}, Offered: 100}
	for _, c := range []struct {
		name   string
		change func(*Found, *Facts)
		want   []string
	}{
		{"good", func(*Found, *Facts) {}, nil},
		{"a guess", func(f *Found, _ *Facts) { f.Proven = 0 }, []string{"valid: no rate was proven: 243.1/s is a cautious guess"}},
		{"old", func(f *Found, _ *Facts) { f.Started = now.Add(-72 * time.Hour) }, []string{"fresh: it is 3 days old, more than 1"}},
		{"future", func(f *Found, _ *Facts) { f.Started = now.Add(72 * time.Hour) }, []string{"fresh: it is of 2026-11-26, in the future"}},
		{"no date", func(f *Found, _ *Facts) { f.Started = time.Time{} }, []string{"fresh: it does not say when it was measured"}},
		{"other revision", func(_ *Found, x *Facts) { x.Serving = []Serving{{"r12", 90}, {"r14", 10}} }, []string{"revision: r13 was measured, and those that serve are r12 90%, r14 10%"}},
		{"same image", func(_ *Found, x *Facts) {
			x.Serving, x.Images = []Serving{{"r12", 100}}, map[string]string{"r12": "feed:7", "r13": "feed:7"}
		}, nil},
		{"unknown revision", func(f *Found, _ *Facts) { f.Revision = "" }, []string{"revision: it does not say which revision was measured"}},
		{"nothing serves", func(_ *Found, x *Facts) { x.Serving = nil }, []string{"revision: r13 was measured, and no revision serves"}},
		{"too low", func(_ *Found, x *Facts) { x.Offered, x.Headroom = 230, 0.9 }, []string{"offered: pods are offered 230.0/s each now, and would be given 218.8/s: the rest would be refused"}},
		{"not known what is offered", func(_ *Found, x *Facts) { x.Offered = math.NaN() }, nil},
	} {
		f, x := good, facts
		c.change(&f, &x)
		var got []string
		for _, r := range Judge(f, x) {
			if r.Mend == "" {
				t.Errorf("%s: nothing mends %s", c.name, r.Check)
			}
			got = append(got, r.Check+": "+r.Why)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", c.name, diff)
		}
	}
}
