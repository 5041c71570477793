package policy

import (
	"bytes"
	"net/url"
)

// parameters hides those parameters of a path's query that have a rule.
func (d *Redactor) parameters(path []byte) []byte {
	at := bytes.IndexByte(path, '?')
	if at < 0 {
		return path
	}
	found := false
	eachParam(path[at+1:], func(p []byte) { found = found || d.ruleOf(p) != keep })
	if !found {
		return path
	}
	return d.kept(func(out []byte) []byte {
		out = append(out, path[:at]...)
		separator := byte('?')
		eachParam(path[at+1:], func(p []byte) {
			name, _, _ := bytes.Cut(p, []byte{'='})
			switch d.ruleOf(p) {
			case drop:
				return
			case mask:
				out = append(append(append(append(out, separator), name...), '='), masked...)
			default:
				out = append(append(out, separator), p...)
			}
			separator = '&'
		})
		return out
	})
}

// eachParam gives the parameters of a query, as they were written.
func eachParam(query []byte, f func([]byte)) {
	for len(query) > 0 {
		i := bytes.IndexAny(query, "&;")
		if i < 0 {
			f(query)
			return
		}
		f(query[:i])
		query = query[i+1:]
	}
}

func (d *Redactor) ruleOf(p []byte) (do action) {
	name, _, _ := bytes.Cut(p, []byte{'='})
	if bytes.ContainsAny(name, "%+") { // another way to write the same name
		if plain, err := url.QueryUnescape(string(name)); err == nil {
			name = []byte(plain)
		}
	}
	for _, q := range d.query {
		if q.name == string(name) {
			do = q.do
		}
	}
	return do
}
