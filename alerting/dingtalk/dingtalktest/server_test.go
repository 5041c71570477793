package dingtalktest_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_700_000_000, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const good = `{"msgtype":"markdown","markdown":{"title":"t","text":"x"}}`

// post answers with errcode and the whole body.
func post(t *testing.T, address, body string) (int, string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Post(address, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, a robot answers 200 whatever it thinks", resp.Status)
	}
	var a struct{ Errcode int }
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return a.Errcode, string(text)
}

func signed(address, secret string, at time.Time) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d\n%s", at.UnixMilli(), secret)
	return fmt.Sprintf("%s&timestamp=%d&sign=%s", address, at.UnixMilli(), url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))))
}

func TestShapes(t *testing.T) {
	s := dingtalktest.Start(t, dingtalktest.Config{})
	cases := []struct {
		name, body string
		code       int
	}{
		{"markdown", good, 0},
		{"text", `{"msgtype":"text","text":{"content":"x"},"at":{"isAtAll":true}}`, 0},
		{"card", `{"msgtype":"actionCard","actionCard":{"title":"t","text":"x","singleTitle":"more","singleURL":"https://h"}}`, 0},
		{"markdown without title", `{"msgtype":"markdown","markdown":{"text":"x"}}`, 400002},
		{"markdown without text", `{"msgtype":"markdown","markdown":{"title":"t"}}`, 400002},
		{"an unknown field", `{"msgtype":"markdown","markdown":{"title":"t","text":"x","color":"red"}}`, 400002},
		{"an unknown type", `{"msgtype":"fax","text":{"content":"x"}}`, 400002},
		{"content of another type", `{"msgtype":"text","markdown":{"title":"t","text":"x"}}`, 400002},
		{"two contents", `{"msgtype":"text","text":{"content":"x"},"markdown":{"title":"t","text":"x"}}`, 400002},
		{"no json", `hello`, 400002},
		{"two values", good + good, 400002},
		{"20,000 bytes", long(20_000), 0},
		{"20,001 bytes", long(20_001), 460101},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if code, text := post(t, s.URL("token"), c.body); code != c.code {
				t.Errorf("errcode %d, want %d: %s", code, c.code, text)
			}
		})
	}
}

func long(n int) string {
	frame := `{"msgtype":"text","text":{"content":""}}`
	return strings.Replace(frame, `""`, `"`+strings.Repeat("x", n-len(frame))+`"`, 1)
}

func TestWhoMaySend(t *testing.T) {
	c := newClock()
	s := dingtalktest.Start(t, dingtalktest.Config{Secret: "SEC1", Tokens: []string{"a"}, Keywords: []string{"x", "kongdao"}, Now: c.Now})
	now := c.Now()
	cases := []struct {
		name, address, body string
		code                int
	}{
		{"signed now", signed(s.URL("a"), "SEC1", now), good, 0},
		{"signed an hour ago", signed(s.URL("a"), "SEC1", now.Add(-time.Hour)), good, 0},
		{"signed too long ago", signed(s.URL("a"), "SEC1", now.Add(-time.Hour-time.Second)), good, 310000},
		{"signed in the future", signed(s.URL("a"), "SEC1", now.Add(time.Hour+time.Second)), good, 310000},
		{"signed with another secret", signed(s.URL("a"), "SEC2", now), good, 310000},
		{"not signed", s.URL("a"), good, 310000},
		{"an unknown token", signed(s.URL("b"), "SEC1", now), good, 300001},
		{"no keyword", signed(s.URL("a"), "SEC1", now), strings.ReplaceAll(good, `"x"`, `"y"`), 310000},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if code, text := post(t, tc.address, tc.body); code != tc.code {
				t.Errorf("errcode %d, want %d: %s", code, tc.code, text)
			}
		})
	}
}

func TestTwentyInAnyMinute(t *testing.T) {
	c := newClock()
	s := dingtalktest.Start(t, dingtalktest.Config{Tokens: []string{"a", "b"}, Now: c.Now})
	sends := func(token string, n, code int) {
		t.Helper()
		for i := range n {
			if got, text := post(t, s.URL(token), good); got != code {
				t.Fatalf("message %d: errcode %d, want %d: %s", i+1, got, code, text)
			}
		}
	}
	sends("a", 10, 0)
	c.add(30 * time.Second)
	sends("a", 10, 0)
	c.add(30 * time.Second) // the first ten are a minute old
	sends("a", 10, 0)
	_, text := post(t, s.URL("a"), good)
	const want = `{"status":1111,"wait":5,"source":"x5","punish":"deny","errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}`
	if text != want {
		t.Errorf("answer %s, want %s", text, want)
	}
	c.add(10*time.Minute - time.Second)
	sends("a", 3, 130101)
	sends("b", 1, 0) // another robot is not concerned
	c.add(time.Second)
	sends("a", 20, 0)
	sends("a", 1, 130101)
}

func TestFaults(t *testing.T) {
	s := dingtalktest.Start(t, dingtalktest.Config{})
	s.Inject(dingtalktest.Fault{Kind: dingtalktest.HTTPStatus, Code: 502}, dingtalktest.Fault{Kind: dingtalktest.LoseAnswer},
		dingtalktest.Fault{}, dingtalktest.Fault{Kind: dingtalktest.Errcode, Code: -1}, dingtalktest.Fault{Kind: dingtalktest.Hang})
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Post(s.URL("token"), "", strings.NewReader(good))
	if err != nil || resp.StatusCode != 502 {
		t.Fatalf("%v %v, want 502", resp, err)
	}
	resp.Body.Close()
	if _, err := c.Post(s.URL("token"), "", strings.NewReader(good)); err == nil {
		t.Error("an answer came that was to be lost")
	}
	if n := len(s.Messages()); n != 1 {
		t.Errorf("%d messages, the one without answer was accepted", n)
	}
	if code, _ := post(t, s.URL("token"), good); code != 0 {
		t.Errorf("errcode %d of a message between faults", code)
	}
	if code, _ := post(t, s.URL("token"), good); code != -1 {
		t.Errorf("errcode %d, want -1", code)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, s.URL("token"), strings.NewReader(good))
	if _, err := c.Do(req); err == nil {
		t.Error("an answer came that was to hang")
	}
}

func TestWait(t *testing.T) {
	s := dingtalktest.Start(t, dingtalktest.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	done := make(chan []dingtalktest.Received)
	go func() {
		got, _ := s.WaitN(ctx, 2)
		done <- got
	}()
	post(t, s.URL("token"), good)
	post(t, s.URL("token"), good)
	if got := <-done; len(got) != 2 || got[0].Title != "t" || got[0].Type != "markdown" {
		t.Errorf("waited for %v", got)
	}
	cancel()
	if _, err := s.WaitN(ctx, 3); err == nil {
		t.Error("no error without a third message")
	}
}
