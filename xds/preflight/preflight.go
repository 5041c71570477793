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

	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
)

// Problem is why a resource must not go out.
type Problem struct {
	Function string // whose it is; empty when it is nobody's
	Resource string
	Err      error
}

func (p Problem) Error() string { return fmt.Sprintf("%s: %v", p.Resource, p.Err) }

func (p Problem) Unwrap() error { return p.Err }

// Check returns what is wrong with a resource. A route configuration can hold
// the routes of many functions and have a problem for each; any other resource
// that belongs to a function is named "function/…".
func Check(name string, m proto.Message) []Problem {
	if c, ok := m.(*route.RouteConfiguration); ok {
		return checkRoutes(c)
	}
	var errs []error
	if v, ok := m.(interface{ ValidateAll() error }); ok {
		errs = append(errs, v.ValidateAll())
	}
	if a, ok := m.(*endpoint.ClusterLoadAssignment); ok {
		errs = append(errs, checkEndpoints(a))
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

// checkRoutes checks each route for itself, to know whose it is, and the frame
// around them.
func checkRoutes(c *route.RouteConfiguration) (problems []Problem) {
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
			if err := checkRoute(r); err != nil {
				problems = append(problems, Problem{Function: owner(r.GetName()), Resource: c.GetName(), Err: err})
			}
		}
	}
	if err := frame.ValidateAll(); err != nil {
		problems = append(problems, Problem{Resource: c.GetName(), Err: err})
	}
	return problems
}

func checkRoute(r *route.Route) error {
	errs := []error{r.ValidateAll()}
	if m := r.GetMatch().GetSafeRegex(); m != nil {
		errs = append(errs, compiles(m.GetRegex()))
	}
	for _, h := range r.GetMatch().GetHeaders() {
		if m := h.GetStringMatch().GetSafeRegex(); m != nil {
			errs = append(errs, compiles(m.GetRegex()))
		}
	}
	for _, q := range r.GetMatch().GetQueryParameters() {
		if m := q.GetStringMatch().GetSafeRegex(); m != nil {
			errs = append(errs, compiles(m.GetRegex()))
		}
	}
	for _, rewrite := range []*matcher.RegexMatchAndSubstitute{r.GetRoute().GetRegexRewrite(), r.GetRedirect().GetRegexRewrite()} {
		if rewrite != nil {
			errs = append(errs, compiles(rewrite.GetPattern().GetRegex()))
		}
	}
	return errors.Join(errs...)
}

// compiles uses Go's engine, whose syntax is that of Envoy's (RE2).
func compiles(expression string) error {
	_, err := regexp.Compile(expression)
	return err
}

// checkEndpoints finds addresses that Envoy takes as an insult to the whole
// response: two equal ones are allowed, none is not.
func checkEndpoints(a *endpoint.ClusterLoadAssignment) error {
	for _, l := range a.GetEndpoints() {
		for _, e := range l.GetLbEndpoints() {
			at := e.GetEndpoint().GetAddress().GetSocketAddress()
			if at.GetAddress() == "" || at.GetAddress() == "invalid IP" || at.GetPortValue() == 0 {
				return fmt.Errorf("endpoint %s:%d is not an IP address with a port", at.GetAddress(), at.GetPortValue())
			}
		}
	}
	return nil
}
