package outbox

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// BenchmarkPut accepts groups from many goroutines at once, as Alertmanager's
// dispatcher does: what comes together is synced together.
func BenchmarkPut(b *testing.B) {
	o, err := New(DefaultConfig(b.TempDir()), nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	defer o.Close()
	const most = 10_000
	work := make(chan int)
	var putting sync.WaitGroup
	for range 256 {
		putting.Go(func() {
			for n := range work {
				if err := o.Put("r", group(fmt.Sprint(n%most), "ticket", false)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	n := 0
	for b.Loop() {
		work <- n
		n++
	}
	close(work)
	putting.Wait()
}
