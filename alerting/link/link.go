package link

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/durable"
)

// Config says where links lead.
type Config struct {
	Dir    string     // of the key, when Key is empty
	Listen string     // host:port; empty: there are no links
	URL    string     // where phones reach Listen; empty: http://Listen
	Key    api.Secret // the same in every instance; empty: one is made and kept in Dir
}

// minKey is the length of a key that is given, in bytes.
const minKey = 16

// Validate names every field that is wrong.
func (c Config) Validate() error {
	var errs []error
	u, err := url.Parse(c.URL)
	if c.URL != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "") {
		errs = append(errs, fmt.Errorf("linksURL: %q, must be http(s)://host[/path]", c.URL))
	}
	if n := len(c.Key.Reveal()); n > 0 && n < minKey {
		errs = append(errs, fmt.Errorf("linksKey: %d bytes, must be at least %d", n, minKey))
	}
	return errors.Join(errs...)
}

// Links makes addresses and serves them. Nil makes none.
type Links struct {
	base     string
	key      []byte
	listener net.Listener
	mux      *http.ServeMux
	now      func() time.Time
}

// New binds the listener and serves nothing yet. With no address to listen on it
// returns nil.
func New(cfg Config) (*Links, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("links: %w", err)
	}
	if cfg.Listen == "" {
		return nil, nil
	}
	l := &Links{key: []byte(cfg.Key.Reveal()), mux: http.NewServeMux(), now: time.Now}
	var err error
	if len(l.key) == 0 {
		if l.key, err = keptKey(cfg.Dir); err != nil {
			return nil, err
		}
	}
	if l.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen for links: %w", err)
	}
	l.base = strings.TrimSuffix(cfg.URL, "/")
	if l.base == "" {
		l.base = "http://" + l.Addr()
	}
	return l, nil
}

// keptKey is the key of dir, which is made where there is none.
func keptKey(dir string) ([]byte, error) {
	file := filepath.Join(dir, "links.key")
	text, err := os.ReadFile(file)
	if err == nil {
		if key, err := hex.DecodeString(strings.TrimSpace(string(text))); err == nil && len(key) >= minKey {
			return key, nil
		}
		return nil, fmt.Errorf("links: %s holds no key, remove it to have one made", file)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("links: %w", err)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("links: %w", err)
	}
	if err := durable.Replace(file, []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("links: %w", err)
	}
	return key, nil
}

// Addr is where links lead, host:port; empty for nil.
func (l *Links) Addr() string {
	if l == nil {
		return ""
	}
	return l.listener.Addr().String()
}

// Names of parameters that every address has.
const (
	paramExpires   = "x" // seconds since 1970
	paramSignature = "s"
)

// URL is the address of a path with parameters, good until a moment; empty for
// nil. The same arguments give the same address.
func (l *Links) URL(path string, params url.Values, until time.Time) string {
	if l == nil {
		return ""
	}
	q := url.Values{}
	for k, v := range params {
		q[k] = v
	}
	q.Set(paramExpires, strconv.FormatInt(until.Unix(), 10))
	q.Del(paramSignature)
	q.Set(paramSignature, l.sign(path, q))
	return l.base + path + "?" + q.Encode()
}

// sign is over the path and all parameters but the signature, in their one order.
func (l *Links) sign(path string, q url.Values) string {
	mac := hmac.New(sha256.New, l.key)
	fmt.Fprintf(mac, "%s?%s", path, q.Encode())
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// Handle serves a path, for requests whose address is right. It must be called
// before Run; for nil it does nothing. The path that h sees is this one.
func (l *Links) Handle(path string, h func(w http.ResponseWriter, r *http.Request, params url.Values)) {
	if l == nil {
		return
	}
	l.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		q, err := url.ParseQuery(r.URL.RawQuery)
		given := q.Get(paramSignature)
		q.Del(paramSignature)
		if err != nil || !hmac.Equal([]byte(given), []byte(l.sign(path, q))) {
			http.Error(w, "this link is not one of ours", http.StatusForbidden)
			return
		}
		if x, err := strconv.ParseInt(q.Get(paramExpires), 10, 64); err != nil || l.now().Unix() > x {
			http.Error(w, "this link has expired", http.StatusGone)
			return
		}
		q.Del(paramExpires)
		h(w, r, q)
	})
}

// Run serves until ctx ends, and returns nil then. For nil it waits for ctx.
func (l *Links) Run(ctx context.Context) error {
	if l == nil {
		<-ctx.Done()
		return nil
	}
	s := &http.Server{Handler: l.mux, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l.listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve links: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if s.Shutdown(end) != nil {
		s.Close()
	}
	<-done //nolint:errcheck // Serve ended because of Shutdown
	return nil
}

// Close gives back what New took, of links that never ran.
func (l *Links) Close() error {
	if l == nil {
		return nil
	}
	return l.listener.Close()
}
