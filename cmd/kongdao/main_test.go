package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/xds/envoy"
)

// patience bounds every wait of a script.
const patience = 45 * time.Second

func TestMain(m *testing.M) {
	if embedded.IsChild() {
		os.Exit(embedded.RunChild())
	}
	testscript.Main(m, map[string]func(){"kongdao": main})
}

// TestCommandLine runs the scripts in testdata: the command line as users run it.
// Besides the usual commands they have those below.
func TestCommandLine(t *testing.T) {
	binary, err := envoy.Find("")
	if err != nil {
		t.Fatalf("%v: run make deps", err)
	}
	library, err := embedded.FindLibrary()
	if err != nil {
		t.Fatalf("%v: run make deps", err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv(envoy.PathVariable, binary.Path)
			e.Setenv(embedded.LibraryVariable, library)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "measures": measures, "ready": ready, "served": served, "gone": gone, "listen": listen, "serve": serve, "stored": stored, "post": post,
		},
	})
}

// exits CODE COMMAND… runs a command that must end with this code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command…")
	}
	if code := codeOf(ts, args[1:]); strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// measures CODE COMMAND… is exits for a load test, which ends with 3 when this
// machine was too busy to measure anything, and is then run again.
func measures(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: measures code command…")
	}
	const busy = 3
	code := codeOf(ts, args[1:])
	for end := time.Now().Add(4 * patience); code == busy && time.Now().Before(end); {
		code = codeOf(ts, args[1:])
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// codeOf runs a command and returns its exit code.
func codeOf(ts *testscript.TestScript, command []string) int {
	err := ts.Exec(command[0], command[1:]...)
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return ended.ExitCode()
	}
	if err != nil {
		ts.Fatalf("%v", err)
	}
	return 0
}

// ready DATA waits for the system on a data directory, and sets $GATEWAY, $API and
// $OTLP.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	within(ts, "the system is ready", func() error {
		a, err := app.ReadAddresses(ts.MkAbs(args[0]))
		ts.Setenv("GATEWAY", a.Gateway)
		ts.Setenv("API", a.API)
		ts.Setenv("OTLP", a.OTLPHTTP)
		return err
	})
}

// served FUNCTION waits until the function of that name is called on its path by
// the gateway of the last ready.
func served(ts *testscript.TestScript, _ bool, args []string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	within(ts, args[0]+" is served", func() error {
		res, err := client.Get("http://" + ts.Getenv("GATEWAY") + "/" + args[0])
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return errors.New(res.Status)
		}
		return nil
	})
}

// gone DATA wants nothing of a system left: no process whose command line names
// the directory, no addresses.
func gone(ts *testscript.TestScript, _ bool, args []string) {
	data := ts.MkAbs(args[0])
	if _, err := app.ReadAddresses(data); !errors.Is(err, app.ErrNotRunning) {
		ts.Fatalf("addresses: %v", err)
	}
	within(ts, "no process is left", func() error {
		files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, file := range files {
			line, _ := os.ReadFile(file) // it may have ended just now
			if strings.Contains(string(line), data+"/") {
				return fmt.Errorf("%s: %q", file, line)
			}
		}
		return nil
	})
}

// listen NAME sets a variable to an address where somebody listens already.
func listen(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// serve NAME sets a variable to the URL, and NAME_ADDRESS to the address, of a
// server that answers ok, and 404 to paths that end in /missing.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/missing") {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprintln(w, "ok")
	}))
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.URL)
	ts.Setenv(args[0]+"_ADDRESS", s.Listener.Addr().String())
}

// post URL FILE sends a file of JSON, and wants 200.
func post(ts *testscript.TestScript, _ bool, args []string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Post(args[0], "application/json", strings.NewReader(ts.ReadFile(args[1])))
	ts.Check(err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		ts.Fatalf("%s: %s", args[0], res.Status)
	}
}

// stored QUERY waits until a query of the system of the last ready gives a truth.
func stored(ts *testscript.TestScript, _ bool, args []string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	within(ts, args[0], func() error {
		body, err := json.Marshal(app.SQLQuery{Query: args[0], Format: "tsv"})
		ts.Check(err)
		res, err := client.Post("http://"+ts.Getenv("API")+"/api/v1/sql", "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if answer, _ := io.ReadAll(res.Body); !strings.HasSuffix(string(answer), "\n1\n") {
			return fmt.Errorf("%s", answer)
		}
		return nil
	})
}

func within(ts *testscript.TestScript, what string, yes func() error) {
	deadline := time.Now().Add(patience)
	for {
		err := yes()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}
