package kept_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/capacity/kept"
	"github.com/kongdao/kongdao/internal/testkit"
)

func TestFolder(t *testing.T) {
	f := kept.Folder[string]{Dir: filepath.Join(t.TempDir(), "drills"), Keep: 3}
	if all, err := f.List(); err != nil || len(all) != 0 {
		t.Errorf("got %v, %v", all, err)
	}
	for i := range 5 {
		testkit.Must(t, f.Save(fmt.Sprintf("2026010%d", i), fmt.Sprint(i)))
	}
	if all, err := f.List(); err != nil || !slices.Equal(all, []string{"4", "3", "2"}) {
		t.Errorf("got %v, %v", all, err)
	}
	for _, name := range []string{"nobody", "../shifts", ""} {
		if _, err := f.Get(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", name, err)
		}
	}
	testkit.Must(t, os.WriteFile(filepath.Join(f.Dir, "20260103.json"), []byte("{"), 0o600))
	if all, err := f.List(); err == nil || !strings.Contains(err.Error(), "20260103") || !slices.Equal(all, []string{"4", "2"}) {
		t.Errorf("a damaged record: %v, %v", all, err)
	}
}
