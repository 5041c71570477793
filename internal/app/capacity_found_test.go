package app

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kongdao/kongdao/capacity/apply"
	"github.com/kongdao/kongdao/capacity/search"
	"github.com/kongdao/kongdao/internal/testkit"
)

// TestFoundIsKept: results are there again, the newest first, and bounded in number; an
// id that is no name of a file is refused.
func TestFoundIsKept(t *testing.T) {
	s := &System{dir: &dataDir{path: t.TempDir()}, log: slog.New(slog.DiscardHandler)}
	began := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	for i := range keptFound + 3 {
		f := apply.Found{Function: "feed", Run: fmt.Sprintf("lt-%04d", i), Started: began.Add(time.Duration(i) * time.Minute), Result: search.Result{Safe: float64(i)}}
		if i%2 == 1 {
			f.Function = "cart"
		}
		if _, err := s.postFound(t.Context(), &body[apply.Found]{f}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.getFound(t.Context(), &foundInput{})
	if err != nil || len(all.Body.Found) != keptFound {
		t.Fatalf("%d are kept, %v", len(all.Body.Found), err)
	}
	feed, err := s.getFound(t.Context(), &foundInput{Function: "feed"})
	if err != nil || feed.Body.Found[0].Run != "lt-0502" || feed.Body.Found[0].Safe != 502 {
		t.Errorf("the last of feed is %+v, %v", feed.Body.Found[0], err)
	}
	one, err := s.getFound(t.Context(), &foundInput{Run: "lt-0101"})
	if err != nil || len(one.Body.Found) != 1 || one.Body.Found[0].Function != "cart" {
		t.Errorf("by run: %+v, %v", one.Body.Found, err)
	}
	testkit.Must(t, os.WriteFile(filepath.Join(s.foundFolder().Dir, "lt-0502.json"), []byte("{"), 0o600))
	if all, err = s.getFound(t.Context(), &foundInput{}); err != nil || len(all.Body.Found) != keptFound-1 {
		t.Errorf("beside a damaged one there are %d, %v", len(all.Body.Found), err)
	}
	for _, run := range []string{"", "../x", "a/b", ".hidden"} {
		f := apply.Found{Function: "feed", Run: run, Started: began}
		if _, err := s.postFound(t.Context(), &body[apply.Found]{f}); err == nil {
			t.Errorf("run %q was kept", run)
		}
	}
}
