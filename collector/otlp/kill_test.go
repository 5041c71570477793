package otlp

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

// childEnv makes the test binary a receiver that is killed: folder, addresses of
// gRPC and HTTP, ClickHouse's address, password and user follow in childEnv_1 to _6.
const childEnv = "OTLP_TEST_CHILD"

func receiveUntilKilled() int {
	arg := func(n int) string { return os.Getenv(fmt.Sprintf("%s_%d", childEnv, n)) }
	cfg := testConfig(arg(1))
	cfg.ListenGRPC, cfg.ListenHTTP = arg(2), arg(3)
	o := clickhouse.Options{Addr: []string{arg(4)}, Password: api.Secret(arg(5)), User: arg(6)}
	r, err := New(cfg, o, slog.New(slog.NewTextHandler(os.Stderr, nil)), nil)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	if err := r.Run(context.Background()); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// TestKilled kills the receiver again and again while clients send, each of which
// sends a request again, unchanged, until it is answered. Every record is stored,
// once. KONGDAO_CHAOS_ROUNDS says how often; the default is for every day.
func TestKilled(t *testing.T) {
	rounds := 6
	if n, err := strconv.Atoi(os.Getenv("KONGDAO_CHAOS_ROUNDS")); err == nil {
		rounds = n
	}
	engine := migrated(t)
	o := engine.Options()
	args := []string{t.TempDir(), freeAddr(t), freeAddr(t), engine.Addr(), o.Password.Reveal(), o.User}
	var answered atomic.Int64
	sending, stopSending := context.WithCancel(context.Background())
	defer stopSending()
	const clients = 4
	sent := make([]int, clients)
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { sent[i] = sendUntilAnswered(t, sending, args[2], fmt.Sprint("fn-", i), &answered) })
	}
	for range rounds {
		child := startChild(t, args)
		enough := answered.Load() + 20 + rand.Int64N(60)
		testkit.Eventually(t, "requests are answered", func() bool { return answered.Load() >= enough })
		testkit.Must(t, child.Process.Kill())
		_ = child.Wait()
	}
	child := startChild(t, args)
	stopSending()
	all.Wait()
	testkit.Must(t, child.Process.Kill())
	_ = child.Wait()

	r := start(t, testConfig(args[0]), o) // delivers what the others left
	testkit.Must(t, r.Drain(testkit.Context(t)))
	c := open(t, o)
	for i, n := range sent {
		stored(t, c, fmt.Sprint("fn-", i), n)
	}
}

func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func startChild(t *testing.T, args []string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	for i, v := range args {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s_%d=%s", childEnv, i+1, v))
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	testkit.Must(t, err)
	testkit.Must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	said := bufio.NewScanner(out)
	if !said.Scan() || said.Text() != "ready" {
		t.Fatalf("child: %s", said.Text())
	}
	return cmd
}

// sendUntilAnswered sends requests of several records, each until it is answered,
// and returns how many records that were. It starts none after ctx ended.
func sendUntilAnswered(t *testing.T, ctx context.Context, addr, function string, answered *atomic.Int64) (records int) {
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr, Timeout: 10 * time.Second}
	for ctx.Err() == nil {
		m := &logspb.ExportLogsServiceRequest{ResourceLogs: request(kvs("service.name", function)).ResourceLogs}
		scope := m.ResourceLogs[0].ScopeLogs[0]
		for range 1 + rand.IntN(20) {
			scope.LogRecords = append(scope.LogRecords, &logs.LogRecord{
				TimeUnixNano: uint64(time.Now().UnixNano()), Body: str("x"), Attributes: kvs("n", records),
			})
			records++
		}
		body := bytesOf(t, m)
		deadline := time.Now().Add(time.Minute)
		for !postOnce(client, addr, body) {
			if time.Now().After(deadline) {
				t.Errorf("%s: not answered within a minute", function)
				return records
			}
			<-time.After(2 * time.Millisecond)
		}
		answered.Add(1)
	}
	return records
}

// postOnce reports whether the request was answered.
func postOnce(client *http.Client, addr string, body []byte) bool {
	res, err := client.Post("http://"+addr+"/v1/logs", typeProto, bytes.NewReader(body))
	if err != nil {
		return false
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err == nil && res.StatusCode == http.StatusOK
}
