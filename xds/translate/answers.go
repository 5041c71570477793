package translate

import (
	"net/http"
	"strconv"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/kongdao/kongdao/xds/model"
)

// answerInstead makes the gateway answer where a pod would have been asked. Such
// an answer takes nothing of the function's rate: no pod sees the call.
func answerInstead(out *route.Route, r *model.Rule) {
	out.RequestHeadersToAdd, out.RequestHeadersToRemove = nil, nil
	uncharged(out.Metadata, r.Function)
	if r.Redirect != nil {
		out.Action = &route.Route_Redirect{Redirect: redirect(r.Redirect)}
		return
	}
	d := &route.DirectResponseAction{Status: uint32(r.Respond.Status)}
	if r.Respond.Body != "" {
		d.Body = &core.DataSource{Specifier: &core.DataSource_InlineString{InlineString: r.Respond.Body}}
	}
	out.Action = &route.Route_DirectResponse{DirectResponse: d}
	out.ResponseHeadersToAdd = literalHeaders(sortedHeaders(r.Respond.Headers), overwriting)
}

// uncharged takes the charge of the function's bucket out of a route's metadata.
func uncharged(m *core.Metadata, f *model.Function) {
	fields := m.GetFilterMetadata()[Namespace].GetFields()
	for _, tier := range model.Tiers() {
		delete(fields, tier.Key)
		delete(fields, reserveOf+tier.Key)
	}
	delete(fields, keyReserve)
	fields[model.Tiers()[0].Key] = structpb.NewStringValue("answer/" + f.Name)
	fields[keyCost] = structpb.NewStringValue(strconv.Itoa(1))
}

func redirect(rd *model.Redirect) *route.RedirectAction {
	a := &route.RedirectAction{
		HostRedirect: rd.Host,
		PortRedirect: uint32(rd.Port),
		StripQuery:   rd.DropQuery,
		ResponseCode: redirectCodes[rd.Status],
	}
	if rd.HTTPS {
		a.SchemeRewriteSpecifier = &route.RedirectAction_HttpsRedirect{HttpsRedirect: true}
	}
	if rd.To == nil {
		return a
	}
	text, plain := plainRewrite(*rd.To)
	switch {
	case plain && rd.To.From.Kind == model.Exact:
		a.PathRewriteSpecifier = &route.RedirectAction_PathRedirect{PathRedirect: text}
	case plain:
		a.PathRewriteSpecifier = &route.RedirectAction_PrefixRewrite{PrefixRewrite: text}
	default:
		a.PathRewriteSpecifier = &route.RedirectAction_RegexRewrite{RegexRewrite: regexRewrite(*rd.To)}
	}
	return a
}

var redirectCodes = map[int]route.RedirectAction_RedirectResponseCode{
	http.StatusMovedPermanently:  route.RedirectAction_MOVED_PERMANENTLY,
	http.StatusFound:             route.RedirectAction_FOUND,
	http.StatusSeeOther:          route.RedirectAction_SEE_OTHER,
	http.StatusTemporaryRedirect: route.RedirectAction_TEMPORARY_REDIRECT,
	http.StatusPermanentRedirect: route.RedirectAction_PERMANENT_REDIRECT,
}
