package translate

import (
	"maps"
	"slices"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/kongdao/kongdao/xds/model"
)

const (
	overwriting = core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
	appending   = core.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
)

// changeHeaders makes a rule's header changes. Requests that no pod sees keep
// theirs. What is removed goes first, in Envoy as in the model.
func changeHeaders(out *route.Route, r *model.Rule) {
	if c := r.RequestHeaders; out.GetRoute() != nil && c.Any() {
		out.RequestHeadersToRemove = append(out.RequestHeadersToRemove, c.Remove...)
		out.RequestHeadersToAdd = append(out.RequestHeadersToAdd, changedHeaders(c)...)
	}
	if c := r.ResponseHeaders; c.Any() {
		out.ResponseHeadersToRemove = append(out.ResponseHeadersToRemove, c.Remove...)
		out.ResponseHeadersToAdd = append(out.ResponseHeadersToAdd, changedHeaders(c)...)
	}
}

func changedHeaders(c model.Changes) []*core.HeaderValueOption {
	return append(literalHeaders(c.Set, overwriting), literalHeaders(c.Add, appending)...)
}

// literalHeaders sends values as they are: a percent sign begins no variable of
// Envoy's, which know too much, such as the environment of its process.
func literalHeaders(hs []model.Header, action core.HeaderValueOption_HeaderAppendAction) (all []*core.HeaderValueOption) {
	for _, h := range hs {
		all = append(all, &core.HeaderValueOption{
			Header:         &core.HeaderValue{Key: h.Name, Value: strings.ReplaceAll(h.Value, "%", "%%")},
			AppendAction:   action,
			KeepEmptyValue: true,
		})
	}
	return all
}

func sortedHeaders(m map[string]string) (hs []model.Header) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		hs = append(hs, model.Header{Name: strings.ToLower(name), Value: m[name]})
	}
	return hs
}
