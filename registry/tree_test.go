package registry

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kongdao/kongdao/internal/testkit"
)

// TestMovingFolderIsNeverEmpty reads a folder that is moved away and back all the
// time: each reading finds all of its files or says that it could not.
func TestMovingFolderIsNeverEmpty(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "resources")
	for _, name := range []string{"a", "b", "c"} {
		write(t, filepath.Join(dir, name+".yaml"), function(name, "/"+name))
	}
	moved := make(chan error, 1)
	go func() {
		for range 2000 {
			if err := os.Rename(dir, dir+".away"); err != nil {
				moved <- err
				return
			}
			if err := os.Rename(dir+".away", dir); err != nil {
				moved <- err
				return
			}
		}
		moved <- nil
	}()
	read := 0
	for {
		if found, err := readTree(dir, nil); err == nil {
			read++
			if len(found.files) != 3 {
				t.Errorf("found %d files, want 3 or an error", len(found.files))
			}
		}
		select {
		case err := <-moved:
			testkit.Must(t, err)
			t.Logf("%d readings", read)
			return
		default:
		}
	}
}
