package engine

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func reopen(t *testing.T, dir string) (*deltas, []string) {
	t.Helper()
	var got []string
	d, err := openDeltas(dir, "x", true, func(b []byte) error {
		got = append(got, string(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d, got
}

func add(t *testing.T, d *deltas, records ...string) {
	t.Helper()
	for _, r := range records {
		if err := d.add([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeltasOutliveUntilForgotten(t *testing.T) {
	dir := t.TempDir()
	d, _ := reopen(t, dir)
	add(t, d, "a", "")
	forget, err := d.rotate()
	if err != nil {
		t.Fatal(err)
	}
	add(t, d, "b")
	d, got := reopen(t, dir) // killed before the snapshot was on disk
	if diff := cmp.Diff([]string{"a", "", "b"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := forget(); err != nil { // what was there before it
		t.Fatal(err)
	}
	add(t, d, "c")
	if _, got = reopen(t, dir); !cmp.Equal(got, []string{"b", "c"}) {
		t.Errorf("after forgetting: %q", got)
	}
}

// Whatever is cut off or damaged, what was whole before it is read.
func TestDeltasTornAnywhere(t *testing.T) {
	dir := t.TempDir()
	d, _ := reopen(t, dir)
	add(t, d, "one", "two", "three")
	whole, err := os.ReadFile(filepath.Join(dir, "x.1.log"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		damaged := append([]byte(nil), whole...)
		damaged[n] ^= 0x40
		for _, text := range [][]byte{whole[:n], damaged} {
			other := t.TempDir()
			if err := os.WriteFile(filepath.Join(other, "x.1.log"), text, 0o600); err != nil {
				t.Fatal(err)
			}
			d, got := reopen(t, other)
			if len(got) > 2 || !slices.Equal(got, []string{"one", "two"}[:len(got)]) {
				t.Fatalf("at %d: %q", n, got)
			}
			if want := min(n/11, 2); len(got) != want { // eight bytes before each
				t.Fatalf("at %d: %q", n, got)
			}
			d.close()
		}
	}
}
