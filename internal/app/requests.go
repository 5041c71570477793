package app

import (
	"fmt"
	"strings"

	"github.com/kongdao/kongdao/api"
)

// ConcretePath is a path that a route takes: path when it is given, else the
// route's own. A route with parameters needs one given.
func ConcretePath(r api.Route, path string) (string, error) {
	if path != "" {
		return path, nil
	}
	if strings.Contains(r.Path, "{") {
		return "", fmt.Errorf("the route %s has parameters: give a path with --path", r.Path)
	}
	return strings.TrimSuffix(r.Path, "*"), nil
}

// ConcreteHost is a host that a route takes; empty for any.
func ConcreteHost(r api.Route) string {
	if len(r.Hosts) == 0 || r.Hosts[0] == "*" {
		return ""
	}
	return strings.Replace(r.Hosts[0], "*", "www", 1)
}
