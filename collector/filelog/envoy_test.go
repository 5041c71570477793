package filelog

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/internal/calllog/calllogtest"
)

// TestRotateRealEnvoy rotates the log of a real Envoy under traffic: each call
// comes out once, and only the live file is left when all is stored.
func TestRotateRealEnvoy(t *testing.T) {
	g := calllogtest.Start(t, "")
	c := config(g.LogPath)
	c.RotateBytes = 10_000 // about 30 calls
	c.Sources[0].Reopen = g.Reopen
	s := newStore()
	tailer, _, stop := start(t, c, s)
	const calls = 500
	client := http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	most := 0
	for i := range calls {
		resp, err := client.Get(fmt.Sprintf("http://%s/feed?%d", g.Addr, i))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if i%100 == 50 {
			s.await(t, i/2) // so that rotation has its turn
			most = max(most, siblings(t, g.LogPath))
		}
	}
	got := s.await(t, calls)
	for i, path := range got {
		if want := fmt.Sprintf("/feed?%d", i); path != want {
			t.Fatalf("call %d of %d is %s, want %s", i, len(got), path, want)
		}
	}
	if most < 2 {
		t.Errorf("%d files at most: nothing was rotated", most)
	}
	await(t, "only the live file is left", func() bool {
		tailer.Stored(g.LogPath, s.at())
		files, err := os.ReadDir(strings.TrimSuffix(g.LogPath, "/access.log"))
		if err != nil {
			t.Fatal(err)
		}
		logs := 0
		for _, f := range files {
			if strings.HasPrefix(f.Name(), "access.log") {
				logs++
			}
		}
		return logs <= 1
	})
	stop()
	if len(got) != calls {
		t.Errorf("%d calls, want %d", len(got), calls)
	}
}
