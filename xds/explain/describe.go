package explain

import (
	"slices"
	"strings"

	"github.com/kongdao/kongdao/xds/model"
)

// Layout is what gateways have besides what a World says: where they take calls, and
// how routes are spread. Its zero value is one of which nothing is known.
type Layout struct {
	Plain, TLS string                   // addresses of the entrances, IP:port; empty: there is none, or it is not known
	Shard      func(host string) string // the route configuration of an exact host; nil: not known
}

// Route configurations of what is not found by an exact host.
const (
	shardAnyHost    = "any-host"
	shardWebsockets = "websockets"
)

// Verdict is what a filter makes of a request.
type Verdict struct {
	Filter  string `json:"filter"`
	Verdict string `json:"verdict"` // for people
}

// Describe is Explain, with what only people want to know of it: the entrance, the
// shard, and what each filter says.
func Describe(w *model.World, r Request, l Layout) Answer {
	a := Explain(w, r)
	a.Listener, a.Shard = l.entrance(w, r), l.shard(w, &a)
	a.Verdicts = a.verdicts()
	return a
}

// entrance is where the request comes in.
func (l Layout) entrance(w *model.World, r Request) string {
	switch {
	case r.Scheme == "https" && l.TLS != "":
		return l.TLS + ", with TLS"
	case w.Listen() != "":
		return w.Listen()
	default:
		return l.Plain
	}
}

// shard is the route configuration that is looked through last.
func (l Layout) shard(w *model.World, a *Answer) string {
	host, _, _ := strings.Cut(a.request.Host, ":")
	exact := w.Host(host)
	switch {
	case a.Route == "" && len(a.Filters) == 0 && !a.request.forWebsocket() || slices.Equal(a.Filters, []string{filterRouter}):
		return "" // answered before
	case a.request.forWebsocket():
		return shardWebsockets
	case slices.Contains(a.Filters, filterAnyHostScope) || exact == nil || exact.Wildcard():
		return shardAnyHost
	case l.Shard == nil:
		return ""
	}
	return l.Shard(exact.Name)
}
