package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/app"
)

// storedCalls answers as the API does: the newest calls of (since, until], 10,000 at
// most, oldest first.
type storedCalls struct {
	times     []time.Time
	questions int
}

func (s *storedCalls) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.questions++
	q := r.URL.Query()
	since, err1 := time.Parse(time.RFC3339Nano, q.Get("since"))
	until, err2 := time.Parse(time.RFC3339Nano, q.Get("until"))
	if err1 != nil || err2 != nil || q.Get("limit") != "10000" || q.Get("function") != "f" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	list := app.CallList{Calls: []app.Call{}}
	for _, at := range s.times {
		if at.After(since) && !at.After(until) {
			list.Calls = append(list.Calls, app.Call{Time: at})
		}
	}
	list.Calls = list.Calls[max(0, len(list.Calls)-callsAtOnce):]
	_ = json.NewEncoder(w).Encode(list)
}

// Every call of the time is given once, in order, though the API gives the newest
// ones and no more than 10,000.
func TestEachCallGivesAllInOrder(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	s := &storedCalls{times: []time.Time{noon.Add(-time.Microsecond), noon}}
	for i := range 25_000 { // a burst within 25 ms, and quiet hours
		s.times = append(s.times, noon.Add(time.Minute+time.Duration(i)*time.Microsecond))
	}
	for i := range 100 {
		s.times = append(s.times, noon.Add(time.Hour+time.Duration(i)*time.Minute))
	}
	end := noon.Add(3 * time.Hour)
	s.times = append(s.times, end, end.Add(time.Microsecond))
	server := httptest.NewServer(s)
	defer server.Close()
	c := &client{http: server.Client(), addresses: app.Addresses{API: strings.TrimPrefix(server.URL, "http://")}}
	var got []time.Time
	err := c.eachCall(t.Context(), url.Values{"function": {"f"}}, noon, end, func(call app.Call) bool {
		got = append(got, call.Time)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	want := s.times[1 : len(s.times)-1]
	if len(got) != len(want) {
		t.Fatalf("%d calls, want %d", len(got), len(want))
	}
	for i := range want {
		if !got[i].Equal(want[i]) {
			t.Fatalf("call %d is of %v, want %v", i, got[i], want[i])
		}
	}
	if s.questions > 100 {
		t.Errorf("%d questions for three hours", s.questions)
	}
}

func TestEachCallEndsWhenNobodyWantsMore(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	s := &storedCalls{times: []time.Time{noon, noon.Add(time.Second)}}
	server := httptest.NewServer(s)
	defer server.Close()
	c := &client{http: server.Client(), addresses: app.Addresses{API: strings.TrimPrefix(server.URL, "http://")}}
	n := 0
	err := c.eachCall(t.Context(), url.Values{"function": {"f"}}, noon, noon.Add(time.Hour), func(app.Call) bool { n++; return false })
	if err != nil || n != 1 || s.questions != 1 {
		t.Errorf("%v, %d calls, %d questions", err, n, s.questions)
	}
}
