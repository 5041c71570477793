package translate

import (
	"maps"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	jwt "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/kongdao/kongdao/xds/model"
)

// failedSuffix is what follows an issuer's name in the metadata that says why its
// token is not good.
const failedSuffix = ".failed"

// tokens is what all functions ask of tokens. What was asked for before stays
// until the next change, for routes that are still on their way.
func (t *translator) tokens(before, w *model.World) *jwt.JwtAuthentication {
	asked := maps.Clone(w.Tokens)
	if before != nil {
		maps.Copy(asked, before.Tokens)
	}
	j := &jwt.JwtAuthentication{Providers: map[string]*jwt.JwtProvider{}, RequirementMap: map[string]*jwt.JwtRequirement{}}
	for name, issuers := range asked {
		for _, issuer := range issuers {
			j.Providers[issuer.Name] = provider(issuer)
		}
		j.RequirementMap[name] = requirement(issuers)
	}
	return j
}

// tokensOf makes the filter look for a function's tokens.
func tokensOf(a model.Access) *jwt.PerRouteConfig {
	return &jwt.PerRouteConfig{RequirementSpecifier: &jwt.PerRouteConfig_RequirementName{RequirementName: a.TokenSet()}}
}

// requirement is always fulfilled: what the tokens are worth is for access.lua to
// say, which finds it in the filter's metadata.
func requirement(issuers []*model.Issuer) *jwt.JwtRequirement {
	all := &jwt.JwtRequirementAndList{}
	for _, issuer := range issuers {
		all.Requirements = append(all.Requirements, &jwt.JwtRequirement{RequiresType: &jwt.JwtRequirement_RequiresAny{
			RequiresAny: &jwt.JwtRequirementOrList{Requirements: []*jwt.JwtRequirement{
				{RequiresType: &jwt.JwtRequirement_ProviderName{ProviderName: issuer.Name}},
				{RequiresType: &jwt.JwtRequirement_AllowMissingOrFailed{AllowMissingOrFailed: &emptypb.Empty{}}},
			}},
		}})
	}
	if len(all.GetRequirements()) == 1 {
		return all.GetRequirements()[0]
	}
	return &jwt.JwtRequirement{RequiresType: &jwt.JwtRequirement_RequiresAll{RequiresAll: all}}
}

func provider(i *model.Issuer) *jwt.JwtProvider {
	p := &jwt.JwtProvider{
		Issuer:                 i.Issuer,
		Audiences:              i.Audiences,
		RequireExpiration:      true,
		PayloadInMetadata:      i.Name,
		FailedStatusInMetadata: i.Name + failedSuffix,
		ClockSkewSeconds:       uint32(i.ClockSkew.Seconds()),
		Forward:                true,
	}
	if i.Header != "" {
		p.FromHeaders = []*jwt.JwtHeader{{Name: i.Header}}
	} else {
		p.FromHeaders = []*jwt.JwtHeader{{Name: "Authorization", ValuePrefix: "Bearer "}}
	}
	for _, h := range i.Headers {
		p.ClaimToHeaders = append(p.ClaimToHeaders, &jwt.JwtClaimToHeader{HeaderName: h.Name, ClaimName: h.Value})
	}
	if i.URL == "" {
		p.JwksSourceSpecifier = &jwt.JwtProvider_LocalJwks{LocalJwks: inlineText(i.JWKS)}
		return p
	}
	p.JwksSourceSpecifier = &jwt.JwtProvider_RemoteJwks{RemoteJwks: &jwt.RemoteJwks{
		HttpUri: &core.HttpUri{
			Uri:              i.URL,
			HttpUpstreamType: &core.HttpUri_Cluster{Cluster: i.Service().Cluster()},
			Timeout:          durationpb.New(fetchTimeout),
		},
		CacheDuration: durationpb.New(i.CacheFor),
		// An issuer that is away keeps no listener from opening.
		AsyncFetch: &jwt.JwksAsyncFetch{FastListener: true, FailedRefetchDuration: durationpb.New(time.Second)},
	}}
	return p
}

// fetchTimeout bounds one attempt to get the keys of an issuer.
const fetchTimeout = 5 * time.Second
