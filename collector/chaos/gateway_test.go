package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/testkit"
)

// The gateways that write the file and the stream.
const (
	fileGateway   = "gw-file"
	streamGateway = "gw-stream"
)

// call is what a call's number says about it, but for the time. Neighbours lie in
// different partitions of every table, so that one insert writes several parts.
type call struct {
	id       string
	at       time.Time
	function string
	revision string
	zone     string
	status   int
	loadTest string // "-" for none
	duration int    // microseconds
	bytes    int
	path     string
}

func callOf(n int, stream bool) call {
	c := call{
		id: idOf(n), at: time.Now().Truncate(time.Microsecond),
		function: fmt.Sprintf("fn-%d", n%4), revision: fmt.Sprintf("r%d", 1+n%2), zone: fmt.Sprintf("zb-%c", 'a'+n%2),
		status: 200, loadTest: "-", duration: 500 + (n*7919)%90_000, bytes: 100 + n%1000, path: "/p",
	}
	if n%10 == 9 {
		c.status = 503
	}
	if n%25 == 0 && !stream {
		c.loadTest = "run-1"
	}
	switch {
	case n%97 == 0:
		c.at = c.at.AddDate(0, 0, -25)
	case n%13 == 0:
		c.at = c.at.AddDate(0, 0, -1)
	}
	return c
}

// longPath is what no compression makes small, so that few calls fill a disk.
func longPath(n int) string {
	random := rand.New(rand.NewPCG(uint64(n), 0))
	b := make([]byte, 2000)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_./~!$+*,;:"[random.IntN(64)]
	}
	return "/" + string(b)
}

func idOf(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// text is the format string of Envoy's log, cut at its operators: literals and
// operators take turns, literals first.
var text = cutFormat(calllog.EnvoyTextFormat())

// cutFormat cuts at %NAME%, %NAME(…)% and %NAME(…):N%; in brackets a percent sign
// does not end the operator.
func cutFormat(format string) (parts []string) {
	var part strings.Builder
	inside, depth := false, 0
	for _, r := range format {
		switch {
		case r == '(' && inside:
			depth++
		case r == ')' && inside:
			depth--
		}
		if r == '%' && depth == 0 {
			parts = append(parts, part.String())
			part.Reset()
			inside = !inside
			continue
		}
		part.WriteRune(r)
	}
	return append(parts, part.String())
}

// line is what Envoy writes about call n.
func line(n int, long bool) string {
	c := callOf(n, false)
	if long {
		c.path = longPath(n)
	}
	var b strings.Builder
	for i, part := range text {
		if i%2 == 0 {
			b.WriteString(part)
			continue
		}
		b.WriteString(c.operator(part))
	}
	return b.String()
}

// operator is the value of one of Envoy's operators, known by how it starts.
func (c call) operator(op string) string {
	for _, known := range []struct {
		prefix string
		value  any
	}{
		{"START_TIME", c.at.UnixMicro()},
		{"COMMON_DURATION(DS_RX_BEG:DS_TX_END", c.duration},
		{"DURATION", c.duration / 1000},
		{"COMMON_DURATION(US_TX_BEG", c.duration / 2},
		{"COMMON_DURATION(DS_RX_BEG:DS_TX_BEG", c.duration / 2},
		{"RESPONSE_CODE_DETAILS", "via_upstream"},
		{"RESPONSE_CODE", c.status},
		{"UPSTREAM_REQUEST_ATTEMPT_COUNT", 1},
		{"BYTES_RECEIVED", 10},
		{"BYTES_SENT", c.bytes},
		{"METADATA(ROUTE:kongdao:tenant", "t"},
		{"METADATA(ROUTE:kongdao:function", c.function},
		{"METADATA(CLUSTER:kongdao:revision", c.revision},
		{"METADATA(UPSTREAM_HOST:kongdao:zone", c.zone},
		{"ROUTE_NAME", c.function + "/0"},
		{"UPSTREAM_HOST", "127.0.0.1:9101"},
		{"DOWNSTREAM_REMOTE_ADDRESS", "127.0.0.1"},
		{"REQ(:METHOD", "GET"},
		{"REQ(X-REQUEST-ID", c.id},
		{"REQ(" + calllog.LoadTestHeader, c.loadTest},
		{"REQ(:AUTHORITY", "h.example"},
		{"REQ(X-ENVOY-ORIGINAL-PATH", c.path},
	} {
		if strings.HasPrefix(op, known.prefix) {
			return fmt.Sprint(known.value)
		}
	}
	return "-"
}

// accessLog is the file that Envoy would write.
type accessLog struct {
	path string
	long bool         // lines are long
	n    atomic.Int64 // lines so far

	mu   sync.Mutex
	file *os.File
}

func newAccessLog(t testing.TB, path string) *accessLog {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	testkit.Must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return &accessLog{path: path, file: f}
}

// write appends the next lines in writes that do not end where lines end, as those
// of Envoy's buffer.
func (a *accessLog) write(lines int, random *rand.Rand) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	first := int(a.n.Load())
	for n := first; n < first+lines; n++ {
		b.WriteString(line(n, a.long))
	}
	a.n.Add(int64(lines))
	text := b.String()
	for len(text) > 0 {
		part := min(len(text), 1+random.IntN(16384))
		if _, err := a.file.WriteString(text[:part]); err != nil {
			return err
		}
		text = text[part:]
	}
	return nil
}
