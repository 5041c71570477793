package link

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, cfg Config) *Links {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.Handle("/echo", func(w http.ResponseWriter, _ *http.Request, q url.Values) { fmt.Fprint(w, q.Encode()) })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l
}

func status(t *testing.T, address string) int {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestOnlyOurLinksAreServed(t *testing.T) {
	dir := t.TempDir()
	l := start(t, Config{Dir: dir, Listen: "127.0.0.1:0"})
	later := time.Now().Add(time.Hour)
	good := l.URL("/echo", url.Values{"a": {"1", "2"}, "b": {"x y&s=z"}}, later)
	cases := map[string]struct {
		address string
		want    int
	}{
		"as made":             {good, http.StatusOK},
		"expired":             {l.URL("/echo", nil, time.Now().Add(-2*time.Second)), http.StatusGone},
		"another path":        {strings.Replace(good, "/echo", "/other", 1), http.StatusNotFound},
		"another parameter":   {strings.Replace(good, "a=1", "a=3", 1), http.StatusForbidden},
		"one more":            {good + "&c=1", http.StatusForbidden},
		"one more signature":  {good + "&s=1", http.StatusOK}, // the first counts, all are left out of what is signed
		"a later end":         {strings.Replace(good, "x=", "x=9", 1), http.StatusForbidden},
		"no signature":        {good[:strings.LastIndex(good, "&s=")], http.StatusForbidden},
		"nothing":             {"http://" + l.Addr() + "/echo", http.StatusForbidden},
		"a broken parameter":  {good + "&%zz", http.StatusForbidden},
		"signed for another":  {strings.Replace(l.URL("/", nil, later), "/?", "/echo?", 1), http.StatusForbidden},
		"the key is a secret": {"http://" + l.Addr() + "/links.key", http.StatusNotFound},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := status(t, c.address); got != c.want {
				t.Errorf("%s: %d, want %d", c.address, got, c.want)
			}
		})
	}
	// Another instance of the same folder takes it too, one of another folder not.
	same, other := start(t, Config{Dir: dir, Listen: "127.0.0.1:0"}), start(t, Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if got := status(t, strings.Replace(good, l.Addr(), same.Addr(), 1)); got != http.StatusOK {
		t.Errorf("after a restart: %d", got)
	}
	if got := status(t, strings.Replace(good, l.Addr(), other.Addr(), 1)); got != http.StatusForbidden {
		t.Errorf("another installation's: %d", got)
	}
}

func TestNoLinks(t *testing.T) {
	l, err := New(Config{})
	if l != nil || err != nil || l.URL("/x", nil, time.Now()) != "" || l.Close() != nil || l.Addr() != "" {
		t.Errorf("%v, %v", l, err)
	}
	l.Handle("/x", nil)
	for _, c := range []Config{{URL: "ftp://x"}, {URL: "x"}, {Key: "short"}} {
		if c.Validate() == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	given := start(t, Config{Listen: "127.0.0.1:0", URL: "https://alerts.example.com/k/", Key: "0123456789abcdef"})
	if got := given.URL("/x", nil, time.Unix(5, 0)); !strings.HasPrefix(got, "https://alerts.example.com/k/x?s=") {
		t.Error(got)
	}
}
