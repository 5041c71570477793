package model

import (
	"net/http"
	"slices"
)

// Reaches tells whether a request with this method and path can come to the rule
// when its headers and its query are right, a preflight included. The path has no
// query.
func (r *Rule) Reaches(method, path string) bool {
	if r.Unmatchable || !r.Path.Matches(path) {
		return false
	}
	preflight := r.CORS != nil && method == http.MethodOptions
	return preflight || len(r.Methods) == 0 || slices.Contains(r.Methods, method)
}

// Holds tells whether one of a header's values, or the one of a parameter, fulfils
// the condition.
func (c Condition) Holds(values []string) bool { return c.holds(values) }

// Has tells whether the value is in the list.
func (u *Users) Has(value string) bool {
	_, found := slices.BinarySearch(u.In, value)
	return found
}
