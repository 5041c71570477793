package translate

import (
	"net/netip"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbac "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	rbacfilter "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/xds/model"
)

// addresses lets everybody in; routes of functions with lists say who else.
func (t *translator) addresses() *hcm.HttpFilter {
	return t.filter(addressesFilter, &rbacfilter.RBAC{})
}

// addressesOf says whom the lists of a function let in. It refuses nobody: access.lua
// does, which finds the result in the filter's metadata and gives the reason.
func (t *translator) addressesOf(a model.Access) *rbacfilter.RBACPerRoute {
	return &rbacfilter.RBACPerRoute{Rbac: &rbacfilter.RBAC{ShadowRules: &rbac.RBAC{
		Action: rbac.RBAC_ALLOW,
		Policies: map[string]*rbac.Policy{"addresses": {
			Permissions: []*rbac.Permission{{Rule: &rbac.Permission_Any{Any: true}}},
			Principals:  []*rbac.Principal{t.client(a)},
		}},
	}}}
}

// client holds the lists against the client's address: the one in x-forwarded-for
// where the connection comes from a trusted proxy, else that of the connection.
func (t *translator) client(a model.Access) *rbac.Principal {
	switch {
	case t.TrustedHops == 0:
		return listed(a, connection)
	case len(t.TrustedProxies) == 0:
		return listed(a, forwarded)
	}
	proxy := anyOf(t.TrustedProxies, connection)
	return or(and(proxy, listed(a, forwarded)), and(not(proxy), listed(a, connection)))
}

// listed is in allow, if there is one, and not in deny.
func listed(a model.Access, from func(*core.CidrRange) *rbac.Principal) *rbac.Principal {
	var all []*rbac.Principal
	if len(a.Allow) > 0 {
		all = append(all, anyOf(a.Allow, from))
	}
	if len(a.Deny) > 0 {
		all = append(all, not(anyOf(a.Deny, from)))
	}
	return and(all...)
}

// connection is the address that a connection comes from.
func connection(c *core.CidrRange) *rbac.Principal {
	return &rbac.Principal{Identifier: &rbac.Principal_DirectRemoteIp{DirectRemoteIp: c}}
}

// forwarded is the address that the proxies in front say.
func forwarded(c *core.CidrRange) *rbac.Principal {
	return &rbac.Principal{Identifier: &rbac.Principal_RemoteIp{RemoteIp: c}}
}

func anyOf(nets []netip.Prefix, from func(*core.CidrRange) *rbac.Principal) *rbac.Principal {
	var all []*rbac.Principal
	for _, p := range nets {
		all = append(all, from(&core.CidrRange{AddressPrefix: p.Addr().String(), PrefixLen: wrapperspb.UInt32(uint32(p.Bits()))}))
	}
	return or(all...)
}

func or(all ...*rbac.Principal) *rbac.Principal {
	return &rbac.Principal{Identifier: &rbac.Principal_OrIds{OrIds: &rbac.Principal_Set{Ids: all}}}
}

func and(all ...*rbac.Principal) *rbac.Principal {
	return &rbac.Principal{Identifier: &rbac.Principal_AndIds{AndIds: &rbac.Principal_Set{Ids: all}}}
}

func not(p *rbac.Principal) *rbac.Principal {
	return &rbac.Principal{Identifier: &rbac.Principal_NotId{NotId: p}}
}
