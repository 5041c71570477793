package relay

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

func clusters(t testing.TB, names ...string) *discovery.DeltaDiscoveryResponse {
	t.Helper()
	r := &discovery.DeltaDiscoveryResponse{TypeUrl: resource.ClusterType}
	for _, name := range names {
		body, err := anypb.New(&cluster.Cluster{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		r.Resources = append(r.Resources, &discovery.Resource{Name: name, Version: "v-" + name, Resource: body})
	}
	return r
}

// namesIn lists the clusters that a file holds.
func namesIn(t testing.TB, path string) string {
	t.Helper()
	found, _ := read(path)
	kept := found.kept
	var names []string
	for _, name := range []string{"a", "b", "c"} {
		if kept[resource.ClusterType][name] != nil {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// written is a file with a, then b, then c, and where each record ends.
func written(t testing.TB) (path string, ends []int64) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "accepted.xds")
	j, notes := openJournal(path)
	if len(notes) > 0 {
		t.Fatal(notes)
	}
	for _, name := range []string{"a", "b", "c"} {
		if err := j.add(clusters(t, name)); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, j.size)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	return path, ends
}

// TestATornFileLosesItsEnd cuts the file at every byte, and reads as much as is
// whole; what is written afterwards is read again.
func TestATornFileLosesItsEnd(t *testing.T) {
	path, ends := written(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := len(header); size <= len(whole); size++ {
		want := ""
		for i, name := range []string{"a", "a b", "a b c"} {
			if int64(size) >= ends[i] {
				want = name
			}
		}
		if err := os.WriteFile(path, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if got := namesIn(t, path); got != want {
			t.Fatalf("cut at %d: %q, want %q", size, got, want)
		}
		if size%5 > 0 && size < len(whole)-5 { // repairs are synced, which takes its time
			continue
		}
		j, notes := openJournal(path)
		torn := !bytes.Contains([]byte(fmt.Sprint(ends)+fmt.Sprint(len(header))), []byte(fmt.Sprint(size)))
		if torn && len(notes) == 0 {
			t.Errorf("cut at %d: nothing is said", size)
		}
		if got := namesIn(t, path); got != want {
			t.Fatalf("cut at %d: %q, want %q", size, got, want)
		}
		if err := j.add(clusters(t, "c")); err != nil {
			t.Fatal(err)
		}
		if got := namesIn(t, path); !strings.HasSuffix(got, "c") {
			t.Fatalf("cut at %d: what was written afterwards is not there: %q", size, got)
		}
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestADamagedFileIsNotBelieved changes every byte once: a damaged record is left
// out, and said to be; nothing is there that was never written.
func TestADamagedFileIsNotBelieved(t *testing.T) {
	path, ends := written(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0x41
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		switch {
		case i < len(header):
			want[""] = true
		case int64(i) < ends[0]:
			want[""], want["b c"] = true, true // a length that is wrong hides the rest
		case int64(i) < ends[1]:
			want["a"], want["a c"] = true, true
		default:
			want["a b"] = true
		}
		if got := namesIn(t, path); !want[got] {
			t.Fatalf("byte %d: %q", i, got)
		}
		if i%11 > 0 { // repairs are synced, which takes its time
			continue
		}
		j, notes := openJournal(path)
		if len(notes) == 0 || j.lacks {
			t.Fatalf("byte %d: %q, %+v", i, notes, j)
		}
		if aside, err := os.ReadFile(path + ".damaged"); err != nil || !bytes.Equal(aside, damaged) {
			t.Fatalf("byte %d: the damaged file is not put aside: %v", i, err)
		}
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
		if got := namesIn(t, path); !want[got] {
			t.Fatalf("byte %d: %q after the repair", i, got)
		}
	}
}

// TestAFileOfAnotherFormatIsPutAside.
func TestAFileOfAnotherFormatIsPutAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accepted.xds")
	text := strings.Replace(header, "1", "2", 1) + "what a later version writes"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	j, notes := openJournal(path)
	if len(notes) != 1 {
		t.Fatal(notes)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path + ".damaged"); err != nil || string(b) != text {
		t.Errorf("put aside: %q %v", b, err)
	}
	if got := namesIn(t, path); got != "" {
		t.Errorf("the new file has %q", got)
	}
}

// TestTheFileStaysSmallAndPrivate overwrites one cluster many times.
func TestTheFileStaysSmallAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accepted.xds")
	j, _ := openJournal(path)
	defer j.close()
	many := make([]string, 200)
	for i := range many {
		many[i] = fmt.Sprintf("f%d/%s", i, strings.Repeat("x", 100))
	}
	for range 100 {
		if err := j.add(clusters(t, many...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.add(clusters(t, "a")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 2*rewriteAbove || info.Mode().Perm() != 0o600 {
		t.Errorf("%d bytes, mode %v", info.Size(), info.Mode())
	}
	found, err := read(path)
	kept := found.kept
	if err != nil || len(kept[resource.ClusterType]) != 201 {
		t.Errorf("%d clusters, %v", len(kept[resource.ClusterType]), err)
	}
}
