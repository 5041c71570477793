package model

import (
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Service is a server that gateways themselves call: an issuer of tokens, or an
// authorizer. It is comparable.
type Service struct {
	Scheme string // http, https, grpc or grpcs
	Host   string
	Port   int
	Path   string // without a slash at its end; not part of what the cluster is
}

// serviceOf reads a URL that was checked; a malformed one gives a service that
// nobody is.
func serviceOf(text string) Service {
	u, err := url.Parse(text)
	if err != nil {
		return Service{}
	}
	s := Service{Scheme: u.Scheme, Host: u.Hostname(), Port: 80, Path: strings.TrimRight(u.EscapedPath(), "/")}
	if s.TLS() {
		s.Port = 443
	}
	if n, err := strconv.Atoi(u.Port()); err == nil {
		s.Port = n
	}
	return s
}

// TLS tells whether the service is called over TLS.
func (s Service) TLS() bool { return s.Scheme == "https" || s.Scheme == "grpcs" }

// HTTP2 tells whether the service speaks gRPC.
func (s Service) HTTP2() bool { return strings.HasPrefix(s.Scheme, "grpc") }

// Authority is host:port.
func (s Service) Authority() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Cluster is the name of the service's cluster. It has no slash in it, as those of
// functions have.
func (s Service) Cluster() string { return "service." + s.Scheme + "." + s.Authority() }

// Service is where the keys of an issuer are.
func (i *Issuer) Service() Service { return serviceOf(i.URL) }

// Service is where an authorizer is.
func (e *External) Service() Service { return serviceOf(e.URL) }

// addServices notes what functions need besides pods: services, and sets of
// tokens.
func (w *World) addServices() {
	w.Tokens, w.Services = map[string][]*Issuer{}, map[string]Service{}
	for _, f := range w.Functions {
		if f.Invalid != "" {
			continue
		}
		w.needs(f.Access)
	}
}

func (w *World) needs(a Access) {
	if len(a.Tokens) > 0 {
		w.Tokens[a.TokenSet()] = a.issuers()
	}
	for _, t := range a.Tokens {
		if t.Issuer.URL != "" {
			w.addService(t.Issuer.Service())
		}
	}
	if a.External != nil {
		w.addService(a.External.Service())
	}
}

func (w *World) addService(s Service) {
	s.Path = ""
	w.Services[s.Cluster()] = s
}

// TokenSet names the issuers that a function takes tokens of.
func (a Access) TokenSet() string {
	var names []string
	for _, i := range a.issuers() {
		names = append(names, i.Name)
	}
	return strings.Join(names, "+")
}

// issuers are those of the tokens, each once.
func (a Access) issuers() []*Issuer {
	var all []*Issuer
	seen := map[string]bool{}
	for _, t := range a.Tokens {
		if !seen[t.Issuer.Name] {
			seen[t.Issuer.Name] = true
			all = append(all, t.Issuer)
		}
	}
	return all
}
