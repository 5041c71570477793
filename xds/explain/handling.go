package explain

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/kongdao/kongdao/xds/model"
)

const filterCORS = "envoy.filters.http.cors"

// Handling is what happens to a request and its answer on their way, where it is
// not the ordinary.
type Handling struct {
	Path     string `json:"path,omitempty"`     // that pods see, with the query
	Method   string `json:"method,omitempty"`   // that pods see, where it is another one
	Host     string `json:"host,omitempty"`     // that pods see
	Location string `json:"location,omitempty"` // where a redirect leads
	CORS     string `json:"cors,omitempty"`     // for people

	Transcoded string `json:"transcoded,omitempty"` // which gRPC method a JSON call becomes, for people

	Timeout         string   `json:"timeout,omitempty"` // of the whole call, and of tries
	Retries         string   `json:"retries,omitempty"`
	Mirrors         []string `json:"mirrors,omitempty"`          // clusters with their part
	RequestHeaders  []string `json:"request_headers,omitempty"`  // changes in their order
	ResponseHeaders []string `json:"response_headers,omitempty"` // likewise
}

// handle fills in what the rule does with a request that may go to pods.
func (a *Answer) handle(rule *model.Rule, path string) {
	f := rule.Function
	h := &Handling{
		RequestHeaders:  changes(rule.RequestHeaders),
		ResponseHeaders: changes(rule.ResponseHeaders),
		Timeout:         timeouts(rule),
	}
	a.Handling = h
	if rule.Answers() {
		a.answerInstead(rule, path)
		return
	}
	if rule.Rewrite != nil {
		h.Path = rule.Rewrite.Apply(path) + queryOf(a.request.Path)
	}
	h.Host = rule.RewriteHost
	if a.Pinned {
		return
	}
	h.Retries = retries(f)
	if a.Shadow {
		return
	}
	for _, m := range f.Mirrors {
		h.Mirrors = append(h.Mirrors, fmt.Sprintf("%s of calls to %s", percent(m.Percent/100), m.Cluster()))
	}
}

// answerInstead is the answer of a rule that asks no pod.
func (a *Answer) answerInstead(rule *model.Rule, path string) {
	a.Revision, a.Revisions, a.Pinned = "", nil, false
	a.Limits, a.Zones, a.Endpoints = []Limit{}, map[string]Zone{}, []Endpoint{}
	h := a.Handling
	h.RequestHeaders, h.Timeout = nil, ""
	if rule.Respond != nil {
		a.Status, a.Reason = rule.Respond.Status, "the route answers itself"
		return
	}
	h.Location = location(rule.Redirect, a.request, path)
	a.Status, a.Reason = rule.Redirect.Status, "redirected to "+h.Location
}

// location is where a redirect leads.
func location(rd *model.Redirect, r Request, path string) string {
	scheme, host := "http", r.Host
	if r.Scheme == "https" {
		scheme = "https"
	}
	if rd.HTTPS {
		scheme = "https"
		host = strings.TrimSuffix(host, ":80")
	}
	switch {
	case rd.Host != "":
		host = rd.Host
	case rd.Port != 0:
		host = withoutPort(host)
	}
	if rd.Port != 0 {
		host += ":" + strconv.Itoa(rd.Port)
	}
	if rd.To != nil {
		path = rd.To.Apply(path)
	}
	if !rd.DropQuery {
		path += queryOf(r.Path)
	}
	return scheme + "://" + host + path
}

func withoutPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		return host[:i]
	}
	return host
}

// queryOf is the query of a path with its question mark.
func queryOf(path string) string {
	if i := strings.IndexByte(path, '?'); i >= 0 {
		return path[i:]
	}
	return ""
}

// preflight is the answer to a browser's question.
func (a *Answer) preflight(rule *model.Rule) {
	a.Handling = &Handling{CORS: a.origin(rule)}
	a.Status, a.Reason = http.StatusForbidden, "a preflight of an origin that may not call"
	if rule.CORS.Allows(a.request.Headers.Get("origin")) {
		a.Status, a.Reason = http.StatusOK, "a preflight: the call that is asked for may come, with its key where one is needed"
	}
}

// origin says what becomes of a page's request, or "".
func (a *Answer) origin(rule *model.Rule) string {
	origin := a.request.Headers.Get("origin")
	switch {
	case rule.CORS == nil || origin == "":
		return ""
	case rule.CORS.Allows(origin):
		return "pages of " + origin + " may read the answer"
	default:
		return "pages of " + origin + " may not read the answer"
	}
}

func changes(c model.Changes) (all []string) {
	for _, name := range c.Remove {
		all = append(all, "remove "+name)
	}
	for _, h := range c.Set {
		all = append(all, "set "+h.Name+": "+h.Value)
	}
	for _, h := range c.Add {
		all = append(all, "add "+h.Name+": "+h.Value)
	}
	return all
}

func timeouts(rule *model.Rule) string {
	text := rule.Timeout.String()
	if rule.TryTimeout > 0 {
		text += ", each try " + rule.TryTimeout.String()
	}
	if rule.Idle > 0 {
		text += ", idle " + rule.Idle.String()
	}
	return text
}

func retries(f *model.Function) string {
	r := f.Retries
	if r.Off {
		return "none"
	}
	attempts, on := r.Attempts, r.On
	if attempts == 0 {
		attempts = 4
	}
	if len(on) == 0 {
		on = []string{"connect-failure", "refused", "reset-before-request"}
		if f.Idempotent {
			on = slices.Concat(on[:2], []string{"reset"})
		}
	}
	return fmt.Sprintf("%d at most, on %s", attempts, strings.Join(on, ", "))
}
