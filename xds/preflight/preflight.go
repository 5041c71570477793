// Package preflight refuses what Envoy would refuse, before any gateway sees it:
// one bad resource makes Envoy refuse everything that was sent with it, and the
// message often does not say which it was.
//
// It checks the rules that are written in the protocol's definition
// (ValidateAll), and those that only Envoy's code knows and that functions can
// break. What it lets through can still be refused; gateways name that.
package preflight

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
)

// Problem is why a resource must not go out.
type Problem struct {
	Function string // whose it is; empty when it is nobody's
	Route    string // its route, when that alone is wrong
	Resource string
	Err      error

	Unmatchable bool // it is the route's own conditions that are wrong
}

func (p Problem) Error() string { return fmt.Sprintf("%s: %v", p.Resource, p.Err) }

func (p Problem) Unwrap() error { return p.Err }

// Check returns what is wrong with a resource. A route configuration can hold
// the routes of many functions and have a problem for each; any other resource
// that belongs to a function is named "function/…".
func Check(name string, m proto.Message) []Problem {
	if c, ok := m.(*route.RouteConfiguration); ok {
		return CheckRoutes(c, func(string) bool { return true })
	}
	var errs []error
	if v, ok := m.(interface{ ValidateAll() error }); ok {
		errs = append(errs, v.ValidateAll())
	}
	switch m := m.(type) {
	case *endpoint.ClusterLoadAssignment:
		errs = append(errs, checkEndpoints(m))
	case *cluster.Cluster:
		errs = append(errs, checkCluster(m))
	}
	if err := errors.Join(errs...); err != nil {
		return []Problem{{Function: owner(name), Resource: name, Err: err}}
	}
	return nil
}

// owner is the function of a resource named "function/…".
func owner(name string) string {
	function, _, found := strings.Cut(name, "/")
	if !found {
		return ""
	}
	return function
}

// CheckRoutes checks each route that is fresh, by its name, for itself, to know
// whose it is, and the frame around all of them.
func CheckRoutes(c *route.RouteConfiguration, fresh func(route string) bool) (problems []Problem) {
	frame := &route.RouteConfiguration{Name: c.GetName(), RequestHeadersToRemove: c.GetRequestHeadersToRemove()}
	seen := map[string]bool{}
	for _, v := range c.GetVirtualHosts() {
		for _, domain := range v.GetDomains() {
			if seen[domain] {
				problems = append(problems, Problem{Resource: c.GetName(), Err: fmt.Errorf("host %q twice", domain)})
			}
			seen[domain] = true
		}
		frame.VirtualHosts = append(frame.VirtualHosts, &route.VirtualHost{Name: v.GetName(), Domains: v.GetDomains()})
		for _, r := range v.GetRoutes() {
			if !fresh(r.GetName()) {
				continue
			}
			if conditions, err := checkRoute(r); err != nil {
				problems = append(problems, Problem{
					Function: owner(r.GetName()), Route: r.GetName(), Resource: c.GetName(), Err: err, Unmatchable: conditions != nil,
				})
			}
		}
	}
	if err := frame.ValidateAll(); err != nil {
		problems = append(problems, Problem{Resource: c.GetName(), Err: err})
	}
	return problems
}

// checkRoute tells what is wrong with a route's conditions, and with all of it.
func checkRoute(r *route.Route) (conditions, all error) {
	m := r.GetMatch()
	var errs []error
	if m != nil {
		errs = append(errs, m.ValidateAll())
	}
	if m := m.GetSafeRegex(); m != nil {
		errs = append(errs, compiles(m.GetRegex()))
	}
	for _, h := range m.GetHeaders() {
		if m := h.GetStringMatch().GetSafeRegex(); m != nil {
			errs = append(errs, compiles(m.GetRegex()))
		}
	}
	for _, q := range m.GetQueryParameters() {
		if m := q.GetStringMatch().GetSafeRegex(); m != nil {
			errs = append(errs, compiles(m.GetRegex()))
		}
	}
	conditions = errors.Join(errs...)
	rest := []error{r.ValidateAll(), conditions}
	for _, rewrite := range []*matcher.RegexMatchAndSubstitute{r.GetRoute().GetRegexRewrite(), r.GetRedirect().GetRegexRewrite()} {
		if rewrite != nil {
			rest = append(rest, compiles(rewrite.GetPattern().GetRegex()))
		}
	}
	return conditions, errors.Join(rest...)
}

// compiles uses Go's engine, whose syntax is that of Envoy's (RE2).
func compiles(expression string) error {
	_, err := regexp.Compile(expression)
	return err
}
