package collector

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	data "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	service "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

// ingestEnv makes the test binary a process that takes an access log stream to
// ClickHouse, so that its processor time and memory are its own: "collector" or
// "peer". Folder, ClickHouse's address, user and password, and the log's budget
// follow in ingestEnv_1 to _5.
const ingestEnv = "COLLECTOR_TEST_INGEST"

// usage is what an ingesting process has used since it began.
type usage struct {
	CPU     float64 // seconds
	PeakRSS float64 // MiB
}

func (u usage) minus(v usage) usage {
	return usage{CPU: u.CPU - v.CPU, PeakRSS: u.PeakRSS}
}

// ingest is the process: it says where it listens, then answers each line on
// standard input, a number of rows, once so many are stored, until the input ends.
func ingest() int {
	arg := func(n int) string { return os.Getenv(fmt.Sprintf("%s_%d", ingestEnv, n)) }
	o := clickhouse.Options{Addr: []string{arg(2)}, User: arg(3), Password: api.Secret(arg(4))}
	run := ingestCollector
	if os.Getenv(ingestEnv) == "peer" {
		run = ingestPeer
	}
	if err := run(arg(1), o, arg(5)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func ingestCollector(dir string, o clickhouse.Options, budget string) error {
	cfg := DefaultConfig()
	cfg.Dir, cfg.Source, cfg.ALSListen = dir, SourceALS, "127.0.0.1:0"
	cfg.DrainTimeout = api.Duration(time.Second)
	if n, err := strconv.ParseInt(budget, 10, 64); err == nil {
		cfg.WALBytes = n
	}
	c, err := New(cfg, o, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})), nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	err = answerInput(c.ALSAddr(), func(rows int64) error {
		for c.Stats().Read < rows {
			time.Sleep(5 * time.Millisecond)
		}
		return c.Drain(context.Background())
	})
	cancel()
	return errors.Join(err, <-done)
}

// answerInput serves standard input.
func answerInput(addr string, settle func(rows int64) error) error {
	fmt.Println(addr)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		rows, err := strconv.ParseInt(in.Text(), 10, 64)
		if err != nil {
			return err
		}
		if err := settle(rows); err != nil {
			return err
		}
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			return err
		}
		u := usage{CPU: seconds(r.Utime) + seconds(r.Stime), PeakRSS: float64(r.Maxrss) / 1024}
		if err := json.NewEncoder(os.Stdout).Encode(u); err != nil {
			return err
		}
	}
	return in.Err()
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// ingestPeer does what the OpenTelemetry collector's receiver and ClickHouse
// exporter do: protobuf structs, a map of attributes a row, rows appended one by
// one through database/sql, 8,192 a transaction, and nothing on disk in between.
func ingestPeer(_ string, o clickhouse.Options, _ string) error {
	db := clickhouse.OpenDB(o)
	defer db.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	rows := make(chan row, 1<<16)
	p := &peer{db: db, rows: rows, stored: make(chan int64, 1)}
	s := grpc.NewServer()
	service.RegisterAccessLogServiceServer(s, p)
	go func() { _ = s.Serve(l) }()
	defer s.Stop()
	failed := make(chan error, 1)
	go func() { failed <- p.export() }()
	return answerInput(l.Addr().String(), func(want int64) error {
		for {
			select {
			case n := <-p.stored:
				if n >= want {
					return nil
				}
			case err := <-failed:
				return err
			}
		}
	})
}

type row struct {
	at   time.Time
	body string
	attr map[string]string
}

type peer struct {
	service.UnimplementedAccessLogServiceServer
	db     *sql.DB
	rows   chan row
	stored chan int64
}

// StreamAccessLogs implements the access log service.
func (p *peer) StreamAccessLogs(s service.AccessLogService_StreamAccessLogsServer) error {
	for {
		m, err := s.Recv()
		if err != nil {
			return nil
		}
		for _, e := range m.GetHttpLogs().GetLogEntry() {
			p.rows <- rowOf(e)
		}
	}
}

func rowOf(e *data.HTTPAccessLogEntry) row {
	c, q, r := e.GetCommonProperties(), e.GetRequest(), e.GetResponse()
	attr := map[string]string{
		"authority": q.GetAuthority(), "method": q.GetRequestMethod().String(), "path": q.GetPath(), "request_id": q.GetRequestId(),
		"user_agent": q.GetUserAgent(), "status": strconv.Itoa(int(r.GetResponseCode().GetValue())), "details": r.GetResponseCodeDetails(),
		"bytes_in": strconv.FormatUint(q.GetRequestBodyBytes(), 10), "bytes_out": strconv.FormatUint(r.GetResponseBodyBytes(), 10),
		"duration": strconv.FormatInt(c.GetTimeToLastDownstreamTxByte().AsDuration().Microseconds(), 10),
		"upstream": c.GetUpstreamRemoteAddress().GetSocketAddress().GetAddress(), "downstream": c.GetDownstreamRemoteAddress().GetSocketAddress().GetAddress(),
		"cluster": c.GetUpstreamCluster(), "route": c.GetRouteName(), "traceparent": q.GetRequestHeaders()["traceparent"],
	}
	for k, v := range c.GetCustomTags() {
		attr[k] = v
	}
	return row{c.GetStartTime().AsTime(), "", attr}
}

func (p *peer) export() error {
	const batch = 8192
	var total int64
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var held []row
	for {
		full := false
		select {
		case r := <-p.rows:
			held = append(held, r)
			full = len(held) == batch
		case <-tick.C:
			full = len(held) > 0
		}
		if !full {
			continue
		}
		if err := p.insert(held); err != nil {
			return err
		}
		total += int64(len(held))
		held = held[:0]
		select {
		case <-p.stored:
		default:
		}
		p.stored <- total
	}
}

func (p *peer) insert(rows []row) error {
	tx, err := p.db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	st, err := tx.Prepare("INSERT INTO otel_logs (Timestamp, TraceId, SpanId, SeverityText, ServiceName, Body, ResourceAttributes, LogAttributes)")
	if err != nil {
		return err
	}
	for _, r := range rows {
		if _, err := st.Exec(r.at, r.attr["traceparent"], "", "", r.attr["cluster"], r.body, map[string]string{"service.name": "envoy"}, r.attr); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// otelLogs is the exporter's table, with its types and codecs.
const otelLogs = `CREATE TABLE otel_logs (
	Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)), TraceId String CODEC(ZSTD(1)), SpanId String CODEC(ZSTD(1)),
	SeverityText LowCardinality(String) CODEC(ZSTD(1)), ServiceName LowCardinality(String) CODEC(ZSTD(1)), Body String CODEC(ZSTD(1)),
	ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)), LogAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1))
) ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, Timestamp)`

// ingester is an ingesting process seen from outside.
type ingester struct {
	t    testing.TB
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	addr string
}

func startChild(t testing.TB, kind, dir, server string, o clickhouse.Options, budget int64) *ingester {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), ingestEnv+"="+kind)
	for i, v := range []string{dir, server, o.User, o.Password.Reveal(), strconv.FormatInt(budget, 10)} {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s_%d=%s", ingestEnv, i+1, v))
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	testkit.Must(t, err)
	out, err := cmd.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, cmd.Start())
	c := &ingester{t: t, cmd: cmd, in: in, out: bufio.NewScanner(out)}
	c.addr = c.line()
	return c
}

func (c *ingester) line() string {
	c.t.Helper()
	if !c.out.Scan() {
		c.t.Fatalf("child ended: %v", c.out.Err())
	}
	return strings.TrimSpace(c.out.Text())
}

// settled waits until so many rows are stored since the start.
func (c *ingester) settled(rows int64) (u usage) {
	c.t.Helper()
	_, err := fmt.Fprintln(c.in, rows)
	testkit.Must(c.t, err)
	testkit.Must(c.t, json.Unmarshal([]byte(c.line()), &u))
	return u
}

func (c *ingester) stop() {
	c.t.Helper()
	testkit.Must(c.t, c.in.Close())
	testkit.Must(c.t, c.cmd.Wait())
}
