package explain

import "github.com/kongdao/kongdao/xds/model"

// Unserved is the gateway's own answer to requests for a revision without a pod that
// may be asked; 0 where there is one.
func Unserved(r *model.Revision) (status int, reason string) { return emptiness(r) }

// Normalize is what gateways make of a path, which may have a query, before they look
// for a route: the path without query, escapes unified, dot segments resolved. It is
// false for a path that they refuse.
func Normalize(path string) (string, bool) {
	if malformed(Request{Method: "GET", Path: path}) != "" {
		return "", false
	}
	return normalize(path)
}
