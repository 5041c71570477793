package translate

import (
	"fmt"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	buffer "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/buffer/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/xds/model"
)

// A request goes through the filters that the route of its first look says, and
// every one costs about a microsecond, also where it has nothing to do. On the
// listener all filters are on. The configurations of exact hosts, which are what a
// first look finds, switch off whatever a route need not have, and the routes that
// need it switch it on again. So what no route was found for (a wildcard host, no
// host at all), and a filter that this file does not know, has every filter: what
// is forgotten here costs time and opens nothing.
//
// The chain is not made anew when a request is looked up again, see anotherLook.

// optionalFilters are the filters of the listener that a route has only where it
// asks for them. The others are always there: what refuses revisions, the
// functions' limits, and the router.
func optionalFilters() []string {
	names := []string{
		anyHostScope, anyHostReroute, filterCORS,
		addressesFilter, tokensFilter, accessFilter, signaturesFilter, externalFilter, externalOpenFilter,
		callerFilter,
	}
	for slot := range model.CallerSlots {
		names = append(names, callerSlotFilter(slot))
	}
	names = append(names, filterBuffer)
	names = append(names, compressionFilters...)
	return append(names, filterTranscoder)
}

func callerSlotFilter(slot int) string { return fmt.Sprintf("%s.%d", callerFilter, slot) }

// shortChain is what a configuration of exact hosts switches off.
func (t *translator) shortChain() map[string]*anypb.Any {
	off := t.pack(&route.FilterConfig{Disabled: true})
	all := map[string]*anypb.Any{}
	for _, name := range optionalFilters() {
		all[name] = off
	}
	return all
}

// switchOn adds to a route what it needs of filters that have no configuration of
// a route, or none that it could say something in.
func (t *translator) switchOn(out *route.Route, names ...string) {
	for _, name := range names {
		if out.TypedPerFilterConfig == nil {
			out.TypedPerFilterConfig = map[string]*anypb.Any{}
		}
		if out.TypedPerFilterConfig[name] == nil {
			out.TypedPerFilterConfig[name] = t.switchedOn(name)
		}
	}
}

// switchedOn is a filter that is there and does what the listener says; the one for
// bodies is there and does nothing.
func (t *translator) switchedOn(name string) *anypb.Any {
	if name == filterBuffer {
		return t.pack(&buffer.BufferPerRoute{Override: &buffer.BufferPerRoute_Disabled{Disabled: true}})
	}
	return t.pack(&route.FilterConfig{Config: &anypb.Any{}})
}

// unconfigured are the filters that routes of a function to pods need and do not
// configure: the slots of its callers, and who asks about signatures.
func unconfigured(f *model.Function, right model.Right) (names []string) {
	if f.Access.Signed && !f.Access.Open(right) {
		names = append(names, signaturesFilter)
	}
	for slot := range f.Callers {
		names = append(names, callerSlotFilter(slot))
	}
	return names
}
