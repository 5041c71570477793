package collector

import (
	"bytes"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/testkit"
)

// BenchmarkLinesToClickHouse is 100,000 lines of a file, on disk before the clock
// starts, until ClickHouse has stored them. The plain way parses with the same
// parser and appends row by row to one batch of 20,000, with no log in between and
// no token; it loses or doubles what it holds in a crash. The engine runs on the
// same machine and takes part of it.
func BenchmarkLinesToClickHouse(b *testing.B) {
	const lines = 100_000
	engine := migrated(b)
	log := newAccessLog(b, b.TempDir())
	log.write(lines)
	b.Run("collector", func(b *testing.B) {
		for range b.N {
			cfg := testConfig(b.TempDir(), log.path)
			cfg.FlushInterval = api.Duration(500 * time.Millisecond)
			c := start(b, cfg, engine.Options())
			c.settle(lines)
			c.stop()
		}
		b.ReportMetric(float64(b.N*lines)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("plain", func(b *testing.B) {
		for range b.N {
			plain(b, engine, log.path)
		}
		b.ReportMetric(float64(b.N*lines)/b.Elapsed().Seconds(), "rows/s")
	})
}

func plain(b *testing.B, engine *embedded.Engine, path string) {
	b.Helper()
	client := open(b, engine.Options())
	text, err := os.ReadFile(path)
	testkit.Must(b, err)
	var names []string
	for _, c := range calllog.Columns() {
		names = append(names, c.Name)
	}
	statement := "INSERT INTO calls (" + strings.Join(names, ", ") + ")"
	batch, err := client.PrepareBatch(testkit.Context(b), statement)
	testkit.Must(b, err)
	var r calllog.Record
	for line := range bytes.Lines(text) {
		testkit.Must(b, calllog.ParseText(line, &r))
		testkit.Must(b, batch.Append(time.UnixMicro(r.Time), uuid.UUID(r.RequestID), string(r.TraceID[:]), r.Gateway, r.GatewayZone,
			string(r.Tenant), string(r.Function), string(r.Revision), string(r.Route), string(r.Zone), string(r.Pod),
			string(r.Method), string(r.Host), string(r.Path), r.Status, string(r.Flags), r.DurationUS, r.UpstreamUS, r.TTFBUS,
			r.BytesIn, r.BytesOut, r.Attempts, net.IP(r.ClientIP[:]), string(r.UserAgent), string(r.Consumer), r.LimitedBy,
			string(r.LoadTest), r.SampleWeight, map[string]string{}))
		if batch.Rows() == 20_000 {
			testkit.Must(b, batch.Send())
			batch, err = client.PrepareBatch(testkit.Context(b), statement)
			testkit.Must(b, err)
		}
	}
	testkit.Must(b, batch.Send())
}
