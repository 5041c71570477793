package xds

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"testing"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	als "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/calllog"
)

// logged is a function whose second call in a row is refused, and its key.
func logged(a *pod) api.Set {
	f := function("feed", "/feed", a)
	f.Spec.Capacity.PerPodQPS = 0.2 // one request fits into the bucket
	closed := function("closed", "/closed", a)
	closed.Spec.Access = nil
	return functions(f, closed)
}

func TestAccessLogFileSaysWhatHappened(t *testing.T) {
	a := newPod(t, "a", "zb-x")
	path := filepath.Join(t.TempDir(), "calls.log")
	r := newRig(t, logged(a), func(c *Config) { c.AccessLog, c.AccessLogFormat = path, calllog.EnvoyTextFormat() })
	r.want(r.call("GET", "any", "/feed?q=1"), 200, "a")
	r.want(r.call("GET", "any", "/feed"), 429, "")
	r.want(r.call("GET", "any", "/closed"), 403, "")
	r.want(r.call("GET", "any", "/none"), 404, "")
	var lines [][]byte
	eventually(t, "four lines are written", func() bool {
		b, _ := os.ReadFile(path)
		lines = bytes.SplitAfter(b, []byte("\n"))
		return len(lines) == 5
	})
	type want struct {
		status                                          uint16
		function, revision, route, zone, pod, limitedBy string
	}
	for i, w := range []want{
		{200, "feed", "r1", "feed/0", "zb-x", a.address, ""},
		{429, "feed", "", "feed/0", "", "", "capacity"},
		{403, "closed", "", "closed/0", "", "", ""},
		{404, "", "", "", "", "", ""},
	} {
		var rec calllog.Record
		if err := calllog.ParseText(bytes.TrimSuffix(lines[i], []byte("\n")), &rec); err != nil {
			t.Fatalf("%q: %v", lines[i], err)
		}
		got := want{rec.Status, string(rec.Function), string(rec.Revision), string(rec.Route), string(rec.Zone), string(rec.Pod), rec.LimitedBy}
		// A refused call may or may not name the revision it would have gone to.
		if w.status == 429 {
			got.revision = ""
		}
		if got != w {
			t.Errorf("logged %+v, want %+v", got, w)
		}
	}
}

// sink is an access log service that keeps entries.
type sink struct {
	als.UnimplementedAccessLogServiceServer
	entries chan *accesslog.HTTPAccessLogEntry
}

func (s *sink) StreamAccessLogs(stream als.AccessLogService_StreamAccessLogsServer) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return nil
		}
		for _, e := range m.GetHttpLogs().GetLogEntry() {
			s.entries <- e
		}
	}
}

func TestAccessLogServiceGetsTags(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{entries: make(chan *accesslog.HTTPAccessLogEntry, 100)}
	g := grpc.NewServer(grpc.WaitForHandlers(true))
	als.RegisterAccessLogServiceServer(g, s)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	a := newPod(t, "a", "zb-x")
	r := newRigALS(t, logged(a), l.Addr().String(), func(c *Config) { c.ALS, c.ALSHeaders = true, []string{"x-test"} })
	r.want(r.call("GET", "any", "/feed", "x-test: yes"), 200, "a")
	e := <-s.entries
	tags := e.GetCommonProperties().GetCustomTags()
	if tags[calllog.TagFunction] != "feed" || tags[calllog.TagTenant] != "test" || tags[calllog.TagRevision] != "r1" || tags[calllog.TagZone] != "zb-x" {
		t.Errorf("tags: %v", tags)
	}
	if e.GetRequest().GetRequestHeaders()["x-test"] != "yes" {
		t.Errorf("headers: %v", e.GetRequest().GetRequestHeaders())
	}
	r.want(r.call("GET", "any", "/feed"), 429, "")
	e = <-s.entries
	if e.GetResponse().GetResponseHeaders()["x-kongdao-limited-by"] != "capacity" {
		t.Errorf("headers of a refusal: %v", e.GetResponse().GetResponseHeaders())
	}
}
