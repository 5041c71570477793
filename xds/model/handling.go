package model

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
)

// Handling is what happens to requests that a rule took, besides where they go.
// What the function and what the route says is one here.
type Handling struct {
	Rewrite     *Substitution // nil: pods see the path as it came
	RewriteHost string
	Redirect    *Redirect
	Respond     *api.Respond
	Websocket   bool

	Timeout    time.Duration // of a whole call; 0: none, of websockets alone
	TryTimeout time.Duration // of one try; 0: none beyond Timeout
	Idle       time.Duration // 0: the gateway's own

	CORS            *CORS
	RequestHeaders  Changes
	ResponseHeaders Changes
	MaxRequestBytes int64 // 0: not limited
	Compression     bool
	Transcode       *Transcode // nil: calls pass as they are
}

// Answers tells whether the gateway answers and no pod does.
func (h *Handling) Answers() bool { return h.Redirect != nil || h.Respond != nil }

// Redirect is api.Redirect with its path read.
type Redirect struct {
	api.Redirect
	To *Substitution // nil: the path stays
}

// Changes are header changes in the order in which they are made.
type Changes struct {
	Remove []string // lower case, as all names; sorted
	Set    []Header // sorted by name
	Add    []Header
}

// Any tells whether there is a change.
func (c Changes) Any() bool { return len(c.Remove)+len(c.Set)+len(c.Add) > 0 }

func (b *builder) handling(spec *api.Function, rt api.Route) Handling {
	s := spec.Spec
	h := Handling{
		RewriteHost: rt.RewriteHost,
		Respond:     rt.Respond,
		Websocket:   rt.Websocket,

		Timeout:    cmp.Or(rt.Timeout.Std(), s.Timeout.Std(), DefaultTimeout),
		TryTimeout: cmp.Or(rt.TryTimeout, s.TryTimeout).Std(),
		Idle:       cmp.Or(rt.IdleTimeout, s.IdleTimeout).Std(),

		CORS:            newCORS(cmp.Or(rt.CORS, s.CORS), rt.Methods),
		RequestHeaders:  merged(s.RequestHeaders, rt.RequestHeaders),
		ResponseHeaders: merged(s.ResponseHeaders, rt.ResponseHeaders),
		MaxRequestBytes: int64(cmp.Or(rt.MaxRequestBytes, s.MaxRequestBytes)),
		Compression:     rt.Compression || s.Compression,
		Transcode:       transcode(spec, rt),
	}
	h.TryTimeout = min(h.TryTimeout, h.Timeout)
	if h.Websocket {
		h.Timeout, h.CORS = rt.Timeout.Std(), nil // pages' websockets know no CORS
	}
	from := ParsePath(rt.Path)
	if rt.Rewrite != "" {
		h.Rewrite = &Substitution{from, rt.Rewrite}
	}
	if rt.Redirect != nil {
		h.Redirect = &Redirect{Redirect: *rt.Redirect}
		h.Redirect.Status = cmp.Or(rt.Redirect.Status, 302)
		if rt.Redirect.Path != "" {
			h.Redirect.To = &Substitution{from, rt.Redirect.Path}
		}
	}
	return h
}

// merged are the changes of a function and of one of its routes, whose word
// counts where both speak of a header.
func merged(function, route api.HeaderChanges) Changes {
	return Changes{
		Remove: removals(slices.Concat(function.Remove, route.Remove)),
		Set:    overlaid(function.Set, route.Set),
		Add:    overlaid(function.Add, route.Add),
	}
}

func removals(names []string) []string {
	for i, name := range names {
		names[i] = strings.ToLower(name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func overlaid(under, over map[string]string) []Header {
	all := map[string]string{}
	for _, m := range []map[string]string{under, over} {
		for name, value := range m {
			all[strings.ToLower(name)] = value
		}
	}
	var hs []Header
	for _, name := range slices.Sorted(maps.Keys(all)) {
		hs = append(hs, Header{name, all[name]})
	}
	return hs
}
