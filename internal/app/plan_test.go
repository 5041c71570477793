package app

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/registry"
	"github.com/kongdao/kongdao/xds/plan"
)

func TestReadCalls(t *testing.T) {
	calls, err := ReadCalls(strings.NewReader("\n{\"method\":\"GET\",\"path\":\"/a\",\"client_ip\":\"::ffff:10.0.0.1\"}\n{\"function_log\":{}}\n{\"attrs\":{\"protocol\":\"tcp\"}}"))
	if err != nil || len(calls) != 2 || calls[0].ClientIP != "10.0.0.1" {
		t.Errorf("%+v, %v", calls, err)
	}
	for text, want := range map[string]string{
		"{\"method\":\"GET\"}\n[]":       "2: is no call: ",
		"{}":                             "1: is no call: it has no method",
		"{\"method\":\"GET\"":            "1: is no call: ",
		strings.Repeat("x", maxCallLine): "1: bufio.Scanner: token too long",
	} {
		if _, err := ReadCalls(strings.NewReader(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.20s: %v, want %s", text, err, want)
		}
	}
}

// FuzzReadCalls wants that what was read is read again when it is written, and that
// every call of any file can be replayed.
func FuzzReadCalls(f *testing.F) {
	f.Add([]byte("{\"ts\":\"2026-11-20T10:00:00Z\",\"method\":\"GET\",\"host\":\"a.test\",\"path\":\"/x?a=1\",\"status\":200,\"attrs\":{\"x-gray\":\"1,2\"}}\n"))
	f.Add([]byte("{\"method\":\"_OTHER\",\"attrs\":{\"method\":\"G E T\"},\"path\":\"x\\u0000\",\"client_ip\":\"fe80::1%a\"}"))
	f.Add([]byte("{\"method\":\"OPTIONS\",\"status\":403,\"host\":\"[\",\"path\":\"/%00\",\"consumer\":\"a/b\"}\nnot a call"))
	set := plannable(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		calls, err := ReadCalls(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		enc := json.NewEncoder(&again)
		for _, c := range calls {
			if err := enc.Encode(c); err != nil {
				return // a year that JSON cannot hold
			}
		}
		repeated, err := ReadCalls(&again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(calls, repeated); diff != "" {
			t.Errorf("-read +again:\n%s", diff)
		}
		p, err := PlanOffline(set, set, calls, plan.Options{Kept: []string{"x-gray"}})
		if err != nil || p.Calls.Changed+p.Calls.Unknown > 0 || len(p.Resources) > 0 {
			t.Errorf("%+v, %v", p, err)
		}
		_ = p.Calls.Text()
	})
}

// plannable is a set with conditions of several kinds.
func plannable(t testing.TB) api.Set {
	t.Helper()
	const text = `apiVersion: kongdao.io/v1
kind: Function
metadata: {name: a}
spec:
  routes:
    - {hosts: [a.test], path: /x, headers: {x-gray: {prefix: "1"}}, query: {a: {regex: "[0-9]+"}}}
    - {path: "/*", cors: {origins: ["https://a.test"]}}
    - {path: /ws, websocket: true}
  revisions: [{name: r1, endpoints: [{address: "127.0.0.1:9101", zone: zb-a}]}]
  access: {consumers: [ann], ip: {deny: [10.0.0.0/8]}}
---
apiVersion: kongdao.io/v1
kind: Consumer
metadata: {name: ann}
spec: {keys: ["${env:NOBODY_SETS_THIS}"]}
`
	set, problems := registry.Folder{Texts: map[string]string{"a.yaml": text}}.Load()
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}
