package fleet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/internal/demo/fleet"
)

const zoneProcess = "zone-process"

func TestMain(m *testing.M) {
	if slices.Contains(os.Args, zoneProcess) {
		if err := fleet.ServeZone(context.Background(), os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func TestCatalogIsThePlatform(t *testing.T) {
	names, scenarios := map[string]bool{}, map[string]bool{}
	for _, f := range fleet.Catalog() {
		names[f.Name], scenarios[f.Scenario] = true, true
	}
	if len(names) != 22 || len(scenarios) != 14 {
		t.Errorf("%d functions in %d scenarios, want 22 in 14", len(names), len(scenarios))
	}
	if fleet.Catalog()[0].Name != fleet.Feed || fleet.Catalog()[0].PodsPerZone != 2 {
		t.Error("the feed comes first and has two pods in each zone")
	}
}

// TestPodQueues proves that a pod serves no more calls at once than it has
// workers: n calls at the same moment take n/workers service times.
func TestPodQueues(t *testing.T) {
	const workers, calls, mean = 2, 10, 20 * time.Millisecond
	pod := fleet.NewPod("f", "z", fleet.Behaviour{Workers: workers, Mean: mean, MaxQueue: calls}, 1)
	begin := time.Now()
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			w := httptest.NewRecorder()
			pod.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x", nil))
			if w.Code != http.StatusOK {
				t.Errorf("status %d", w.Code)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begin); took < calls/workers*mean {
		t.Errorf("%d calls took %v, faster than %d workers can", calls, took, workers)
	}
}

func TestPodRefusesBeyondItsQueue(t *testing.T) {
	pod := fleet.NewPod("f", "z", fleet.Behaviour{Workers: 1, Mean: time.Hour}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil { // it may be refused itself, by a probe below
			pod.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/x", nil).WithContext(ctx))
		}
	}()
	code := 0
	for code != http.StatusServiceUnavailable { // the call above may not be inside yet
		w := httptest.NewRecorder()
		c, stop := context.WithTimeout(t.Context(), time.Millisecond)
		pod.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x", nil).WithContext(c))
		stop()
		code = w.Code
	}
	cancel()
	<-done
}

func TestZoneIsAProcessThatCanBeKilled(t *testing.T) {
	spec := fleet.Specs(fleet.Catalog(), []string{"zb-a"}, 1)[0]
	p, err := fleet.Start(t.Context(), []string{os.Args[0], zoneProcess}, spec)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, pod := range p.Spec.Pods {
		if got := call(t, client, pod.Address)["function"]; got != pod.Function {
			t.Errorf("pod of %s answers as %q", pod.Function, got)
		}
	}
	pid := p.PID()
	p.Kill()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
	again, err := fleet.Start(t.Context(), []string{os.Args[0], zoneProcess}, p.Spec)
	if err != nil {
		t.Fatalf("a killed zone comes back on its addresses: %v", err)
	}
	call(t, client, p.Spec.Pods[0].Address)
	again.Stop(t.Context())
}

func call(t *testing.T, client *http.Client, address string) map[string]string {
	t.Helper()
	r, err := client.Get("http://" + address + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer := map[string]string{}
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&answer); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return answer
}
