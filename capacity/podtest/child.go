package podtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The environment of a process that is pods: the name of their law, and how many.
const (
	lawVariable  = "KONGDAO_TEST_POD"
	podsVariable = "KONGDAO_TEST_PODS"
)

// IsChild tells whether this process was started by [Start]: then TestMain calls
// [RunChild] and returns.
func IsChild() bool { return os.Getenv(lawVariable) != "" }

// RunChild serves pods until its input ends, and returns the process' exit code.
func RunChild() int {
	n, err := strconv.Atoi(os.Getenv(podsVariable))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	law, ok := named(os.Getenv(lawVariable))
	if !ok {
		fmt.Fprintln(os.Stderr, "no such law")
		return 1
	}
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		s := &http.Server{Handler: NewServer(law, uint64(time.Now().UnixNano())+uint64(i)), ReadHeaderTimeout: time.Minute}
		go func() { _ = s.Serve(l) }() // it ends with the process
		fmt.Println(l.Addr())
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

func named(name string) (Law, bool) {
	for _, l := range append(Laws(), Slow()) {
		if l.Name == name {
			return l, true
		}
	}
	return Law{}, false
}

// Start starts n pods of one of [Laws] or of [Slow] in one process of this test binary,
// and gives their addresses. They end with the test, or when stop is called.
func Start(t testing.TB, law Law, n int) (addresses []string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), lawVariable+"="+law.Name, podsVariable+"="+strconv.Itoa(n))
	child.Stderr = os.Stderr
	in, inErr := child.StdinPipe()
	out, outErr := child.StdoutPipe()
	if err := errors.Join(inErr, outErr, child.Start()); err != nil {
		cancel()
		t.Fatal(err)
	}
	stop = func() {
		_ = in.Close()
		cancel()
		_ = child.Wait() // killed, or not: it is gone
	}
	t.Cleanup(stop)
	lines := bufio.NewReader(out)
	for range n {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("pod of law %q: %v", law.Name, err)
		}
		addresses = append(addresses, strings.TrimSpace(line))
	}
	return addresses, stop
}

// FiguresOf asks a pod for what it knows.
func FiguresOf(t testing.TB, address string) (f Figures) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/figures", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&f); err != nil {
		t.Fatal(err)
	}
	return f
}
