package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds"
	"github.com/kongdao/kongdao/xds/envoy"
)

// checkTimeout bounds Envoy's own check. Envoy that neither accepts nor refuses is
// a finding too.
const checkTimeout = 20 * time.Second

// CheckWithEnvoy gives what would go to the gateways to a throw-away Envoy, the
// same way as to a real one, and returns what it refuses. Where that is not
// possible the text says why. An empty path looks for Envoy, see envoy.Find.
func CheckWithEnvoy(ctx context.Context, set api.Set, path string) (api.Problems, string) {
	if _, err := envoy.Find(path); err != nil {
		return nil, err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	state, err := canary(ctx, set, path)
	var problems api.Problems
	for _, q := range state.Quarantined {
		problems = append(problems, api.Problem{Source: q.Source, Message: q.Name + " would not be served: " + q.Reason})
	}
	for _, r := range state.Rejections {
		problems = append(problems, api.Problem{Source: api.Source{File: "envoy"}, Field: r.Type, Message: r.Message})
	}
	if err != nil && len(problems) == 0 {
		return nil, err.Error()
	}
	return problems, ""
}

// canary runs a control plane and an Envoy until Envoy has answered everything.
func canary(ctx context.Context, set api.Set, path string) (state xds.State, err error) {
	dir, err := os.MkdirTemp("", "kongdao-check-")
	if err != nil {
		return state, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	port, err := envoy.FreePort("127.0.0.1")
	if err != nil {
		return state, err
	}
	quiet := slog.New(slog.DiscardHandler)
	xc := xds.DefaultConfig()
	xc.Gateway = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	xc.WarmTimeout = 0 // pods need not be there
	xc.Canary.Path, xc.Canary.Dir = path, filepath.Join(dir, "canary")
	server, err := xds.New(xc, quiet, prometheus.NewRegistry(), nil)
	if err != nil {
		return state, err
	}
	gc := envoy.DefaultConfig()
	gc.Path, gc.Dir, gc.HTTPAddr, gc.XDSAddr, gc.Concurrency = path, dir, xc.Gateway, server.Addr(), 1
	gc.NodeID, gc.Drain = "check", 0
	gateway, err := envoy.New(gc, quiet, prometheus.NewRegistry())
	if err != nil {
		return state, errors.Join(err, server.Close())
	}
	life := newLifecycle(quiet)
	life.start("xds", server.Run)
	life.start("gateway", gateway.Run)
	_ = server.Apply(ctx, set) // keys of consumers are not this check's business
	if err = gateway.Ready(ctx); err == nil {
		err = server.WaitLive(ctx)
	}
	state = server.State()
	if err != nil {
		err = fmt.Errorf("envoy did not answer: %w", err)
	}
	return state, errors.Join(err, life.stop())
}
