package xds

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/certs"
	"github.com/kongdao/kongdao/xds/model"
)

// certificateInterval is how often what Certificates refer to is read. Reading
// asks nothing of file systems, unlike watching.
const certificateInterval = time.Second

// CertificateState is one Certificate.
type CertificateState struct {
	Name     string     `json:"name"`
	Source   api.Source `json:"source"`
	Names    []string   `json:"names"` // that it is good for
	Default  bool       `json:"default"`
	NotAfter time.Time  `json:"not_after"`         // zero: none is in force
	SHA256   string     `json:"sha256,omitempty"`  // fingerprint of what is in force
	Problem  string     `json:"problem,omitempty"` // of what was read last; what was in force before it still is
}

// certificates are what Certificates refer to, as it was read last. A pair that is
// not whole, or that does not fit, never takes the place of one that was in force.
type certificates struct {
	config   TLS
	log      *slog.Logger
	resolve  ResolveSecret
	fallback certs.Pair

	mu       sync.Mutex
	wanted   []*api.Certificate
	inForce  map[string]held
	problems map[string]string // by name; "" for the bundle of clientCA
	clientCA string
	last     *model.TLS
	places   map[string]int // slots by name
}

// held is a pair and the resource that it was read for.
type held struct {
	certs.Pair
	cert, key string // as they were read, to know what is new
	hosts     []string
}

// newCertificates reads nothing yet. Without an entrance with TLS it does nothing
// ever.
func newCertificates(c TLS, log *slog.Logger, resolve ResolveSecret) (*certificates, error) {
	k := &certificates{config: c, log: log, resolve: resolve, inForce: map[string]held{}, problems: map[string]string{}}
	if c.Gateway == "" {
		return k, nil
	}
	var err error
	if k.fallback, err = certs.Fallback(time.Now()); err != nil {
		return nil, err
	}
	if c.ClientCA == "" {
		return k, nil
	}
	if k.clientCA, err = readBundle(c.ClientCA); err != nil {
		return nil, fmt.Errorf("tls.clientCA: %w", err)
	}
	return k, nil
}

func readBundle(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if err := certs.CheckBundle(string(text)); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return string(text), nil
}

// want replaces the Certificates and reads what they refer to.
func (k *certificates) want(all []*api.Certificate) {
	k.mu.Lock()
	k.wanted = all
	k.mu.Unlock()
	k.read(time.Now())
}

// read reads everything anew. It returns the same value as before when nothing is
// different, and nil without an entrance with TLS.
func (k *certificates) read(now time.Time) *model.TLS {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.config.Gateway == "" {
		return nil
	}
	inForce := map[string]held{}
	room := k.config.Slots
	for _, c := range k.wanted {
		old, had := k.inForce[c.Name]
		fresh, err := k.load(c, old, now)
		if !c.Spec.Default {
			room--
		}
		if room < 0 && !c.Spec.Default {
			err, had = fmt.Errorf("is one more than there are places for: raise gateway.tls.certificates, which is %d", k.config.Slots), false
		}
		switch {
		case err == nil:
			inForce[c.Name] = fresh
		case had:
			inForce[c.Name] = old
		}
		k.report(c.Name, err)
	}
	k.forget(inForce)
	k.inForce = inForce
	if k.config.ClientCA != "" {
		bundle, err := readBundle(k.config.ClientCA)
		if err == nil {
			k.clientCA = bundle
		}
		k.report("", err)
	}
	if next := k.slots(); k.last == nil || !equalTLS(k.last, next) {
		k.last = next
	}
	return k.last
}

// load reads one Certificate. What has not changed is not parsed again. A pair
// that is past its end is taken only where there is no better one.
func (k *certificates) load(c *api.Certificate, old held, now time.Time) (held, error) {
	if k.resolve == nil {
		return held{}, errors.New("no way to resolve secrets is configured")
	}
	chain, errChain := k.resolve(c.Spec.Cert)
	key, errKey := k.resolve(c.Spec.Key)
	if err := errors.Join(errChain, errKey); err != nil {
		return held{}, err
	}
	if old.cert == chain && old.key == key && slices.Equal(old.hosts, c.Spec.Hosts) {
		return old, nil
	}
	p, err := certs.Parse(chain, key, c.Spec.Hosts)
	if err != nil {
		return held{}, err
	}
	if err := certs.CheckTime(p, now); err != nil && old.cert != "" && !old.Expired(now) {
		return held{}, err
	}
	k.log.Info("certificate in force", "certificate", c.Name, "names", p.Names, "until", p.NotAfter, "sha256", p.Fingerprint)
	return held{Pair: p, cert: chain, key: key, hosts: c.Spec.Hosts}, nil
}

// report logs what is wrong when that begins, changes and ends. Files that are
// replaced one after the other do not fit for a moment; it is told all the same.
func (k *certificates) report(name string, err error) {
	text := ""
	if err != nil {
		text = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	if k.problems[name] == text {
		return
	}
	what := cmp.Or(name, "tls.clientCA")
	if text == "" {
		delete(k.problems, name)
		k.log.Info("certificate has no problem any more", "certificate", what)
		return
	}
	k.problems[name] = text
	k.log.Warn("certificate not taken, what was in force stays", "certificate", what, "problem", text)
}

func (k *certificates) forget(inForce map[string]held) {
	for name := range k.problems {
		if name != "" && inForce[name].cert == "" && !slices.ContainsFunc(k.wanted, func(c *api.Certificate) bool { return c.Name == name }) {
			delete(k.problems, name)
		}
	}
}

// slots are the places that gateways hold, see [model.TLS]: the default first, the
// others where they were before, the rest filled with what nobody trusts.
func (k *certificates) slots() *model.TLS {
	filler := model.Certificate{Chain: k.fallback.Chain, Key: k.fallback.Key, NotAfter: k.fallback.NotAfter}
	t := &model.TLS{ClientCA: k.clientCA, Redirect: k.config.Plain == PlainRedirect, Slots: make([]model.Certificate, k.config.slots())}
	for i := range t.Slots {
		t.Slots[i] = filler
	}
	k.arrange()
	for _, c := range k.wanted {
		if h, ok := k.inForce[c.Name]; ok {
			t.Slots[k.places[c.Name]] = model.Certificate{Name: c.Name, Chain: h.Chain, Key: h.Key, NotAfter: h.NotAfter}
		}
	}
	return t
}

// arrange gives each pair in force a place, and those that have one keep it: what
// moves is sent again. There is room for all, see read.
func (k *certificates) arrange() {
	places, taken := map[string]int{}, map[int]bool{0: true}
	for _, c := range k.wanted {
		at, had := k.places[c.Name]
		if _, ok := k.inForce[c.Name]; !ok {
			continue
		}
		switch {
		case c.Spec.Default:
			places[c.Name] = 0
		case had && at > 0:
			places[c.Name], taken[at] = at, true
		}
	}
	next := 1
	for _, c := range k.wanted {
		_, ok := k.inForce[c.Name]
		if _, has := places[c.Name]; has || !ok {
			continue
		}
		for taken[next] {
			next++
		}
		places[c.Name], taken[next] = next, true
	}
	k.places = places
}

func equalTLS(a, b *model.TLS) bool {
	return a.ClientCA == b.ClientCA && a.Redirect == b.Redirect && slices.Equal(a.Slots, b.Slots)
}

// current is what read returned last.
func (k *certificates) current() *model.TLS {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last
}

// state lists every Certificate, sorted by name.
func (k *certificates) state() []CertificateState {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := []CertificateState{}
	if k.config.Gateway == "" {
		return all
	}
	for _, c := range k.wanted {
		h := k.inForce[c.Name]
		all = append(all, CertificateState{
			Name: c.Name, Source: c.Source, Names: append([]string{}, h.Names...), Default: c.Spec.Default,
			NotAfter: h.NotAfter, SHA256: h.Fingerprint, Problem: k.problems[c.Name],
		})
	}
	return all
}

// followCertificates reads what Certificates refer to until ctx ends.
func (s *Server) followCertificates(ctx context.Context) {
	if s.config.TLS.Gateway == "" {
		return
	}
	tick := time.NewTicker(certificateInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.readCertificates(now)
		}
	}
}

func (s *Server) readCertificates(now time.Time) {
	next := s.certificates.read(now)
	s.mu.Lock()
	same := s.in.TLS == next || s.applied.IsZero()
	s.mu.Unlock()
	if !same {
		s.change(func(in *model.Input) { in.TLS = s.certificates.current() })
	}
}
