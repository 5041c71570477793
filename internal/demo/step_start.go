package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/demo/fleet"
	"github.com/kongdao/kongdao/internal/durable"
)

// maxReady is the goal for a warm start.
const maxReady = 5 * time.Second

func (w *walk) start(ctx context.Context, s *Step) error {
	if err := os.MkdirAll(w.resourcesDir(), 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := w.startRobot(); err != nil {
		return err
	}
	if err := w.startZones(ctx); err != nil {
		return err
	}
	if err := w.writeResources(); err != nil {
		return err
	}
	w.progress("%d zones with %d functions in %d pods each are up", len(w.zones), len(w.catalog), len(w.zones[0].Spec.Pods))
	cfg := w.o.Config
	cfg.ResourcesDir = w.resourcesDir()
	begin := time.Now()
	system, err := app.Start(ctx, cfg, w.o.Log)
	if err != nil {
		return err
	}
	w.system = system
	ready := time.Since(begin)
	if err := until(ctx, 10*time.Second, w.allPodsReady); err != nil {
		return fmt.Errorf("pods of all functions ready: %w", err)
	}
	info := system.Info(ctx)
	s.figure("envoy", 0, "", "%s, %s (from %s)", info.Envoy.Version, info.Envoy.Path, info.Envoy.Origin)
	s.figure("clickhouse", 0, "", "%s, %s", info.ClickHouse, system.Addresses().ClickHouse)
	s.figure("gateway", 0, "", "http://%s", system.Addresses().Gateway)
	s.figure("fleet", float64(len(w.catalog)), "functions", "%d functions in %d scenarios, zones %v (processes %v)",
		len(w.catalog), scenarios(w.catalog), fleet.Zones(), w.pids())
	s.figure("start to ready", ready.Seconds(), "s", "%.2f s", ready.Seconds())
	if ready > maxReady {
		// A cold file cache is not a fault of the program: it is told, not missed.
		s.figure("slower than warm", ready.Seconds(), "s", "the goal for a warm start is %v", maxReady)
	}
	return w.startUsers()
}

// startRobot runs the stand-in for DingTalk and writes the resource of a robot
// that speaks to it, with the secret in a file of its own.
func (w *walk) startRobot() error {
	secret := "SEC" + rand.Text()
	robot, err := dingtalktest.New(dingtalktest.Config{Secret: secret})
	if err != nil {
		return err
	}
	w.robot = robot
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = robot.Run(ctx)
	}()
	w.stopRobot = sync.OnceFunc(func() { cancel(); <-done })
	file := filepath.Join(w.o.Config.DataDir, "robot.secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		return err
	}
	yaml := fmt.Sprintf("apiVersion: kongdao.io/v1\nkind: Robot\nmetadata: {name: dingtalk}\nspec: {url: %q, secret: \"${file:%s}\"}\n", robot.URL("token"), file)
	return durable.Replace(filepath.Join(w.resourcesDir(), "robot.yaml"), []byte(yaml), 0o600)
}

func (w *walk) startZones(ctx context.Context) error {
	specs := fleet.Specs(w.catalog, fleet.Zones(), 1)
	w.zones = make([]*fleet.Process, len(specs))
	var g errgroup.Group
	for i, spec := range specs {
		g.Go(func() (err error) {
			w.zones[i], err = fleet.Start(ctx, w.o.ZoneCommand, spec)
			return err
		})
	}
	return g.Wait()
}

func (w *walk) allPodsReady() (bool, error) {
	state := w.system.State()
	if len(state.Functions) < len(w.catalog) {
		return false, nil
	}
	for _, f := range state.Functions {
		for _, p := range f.Pods {
			if p.Ready < p.Total {
				return false, nil
			}
		}
	}
	return true, nil
}

func (w *walk) pids() []int {
	var pids []int
	for _, z := range w.zones {
		pids = append(pids, z.PID())
	}
	return pids
}

func scenarios(catalog []fleet.Function) int {
	names := map[string]bool{}
	for _, f := range catalog {
		names[f.Scenario] = true
	}
	return len(names)
}
