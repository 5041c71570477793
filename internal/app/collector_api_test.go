package app_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/collector/ship"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/calllog"
)

// deadLetter leaves a block of so many calls in the folder of a collector.
func deadLetter(t *testing.T, data, token string, calls int) {
	t.Helper()
	b := calllog.NewBlock()
	for i := range calls {
		var r calllog.Record
		r.Reset()
		r.Time, r.Path = time.Now().UnixMicro(), fmt.Appendf(nil, "/%s/%d", token, i)
		b.Append(&r)
	}
	block, err := b.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(data, "collector", "dead")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	letter, err := json.Marshal(ship.DeadLetter{
		Token: token, Rows: calls, MinTime: time.Now(), MaxTime: time.Now(), Revision: calllog.Revision, Reason: "for the test",
	})
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ReplaceAll(token, "/", "-")
	write(t, dir, name+".block", string(block))
	write(t, dir, name+".json", string(letter))
}

func TestReplay(t *testing.T) {
	cfg := testConfig(t)
	deadLetter(t, cfg.DataDir, "w/1", 10)
	deadLetter(t, cfg.DataDir, "w/2", 5)
	deadLetter(t, cfg.DataDir, "w/3", 1)
	write(t, filepath.Join(cfg.DataDir, "collector", "dead"), "w-3.block", "no block")

	// Nothing runs: ClickHouse is started for it.
	r, err := app.ReplayOffline(t.Context(), cfg, slog.New(slog.DiscardHandler), []string{"w/1"})
	if err != nil || len(r.Letters) != 1 || r.Letters[0] != (ship.Replayed{Token: "w/1", Rows: 10, Stored: 10}) {
		t.Fatalf("%+v, %v", r, err)
	}
	if status, err := app.CollectorOnDisk(cfg.DataDir); err != nil || status.Running || status.DeadLetters != 2 || status.DeadRows != 6 || len(status.Problems) != 1 {
		t.Errorf("%+v, %v", status, err)
	}

	s := start(t, cfg, app.PartCollector, app.PartAPI)
	c := caller{t: t, system: s, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: deadline}}
	var dead app.DeadLetters
	if code := c.api("GET", "/collector/dead", nil, &dead); code != 200 || len(dead.Letters) != 2 || dead.Letters[0].Reason != "for the test" {
		t.Errorf("%d: %+v", code, dead)
	}
	if code := c.api("POST", "/collector/replay", app.ReplayRequest{Tokens: []string{"w/9"}}, nil); code != 404 {
		t.Errorf("an unknown token answers %d", code)
	}
	var again app.ReplayResult
	if code := c.api("POST", "/collector/replay", app.ReplayRequest{}, &again); code != 200 || len(again.Letters) != 2 || again.Error != "" {
		t.Fatalf("%d: %+v", code, again)
	}
	if again.Letters[0].Stored != 5 || again.Letters[1].Stored != 0 || !strings.Contains(again.Letters[1].Reason, "does not fit") {
		t.Errorf("%+v", again.Letters)
	}
	var status app.CollectorStatus
	if code := c.api("GET", "/collector", nil, &status); code != 200 || !status.Running || status.DeadLetters != 1 || status.State.Failing || status.Logs == nil {
		t.Errorf("%d: %+v", code, status)
	}
	var n uint64
	if err := s.ClickHouse().QueryRow(t.Context(), "SELECT count() FROM calls").Scan(&n); err != nil || n != 15 {
		t.Errorf("%d calls are stored, want 15", n)
	}
}
