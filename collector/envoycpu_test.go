package collector

import (
	"bytes"
	"context"
	"io"
	"iter"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kongdao/kongdao/collector/als"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/calllog/calllogtest"
	"github.com/kongdao/kongdao/internal/testkit"
)

// BenchmarkEnvoyLog is what logging costs Envoy for a call to a pod: its own
// processor time, each way in turn with no log at all, the median of the ratios of
// neighbours. Client, pod, Envoy and the stream's reader share the machine.
func BenchmarkEnvoyLog(b *testing.B) {
	const slice, rounds = 15_000, 5
	pod := quickPod(b)
	off := calllogtest.StartWith(b, calllogtest.Options{NoFile: true, Pod: pod})
	for _, way := range []struct {
		name string
		o    calllogtest.Options
	}{
		{"file", calllogtest.Options{Flush: envoyFlush}},
		{"file-25ms", calllogtest.Options{Flush: 25 * time.Millisecond}},
		{"file-100ms", calllogtest.Options{Flush: 100 * time.Millisecond}},
		{"als", calllogtest.Options{NoFile: true, ALS: discarding(b), ALSDefaults: true}},
	} {
		b.Run(way.name, func(b *testing.B) {
			way.o.Pod = pod
			on := calllogtest.StartWith(b, way.o)
			perCall(b, on, slice/3) // warm
			perCall(b, off, slice/3)
			var ratios, added []float64
			for range b.N {
				for i := range rounds {
					var with, without float64
					if i%2 == 0 {
						with, without = perCall(b, on, slice), perCall(b, off, slice)
					} else {
						without, with = perCall(b, off, slice), perCall(b, on, slice)
					}
					ratios, added = append(ratios, with/without), append(added, with-without)
				}
			}
			b.ReportMetric(median(ratios), "ratio-of-off")
			b.ReportMetric(slices.Min(ratios), "least")
			b.ReportMetric(slices.Max(ratios), "most")
			b.ReportMetric(median(added), "µs-more/call")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// perCall is the processor time of Envoy for each of n calls, µs.
func perCall(b *testing.B, g *calllogtest.Gateway, n int) float64 {
	b.Helper()
	const conns = 16
	before := g.CPU(b)
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			if err := many(g.Addr, n/conns); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	return float64((g.CPU(b) - before).Microseconds()) / float64(n/conns*conns)
}

const request = "GET /feed/items?page=2&size=20 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: okhttp/4.12.0\r\nAccept: */*\r\n\r\n"

// many makes n calls on one connection, one after the other.
func many(addr string, n int) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	buf := make([]byte, 4096)
	for range n {
		if _, err := io.WriteString(conn, request); err != nil {
			return err
		}
		for at := 0; !bytes.HasSuffix(buf[:at], []byte("hello")); {
			k, err := conn.Read(buf[at:])
			if err != nil {
				return err
			}
			at += k
		}
	}
	return nil
}

// quickPod answers every request at once, with as little work as possible.
func quickPod(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(b, err)
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answer(conn)
		}
	}()
	return l.Addr().String()
}

func answer(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 16<<10)
	at := 0
	for {
		n, err := conn.Read(buf[at:])
		if err != nil {
			return
		}
		at += n
		if !bytes.HasSuffix(buf[:at], []byte("\r\n\r\n")) {
			continue
		}
		at = 0
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"); err != nil {
			return
		}
	}
}

// discarding is an access log service that decodes what comes and keeps nothing.
func discarding(b *testing.B) string {
	b.Helper()
	cfg := als.DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	server, err := als.New(cfg, slog.New(slog.DiscardHandler), nil, func(_ context.Context, calls iter.Seq[*calllog.Record]) error {
		for range calls {
			continue
		}
		return nil
	}, als.Counting{})
	testkit.Must(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		testkit.Must(b, <-done)
	})
	return server.Addr()
}
