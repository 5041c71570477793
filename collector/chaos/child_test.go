package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/collector"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// childEnv makes the test binary a collector. Its value is a life as JSON.
const childEnv = "KONGDAO_CHAOS_CHILD"

// life is what a collector process is told.
type life struct {
	Dir, AccessLog string
	Server         string // address of ClickHouse, or of the proxy in front of it
	User, Password string

	WALBytes      int64
	MaxRows       int
	Flush         time.Duration
	InsertTimeout time.Duration
	Settings      map[string]any // of every query, to make the server refuse
}

// answer is what a child says: once when it listens, then for each question.
type answer struct {
	ALS     string             `json:"als,omitempty"`
	Err     string             `json:"err,omitempty"`
	Stats   collector.Stats    `json:"stats"`
	Metrics map[string]float64 `json:"metrics,omitempty"` // sums over all labels
}

func runChild(text string) int {
	signal.Ignore(syscall.SIGXFSZ) // a file beyond its limit is an error, not the end
	var l life
	say := json.NewEncoder(os.Stdout)
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		_ = say.Encode(answer{Err: err.Error()})
		return 1
	}
	reg := prometheus.NewRegistry()
	c, err := collector.New(l.config(), l.options(), slog.New(slog.NewTextHandler(os.Stderr, nil)), reg)
	if err != nil {
		_ = say.Encode(answer{Err: err.Error()})
		return 1
	}
	_ = say.Encode(answer{ALS: c.ALSAddr()})
	go answerAll(c, reg, say)
	if err := c.Run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (l life) config() collector.Config {
	cfg := collector.DefaultConfig()
	cfg.Dir, cfg.AccessLog, cfg.Source = l.Dir, l.AccessLog, collector.SourceBoth
	cfg.Gateway, cfg.Zone, cfg.ALSListen = fileGateway, "zb-a", "127.0.0.1:0"
	cfg.WALBytes, cfg.MaxRows = l.WALBytes, l.MaxRows
	cfg.FlushInterval, cfg.InsertTimeout = api.Duration(l.Flush), api.Duration(l.InsertTimeout)
	return cfg
}

func (l life) options() clickhouse.Options {
	return clickhouse.Options{
		Addr: []string{l.Server}, User: l.User, Password: api.Secret(l.Password), Settings: l.Settings,
		DialTimeout: 2 * time.Second,
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		},
	}
}

// answerAll answers questions until the parent is gone, and then ends the process.
func answerAll(c *collector.Collector, reg *prometheus.Registry, say *json.Encoder) {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var a answer
		if in.Text() == "drain" {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			if err := c.Drain(ctx); err != nil {
				a.Err = err.Error()
			}
			cancel()
		}
		a.Stats, a.Metrics = c.Stats(), sums(reg)
		_ = say.Encode(a)
	}
	os.Exit(0) // nobody is left to work for
}

func sums(reg *prometheus.Registry) map[string]float64 {
	all := map[string]float64{}
	families, err := reg.Gather()
	if err != nil {
		return nil
	}
	for _, f := range families {
		for _, m := range f.Metric {
			all[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

func (l life) walDir() string  { return filepath.Join(l.Dir, "wal") }
func (l life) deadDir() string { return filepath.Join(l.Dir, "dead") }
