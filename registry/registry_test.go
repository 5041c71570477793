package registry

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// function is a valid Function resource with one route.
func function(name, path string) string {
	return fmt.Sprintf(`apiVersion: kongdao.io/v1
kind: Function
metadata: {name: %s}
spec:
  routes: [{path: %s}]
  revisions: [{name: r1, endpoints: [{address: "127.0.0.1:9101"}]}]
`, name, path)
}

// fixture is a running registry over a folder of its own.
type fixture struct {
	t     *testing.T
	dir   string
	reg   *Registry
	snaps <-chan Snapshot
	log   *testkit.Buffer
}

// start runs a registry over dir. Its slow look is off unless rescan is given, so
// that the tests show what the watch alone sees.
func start(t *testing.T, dir string, rescan time.Duration) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: dir, log: &testkit.Buffer{}}
	cfg := DefaultConfig()
	cfg.Dir, cfg.Debounce, cfg.Rescan = dir, api.Duration(20*time.Millisecond), api.Duration(rescan)
	reg, err := New(cfg, slog.New(slog.NewTextHandler(f.log, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	f.reg = reg
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- reg.Run(ctx) }()
	f.snaps = reg.Watch(ctx)
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *fixture) write(name, content string) {
	f.t.Helper()
	write(f.t, filepath.Join(f.dir, name), content)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	testkit.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	testkit.Must(t, os.WriteFile(path, []byte(content), 0o644))
}

// state describes a snapshot: the functions with their routes, and the problems
// with file names relative to the folder.
func (f *fixture) state(s Snapshot) string {
	var parts []string
	for _, fn := range s.Set.Functions {
		parts = append(parts, fn.Name+"="+fn.Spec.Routes[0].Path)
	}
	for _, z := range s.Set.Zones {
		parts = append(parts, "zone="+z.Name)
	}
	for _, p := range s.Problems {
		parts = append(parts, "! "+strings.ReplaceAll(p.String(), f.dir+string(filepath.Separator), ""))
	}
	return strings.Join(parts, "\n")
}

// waitFor waits until a snapshot has exactly this state.
func (f *fixture) waitFor(want ...string) Snapshot {
	f.t.Helper()
	deadline := time.After(30 * time.Second)
	got := "unchanged"
	for {
		select {
		case s := <-f.snaps:
			if got = f.state(s); got == strings.Join(want, "\n") {
				return s
			}
		case <-deadline:
			f.t.Fatalf("state is\n%s\nwant\n%s\nlog\n%s", got, strings.Join(want, "\n"), f.log)
		}
	}
}

// settle returns when changes of a file are surely seen by the watch: the first
// two may still have been found by the readings that Run begins with.
func (f *fixture) settle(path string) {
	f.t.Helper()
	for _, route := range []string{"/s1", "/s2", "/s3"} {
		write(f.t, path, function("a", route))
		f.waitFor("a=" + route)
	}
}

func TestChangesApplyWhileRunning(t *testing.T) {
	f := start(t, t.TempDir(), time.Hour)
	f.waitFor("")

	f.write("a.yaml", function("a", "/a"))
	f.waitFor("a=/a")

	f.write("sub/deep/b.yml", function("b", "/b")) // folders that are new
	f.waitFor("a=/a", "b=/b")

	f.write("sub/deep/c.yaml", function("c", "/c")) // in a folder that is watched since
	f.waitFor("a=/a", "b=/b", "c=/c")

	f.write("a.yaml", function("a", "/changed"))
	f.waitFor("a=/changed", "b=/b", "c=/c")

	f.write("notes.txt", "no resource")
	f.write(".a.yaml.swp", "no resource")
	testkit.Must(t, os.RemoveAll(filepath.Join(f.dir, "sub")))
	f.waitFor("a=/changed")

	testkit.Must(t, os.Remove(filepath.Join(f.dir, "a.yaml")))
	f.waitFor("")
}

func TestBadFileChangesNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), function("a", "/a"))
	write(t, filepath.Join(dir, "b.yaml"), function("b", "/b"))
	f := start(t, dir, time.Hour)
	f.waitFor("a=/a", "b=/b")

	f.write("a.yaml", strings.Replace(function("a", "/new"), "routes", "rutes", 1))
	bad := "! a.yaml:5: spec.rutes: unknown key, did you mean \"routes\"?"
	f.waitFor("a=/a", "b=/b", bad)

	f.write("b.yaml", function("b", "/good"))
	f.waitFor("a=/a", "b=/good", bad)
	if got := testutil.ToFloat64(f.reg.metrics.problems); got != 1 {
		t.Errorf("problems metric is %v, want 1", got)
	}

	f.write("a.yaml", function("a", "/fixed"))
	f.waitFor("a=/fixed", "b=/good")
	if got := testutil.ToFloat64(f.reg.metrics.problems); got != 0 {
		t.Errorf("problems metric is %v, want 0", got)
	}
	if n := strings.Count(f.log.String(), `first="`+filepath.Join(dir, "a.yaml")+":5: spec.rutes"); n != 1 {
		t.Errorf("the problem was logged %d times, want once:\n%s", n, f.log)
	}

	f.write("a.yaml", "") // truncated while being written, or on a full disk
	f.waitFor("a=/fixed", "b=/good", "! a.yaml:1: is empty, want resources; delete the file to take its resources away")
}

func TestContradictionHoldsBackWhatChangedLast(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "z.yaml"), function("z", "/same"))
	f := start(t, dir, time.Hour)
	f.waitFor("z=/same")

	f.write("a.yaml", function("a", "/same")) // sorts first, came last
	held := "! a.yaml:5: contradicts what was there before it, z.yaml:5: spec.routes[0]: routes ANY */same, which \"a\" routes already (a.yaml:5): want it in one place"
	f.waitFor("z=/same", held)

	f.write("b.yaml", function("b", "/b"))
	f.waitFor("b=/b", "z=/same", held)

	f.write("z.yaml", function("z", "/moved")) // frees the route
	f.waitFor("a=/same", "b=/b", "z=/moved")
}

func TestMoveBetweenFilesAppliesAsOne(t *testing.T) {
	f := start(t, t.TempDir(), time.Hour)
	f.write("old.yaml", function("a", "/a"))
	f.waitFor("a=/a")
	testkit.Must(t, os.Rename(filepath.Join(f.dir, "old.yaml"), filepath.Join(f.dir, "new.yaml")))
	s := f.waitFor("a=/a")
	for filepath.Base(s.Set.Functions[0].Source.File) != "new.yaml" {
		s = f.waitFor("a=/a")
	}
}

func TestEditorsReplaceByRename(t *testing.T) {
	f := start(t, t.TempDir(), time.Hour)
	f.write("a.yaml", function("a", "/0"))
	f.waitFor("a=/0")
	for i := 1; i < 5; i++ {
		f.write("a.yaml~", function("a", fmt.Sprintf("/%d", i)))
		testkit.Must(t, os.Rename(filepath.Join(f.dir, "a.yaml~"), filepath.Join(f.dir, "a.yaml")))
		f.waitFor(fmt.Sprintf("a=/%d", i))
	}
}

// TestKubernetesSwapsLinks does what the kubelet does to a mounted config map.
func TestKubernetesSwapsLinks(t *testing.T) {
	dir := t.TempDir()
	publish := func(version, path string) {
		write(t, filepath.Join(dir, ".."+version, "a.yaml"), function("a", path))
		testkit.Must(t, os.Symlink(".."+version, filepath.Join(dir, "..data_tmp")))
		testkit.Must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	publish("1", "/one")
	testkit.Must(t, os.Symlink("..data/a.yaml", filepath.Join(dir, "a.yaml")))
	f := start(t, dir, time.Hour)
	f.waitFor("a=/one")
	publish("2", "/two")
	f.waitFor("a=/two")
	testkit.Must(t, os.RemoveAll(filepath.Join(dir, "..1")))
	publish("3", "/three")
	f.waitFor("a=/three")
}

// TestFolderIsALink swaps the folder itself, as deployments with a "current" link do.
func TestFolderIsALink(t *testing.T) {
	base := t.TempDir()
	write(t, filepath.Join(base, "v1", "a.yaml"), function("a", "/one"))
	write(t, filepath.Join(base, "v2", "a.yaml"), function("a", "/two"))
	current := filepath.Join(base, "current")
	testkit.Must(t, os.Symlink("v1", current))
	f := start(t, current, time.Hour)
	f.waitFor("a=/one")
	testkit.Must(t, os.Symlink("v2", current+".tmp"))
	testkit.Must(t, os.Rename(current+".tmp", current))
	f.waitFor("a=/two")
	write(t, filepath.Join(base, "v2", "a.yaml"), function("a", "/three"))
	f.waitFor("a=/three")
}

func TestLostFolderTakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "resources")
	write(t, filepath.Join(dir, "a.yaml"), function("a", "/a"))
	f := start(t, dir, 50*time.Millisecond)
	f.waitFor("a=/a")
	testkit.Must(t, os.Rename(dir, dir+".away"))
	s := <-f.snaps
	if len(s.Problems) != 1 || len(s.Set.Functions) != 1 {
		t.Fatalf("state is %s, want the function and one problem", f.state(s))
	}
	write(t, filepath.Join(dir, "a.yaml"), function("a", "/back"))
	f.waitFor("a=/back")
}

func TestLinksInACircleEnd(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sub", "a.yaml"), function("a", "/a"))
	testkit.Must(t, os.Symlink("..", filepath.Join(dir, "sub", "up")))
	testkit.Must(t, os.Symlink("nowhere", filepath.Join(dir, "dangling.yaml")))
	f := start(t, dir, time.Hour)
	f.waitFor("a=/a", "! dangling.yaml:1: cannot be read: no such file or directory")
}

// TestLinkedFileOutside follows a file whose link stays while its target changes.
func TestLinkedFileOutside(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(t.TempDir(), "a.txt")
	write(t, target, function("a", "/one"))
	f := start(t, dir, time.Hour)
	testkit.Must(t, os.Symlink(target, filepath.Join(dir, "a.yaml")))
	f.waitFor("a=/one")
	f.settle(target)
}

// TestSlowLook takes up what no event tells of: here the link's target is itself
// reached by a link that is replaced.
func TestSlowLook(t *testing.T) {
	dir, away := t.TempDir(), t.TempDir()
	write(t, filepath.Join(away, "one", "a.txt"), function("a", "/one"))
	write(t, filepath.Join(away, "two", "a.txt"), function("a", "/two"))
	testkit.Must(t, os.Symlink("one", filepath.Join(away, "current")))
	testkit.Must(t, os.Symlink(filepath.Join(away, "current", "a.txt"), filepath.Join(dir, "a.yaml")))
	f := start(t, dir, 20*time.Millisecond)
	f.waitFor("a=/one")
	testkit.Must(t, os.Symlink("two", filepath.Join(away, "next")))
	testkit.Must(t, os.Rename(filepath.Join(away, "next"), filepath.Join(away, "current")))
	f.waitFor("a=/two")
}

// TestFolderIsReplaced: another folder takes the name of one that was watched.
func TestFolderIsReplaced(t *testing.T) {
	dir, away := t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, "sub", "a.yaml"), function("a", "/one"))
	write(t, filepath.Join(away, "sub", "a.yaml"), function("a", "/two"))
	f := start(t, dir, time.Hour)
	f.waitFor("a=/one")
	f.settle(filepath.Join(dir, "sub", "a.yaml"))
	testkit.Must(t, os.Rename(filepath.Join(dir, "sub"), filepath.Join(away, "old")))
	testkit.Must(t, os.Rename(filepath.Join(away, "sub"), filepath.Join(dir, "sub")))
	f.waitFor("a=/two")
	f.settle(filepath.Join(dir, "sub", "a.yaml"))
}

// TestSameSizeAndTime: a change right after reading that leaves size and time
// stamp as they were is seen all the same.
func TestSameSizeAndTime(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.yaml")
	now := time.Now()
	var before *file
	for _, path := range []string{"/one", "/two"} {
		write(t, name, function("a", path))
		testkit.Must(t, os.Chtimes(name, now, now))
		info, err := os.Stat(name)
		testkit.Must(t, err)
		before = readFile(name, info, before)
		if got := before.set.Functions[0].Spec.Routes[0].Path; got != path {
			t.Errorf("read %s, want %s", got, path)
		}
	}
	info, err := os.Stat(name)
	testkit.Must(t, err)
	old := *before
	old.readAt = now.Add(time.Minute)
	if again := readFile(name, info, &old); again != &old {
		t.Error("a file that is surely unchanged is read again")
	}
}

func TestWatchKeepsTheLatestOnly(t *testing.T) {
	f := start(t, t.TempDir(), time.Hour)
	ctx, cancel := context.WithCancel(context.Background())
	lazy := f.reg.Watch(ctx)
	for i := range 5 {
		f.write("a.yaml", function("a", fmt.Sprintf("/%d", i)))
		f.waitFor(fmt.Sprintf("a=/%d", i))
	}
	f.reg.Current() // waits until the snapshot is with all watchers
	if got := f.state(<-lazy); got != "a=/4" {
		t.Errorf("a slow reader got %q, want the latest", got)
	}
	cancel()
	for range lazy { // ends: closed
	}
	if got := f.reg.Current(); got.Version == 0 || f.state(got) != "a=/4" {
		t.Errorf("current is %+v", got)
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	for want, cfg := range map[string]Config{
		"dir: is missing":          {Rescan: api.Duration(time.Second)},
		"rescan: is 0s":            {Dir: "."},
		"resources folder: stat":   {Dir: "/does/not/exist", Rescan: api.Duration(time.Second)},
		"is a file, want a folder": {Dir: file, Rescan: api.Duration(time.Second)},
		"debounce: is 1h, want":    {Dir: ".", Debounce: api.Duration(time.Hour), Rescan: api.Duration(time.Second)},
	} {
		if _, err := New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q in it", err, want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b.yaml"), function("b", "/same"))
	write(t, filepath.Join(dir, "a.yaml"), function("a", "/same")+"---\n"+strings.Replace(function("c", "/c"), "r1", "R1", 1))
	set, problems := Load(dir)
	if len(set.Functions) != 2 {
		t.Errorf("%d functions, want 2", len(set.Functions))
	}
	var got []string
	for _, p := range problems {
		got = append(got, strings.ReplaceAll(p.String(), dir+"/", ""))
	}
	want := []string{
		"a.yaml:13: spec.revisions[0].name: is \"R1\", want at most 63 of a-z, 0-9 and -, a letter or digit at both ends",
		"b.yaml:5: spec.routes[0]: routes ANY */same, which \"a\" routes already (a.yaml:5): want it in one place",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, problems := Load(filepath.Join(dir, "nowhere")); len(problems) != 1 {
		t.Errorf("a missing folder gives %v", problems)
	}
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "key"), "from-file\n")
	t.Setenv("KONGDAO_TEST_SECRET", "from-env")
	t.Setenv("KONGDAO_TEST_EMPTY", "")
	for in, want := range map[string]string{
		"${env:KONGDAO_TEST_SECRET}":               "from-env",
		"${file:" + dir + "/key}":                  "from-file",
		"http://h/?t=${env:KONGDAO_TEST_SECRET}&x": "http://h/?t=from-env&x",
		"no reference":                             "no reference",
	} {
		if got, err := Resolve(api.Secret(in)); err != nil || got != want {
			t.Errorf("Resolve(%s) = %q, %v, want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"${env:KONGDAO_TEST_EMPTY}":      "secret ${env:KONGDAO_TEST_EMPTY}: is empty or not set",
		"hunter2${file:" + dir + "/nil}": "secret ${file:" + dir + "/nil}: open " + dir + "/nil: no such file or directory",
		"hunter2${env}":                  "secret has a malformed reference, want ${env:NAME} or ${file:path}",
	} {
		if got, err := Resolve(api.Secret(in)); err == nil || err.Error() != want || got != "" {
			t.Errorf("Resolve(%s) = %q, %v, want %s", in, got, err, want)
		}
	}
}
