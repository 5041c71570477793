package explain

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/translate"
)

// BenchmarkFiltersNobodyUses measures what the filters that functions can switch on
// cost the calls of functions that do not: Envoy's CPU for a call that it answers
// itself (so that a filter's part is as large as it can be), beside a listener
// without them. Slices alternate; the figure is the median of their ratios.
func BenchmarkFiltersNobodyUses(b *testing.B) {
	const rounds, calls = 15, 1500
	for _, c := range []struct{ name, without string }{
		{"itself", "none"},
		{"cors", "envoy.filters.http.cors"},
		{"buffer", "envoy.filters.http.buffer"},
		{"compressors", "kongdao.compress."},
		{"grpc-json", "envoy.filters.http.grpc_json_transcoder"},
		{"all of them", "envoy.filters.http.cors envoy.filters.http.buffer kongdao.compress. envoy.filters.http.grpc_json_transcoder"},
	} {
		b.Run(c.name, func(b *testing.B) {
			with := serveAltered(b, func(*translate.Resources) {})
			without := serveAltered(b, func(r *translate.Resources) { dropFilters(b, r, strings.Fields(c.without)) })
			for b.Loop() {
				var ratios, costs []float64
				for range rounds {
					w, wo := with.costOf(b, calls), without.costOf(b, calls)
					ratios, costs = append(ratios, w/wo), append(costs, w-wo)
				}
				b.ReportMetric(median(ratios), "with/without")
				b.ReportMetric(median(costs), "µs-more/call")
			}
		})
	}
}

func median(xs []float64) float64 {
	slices.SortFunc(xs, cmp.Compare[float64])
	return xs[len(xs)/2]
}

// gatewayProcess is an Envoy with a connection to it.
type gatewayProcess struct {
	pid  string
	conn net.Conn
	in   *bufio.Reader
}

func serveAltered(b *testing.B, alter func(*translate.Resources)) *gatewayProcess {
	b.Helper()
	f := &api.Function{Metadata: api.Metadata{Name: "f"}}
	f.Spec.Routes = []api.Route{{Hosts: []string{"a.test"}, Path: "/x", Respond: &api.Respond{Status: 200, Body: "ok"}}}
	f.Spec.Revisions = []api.Revision{{Name: "r1", Endpoints: []api.Endpoint{{Address: "127.0.0.1:1"}}}}
	f.Spec.Access = &api.Access{Public: true}
	w := model.Build(model.Input{Set: api.Set{Functions: []*api.Function{f}}})
	addr, _, log := serveAlteredWorld(b, w, alter)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	pids, err := filepath.Glob(filepath.Join(filepath.Dir(log), "*.pid"))
	if err != nil || len(pids) != 1 {
		b.Fatal("no pid file", pids, err)
	}
	pid, err := os.ReadFile(pids[0])
	if err != nil {
		b.Fatal(err)
	}
	return &gatewayProcess{pid: strings.TrimSpace(string(pid)), conn: conn, in: bufio.NewReader(conn)}
}

// costOf is Envoy's CPU for a call, microseconds.
func (g *gatewayProcess) costOf(b *testing.B, calls int) float64 {
	b.Helper()
	before := g.cpu(b)
	for range calls {
		if _, err := g.conn.Write([]byte("GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n")); err != nil {
			b.Fatal(err)
		}
		res, err := http.ReadResponse(g.in, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
			b.Fatal(res.StatusCode, err)
		}
	}
	return (g.cpu(b) - before) / float64(calls)
}

// cpu is what the process has used so far, microseconds.
func (g *gatewayProcess) cpu(b *testing.B) float64 {
	b.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%s/task/*/schedstat", g.pid))
	if err != nil {
		b.Fatal(err)
	}
	total := 0.0
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		ns, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
		if err != nil {
			b.Fatal(err)
		}
		total += ns / 1000
	}
	return total
}

func dropFilters(b *testing.B, r *translate.Resources, prefixes []string) {
	b.Helper()
	for _, l := range r.Listeners {
		at := l.FilterChains[0].Filters[0].ConfigType.(*listener.Filter_TypedConfig)
		var m hcm.HttpConnectionManager
		if err := at.TypedConfig.UnmarshalTo(&m); err != nil {
			b.Fatal(err)
		}
		named := func(name string) bool {
			return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
		}
		m.HttpFilters = slices.DeleteFunc(m.HttpFilters, func(f *hcm.HttpFilter) bool { return named(f.Name) })
		packed, err := anypb.New(&m)
		if err != nil {
			b.Fatal(err)
		}
		at.TypedConfig = packed
		// Envoy refuses settings of filters that are not there.
		for _, c := range r.Routes {
			for name := range c.TypedPerFilterConfig {
				if named(name) {
					delete(c.TypedPerFilterConfig, name)
				}
			}
		}
	}
}
