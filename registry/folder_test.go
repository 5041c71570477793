package registry

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFolderIsTheFolder wants the same of a folder that was read, and carried
// elsewhere, as of the folder itself.
func TestFolderIsTheFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/good.yaml", function("good", "/good"))
	write(t, dir+"/deep/same.yaml", function("same", "/good"))
	write(t, dir+"/bad.yaml", "apiVersion: kongdao.io/v1\nkind: Function\nmetadata: {name: bad}\nspec: {timeout: soon}\n")
	write(t, dir+"/empty.yaml", "")
	want, problems := Load(dir)
	folder, unread := ReadFolder(dir)
	if len(unread) > 0 {
		t.Fatal(unread)
	}
	got, same := folder.Load()
	if diff := cmp.Diff(problems, same); diff != "" || len(problems) < 3 {
		t.Errorf("-folder +read:\n%s", diff)
	}
	if len(got.Functions) != len(want.Functions) || len(want.Functions) == 0 {
		t.Errorf("%d functions, want %d", len(got.Functions), len(want.Functions))
	}
	if _, problems := ReadFolder(dir + "/nowhere"); len(problems) != 1 {
		t.Error(problems)
	}
}
