package translate

import (
	"encoding/json"
	"net/http"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/kongdao/kongdao/xds/model"
)

// ConsumerHeader tells a pod who called. Only the gateway sets it.
const ConsumerHeader = "x-kongdao-consumer"

// admitted is a condition under which a function is open to somebody.
type admitted struct {
	consumer string // empty: everybody
	header   *route.HeaderMatcher
}

// doors lists who may call a function. Keys are compared by route matching, so a
// request with one takes a route that knows its consumer, and one without falls
// through to the refusal that follows.
func doors(a model.Access) []admitted {
	if a.Public {
		return []admitted{{}}
	}
	var all []admitted
	for _, k := range a.Keys {
		all = append(all, admitted{k.Consumer, exactHeader(model.KeyHeader, k.Value)})
	}
	return all
}

// refusal is what somebody gets who is not admitted: 401 where a key would help,
// else 403. Nil for a public function.
func refusal(a model.Access) *route.DirectResponseAction {
	switch {
	case a.Public:
		return nil
	case a.Asked:
		return direct(http.StatusUnauthorized, "key_required", "a valid "+model.KeyHeader+" is needed")
	default:
		return direct(http.StatusForbidden, "closed", "the function is closed: it has no access")
	}
}

// reasonLimit keeps answers below Envoy's 4 KiB for direct responses.
const reasonLimit = 1024

// direct is an answer of the gateway itself.
func direct(status int, code, reason string) *route.DirectResponseAction {
	if len(reason) > reasonLimit {
		reason = reason[:reasonLimit]
	}
	// Two strings always marshal; invalid UTF-8 is replaced.
	body, _ := json.Marshal(struct {
		Error  string `json:"error"`
		Reason string `json:"reason"`
	}{code, reason})
	return &route.DirectResponseAction{
		Status: uint32(status),
		Body:   &core.DataSource{Specifier: &core.DataSource_InlineString{InlineString: string(body) + "\n"}},
	}
}

func exactHeader(name, value string) *route.HeaderMatcher {
	return &route.HeaderMatcher{Name: name, HeaderMatchSpecifier: &route.HeaderMatcher_StringMatch{
		StringMatch: &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Exact{Exact: value}},
	}}
}
