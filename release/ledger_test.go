package release

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
)

func open(t *testing.T, dir string) *Ledger {
	t.Helper()
	l, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// feed has revisions of these names, the first with everything.
func feed(names ...string) *api.Function {
	f := &api.Function{Metadata: api.Metadata{Name: "feed", Source: api.Source{File: "feed.yaml", Line: 1}}}
	for i, n := range names {
		f.Spec.Revisions = append(f.Spec.Revisions, api.Revision{
			Name: n, Image: "feed:" + n, Endpoints: []api.Endpoint{{Address: "10.0.0.1:80"}}, Source: api.Source{File: "feed.yaml", Line: 10 + i},
		})
	}
	f.Spec.Traffic = []api.Traffic{{Revision: names[0], Weight: 100}}
	return f
}

func set(fs ...*api.Function) api.Set { return api.Set{Functions: fs} }

func publish(t *testing.T, l *Ledger, fs ...*api.Function) {
	t.Helper()
	if ps := l.Check(set(fs...)); len(ps) > 0 {
		t.Fatal(ps)
	}
	if err := l.Publish(set(fs...)); err != nil {
		t.Fatal(err)
	}
}

func weights(t *testing.T, l *Ledger, want string) {
	t.Helper()
	s, ok := l.State("feed")
	if !ok || s.Weights.String() != want {
		t.Errorf("weights %q, want %q", s.Weights, want)
	}
	if got := written(l.Effective(set(l.set["feed"])).Functions[0]).String(); got != want {
		t.Errorf("effective weights %q, want %q", got, want)
	}
}

// A revision's endpoints may change; what else changes is refused, also after a
// restart and after the revision was away.
func TestRevisionsAreImmutable(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	publish(t, l, feed("r12"))
	moved := feed("r12")
	moved.Spec.Revisions[0].Endpoints = []api.Endpoint{{Address: "10.0.0.2:80"}, {Address: "10.0.0.3:80"}}
	publish(t, l, moved)
	publish(t, l, feed("r13"))
	l.Close()

	l = open(t, dir)
	publish(t, l, feed("r12", "r13"))
	other := feed("r13", "r12")
	other.Spec.Revisions[1].Image = "feed:rebuilt"
	other.Spec.Revisions[1].Protocol = "h2"
	ps := l.Check(set(other))
	if len(ps) != 1 {
		t.Fatalf("problems: %v", ps)
	}
	for _, part := range []string{"feed.yaml:11: spec.revisions[1]: ", `"r12"`, "(feed.yaml:10)", `image was "feed:r12" and is "feed:rebuilt"`, `protocol was not given and is "h2"`, "such as r14"} {
		if !strings.Contains(ps[0].String(), part) {
			t.Errorf("%q is not in: %s", part, ps[0])
		}
	}
}

func TestOverridesLastAndAreReset(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	publish(t, l, feed("r1", "r2", "r3"))
	testkit.Must(t, l.SetWeight("feed", "r2", 5))
	weights(t, l, "r1 95%, r2 5%")
	testkit.Must(t, l.SetWeight("feed", "r3", 20))
	weights(t, l, "r1 76%, r2 4%, r3 20%")
	l.Close()

	l = open(t, dir)
	publish(t, l, feed("r1", "r2", "r3"))
	weights(t, l, "r1 76%, r2 4%, r3 20%")
	publish(t, l, feed("r1", "r2")) // r3 is not there any more
	weights(t, l, "r1 100%")
	if s, _ := l.State("feed"); !strings.Contains(s.Void, "r3") {
		t.Errorf("void: %q", s.Void)
	}
	publish(t, l, feed("r1", "r2", "r3"))
	weights(t, l, "r1 76%, r2 4%, r3 20%")
	testkit.Must(t, l.Reset("feed"))
	weights(t, l, "r1 100%")
	testkit.Must(t, l.SetWeight("feed", "r2", 100))
	publish(t, l, feed("r2", "r1")) // the file says the same
	if s, _ := l.State("feed"); s.Override != nil {
		t.Errorf("the override is still there: %+v", s.Override)
	}
	if err := l.SetWeight("feed", "r9", 5); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown revision: %v", err)
	}
	if err := l.SetWeight("other", "r1", 5); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown function: %v", err)
	}
}

func TestRollback(t *testing.T) {
	l := open(t, t.TempDir())
	publish(t, l, feed("r1"))
	if _, err := l.Rollback("feed", ""); !errors.Is(err, ErrConflict) {
		t.Errorf("with one revision: %v", err)
	}
	publish(t, l, feed("r2", "r1"))
	publish(t, l, feed("r3", "r2", "r1"))
	back := func(want string) {
		t.Helper()
		if _, err := l.Rollback("feed", ""); err != nil {
			t.Fatal(err)
		}
		weights(t, l, want)
	}
	back("r2 100%")
	back("r1 100%") // and not to r3 again
	if _, err := l.Rollback("feed", ""); !errors.Is(err, ErrConflict) {
		t.Errorf("with nothing left: %v", err)
	}
	if _, err := l.Rollback("feed", "r3"); err != nil {
		t.Error(err)
	}
	weights(t, l, "r3 100%")
	testkit.Must(t, l.Reset("feed"))
	testkit.Must(t, l.SetWeight("feed", "r2", 10))
	back("r3 100%") // a split goes back to what was whole
}

// Every prefix of the journal is a state that was once, and a damaged line costs
// that line alone.
func TestJournalSurvivesCrashes(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	publish(t, l, feed("r1", "r2"))
	for i := range 10 {
		testkit.Must(t, l.SetWeight("feed", "r2", 10+i))
	}
	l.Close()
	path := filepath.Join(dir, "journal")
	whole, err := os.ReadFile(path)
	testkit.Must(t, err)
	for cut := 0; cut < len(whole); cut += 11 {
		torn := t.TempDir()
		testkit.Must(t, os.WriteFile(filepath.Join(torn, "journal"), whole[:cut], 0o600))
		l := open(t, torn)
		if cut%143 == 0 { // it takes more, and keeps it
			publish(t, l, feed("r1", "r2"))
			testkit.Must(t, l.SetWeight("feed", "r2", 77))
			l.Close()
			l = open(t, torn)
			publish(t, l, feed("r1", "r2"))
			weights(t, l, "r1 23%, r2 77%")
		}
		l.Close()
	}
	lines := strings.SplitAfter(string(whole), "\n")
	damaged := strings.Replace(lines[0], "r1", "rX", 1)
	testkit.Must(t, os.WriteFile(path, []byte(damaged+strings.Join(lines[1:], "")), 0o600))
	l = open(t, dir)
	publish(t, l, feed("r1", "r2"))
	weights(t, l, "r1 81%, r2 19%")
}

// A long history is shortened without a change of the record.
func TestJournalIsShortened(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	publish(t, l, feed("r1", "r2"))
	var many []event
	for i := range 2000 {
		many = append(many, l.override("feed", Weights{{"r1", 60 + i%2}, {"r2", 40 - i%2}}, byCommand, "again")...)
	}
	testkit.Must(t, l.commit(many...))
	l.Close()
	before, err := os.Stat(filepath.Join(dir, "journal"))
	testkit.Must(t, err)
	l = open(t, dir)
	after, err := os.Stat(filepath.Join(dir, "journal"))
	testkit.Must(t, err)
	if after.Size() > before.Size()/10 {
		t.Errorf("%d bytes became %d", before.Size(), after.Size())
	}
	publish(t, l, feed("r1", "r2"))
	weights(t, l, "r1 61%, r2 39%")
	testkit.Must(t, l.Reset("feed"))
	l.Close()
	l = open(t, dir)
	publish(t, l, feed("r1", "r2"))
	weights(t, l, "r1 100%")
}
