package translate

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	lua "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kongdao/kongdao/xds/model"
)

// Filters that decide who may call, in the order in which they act. They do
// nothing on routes without a configuration for them; the last three wait for what
// the one before them asks for.
const (
	addressesFilter    = "kongdao.addresses"     // addresses that are let in
	tokensFilter       = "kongdao.tokens"        // reads and checks tokens, refuses nothing
	accessFilter       = "kongdao.access"        // access.lua: decides, or asks
	signaturesFilter   = "kongdao.signatures"    // asks the control plane about a signature
	externalFilter     = "kongdao.external"      // asks a function's own authorizer
	externalOpenFilter = "kongdao.external-open" // the same, and lets in when there is no answer
)

// accessChain is the part of the listener's filters that decides who may call. Two
// of them have their configuration from resources of their own: keys and issuers
// change, and the listener must not.
func (t *translator) accessChain() []*hcm.HttpFilter {
	return []*hcm.HttpFilter{
		t.addresses(),
		discovered(tokensFilter, tokensType),
		discovered(accessFilter, luaType),
		t.signatures(),
		t.external(externalFilter, false),
		t.external(externalOpenFilter, true),
	}
}

const (
	rbacType   = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
	luaType    = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
	tokensType = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
)

// discovered is a filter whose configuration is a resource of the filter's name. A
// listener opens when it is there.
func discovered(name, typeURL string) *hcm.HttpFilter {
	patient := ads()
	patient.InitialFetchTimeout = durationpb.New(0)
	return &hcm.HttpFilter{Name: name, ConfigType: &hcm.HttpFilter_ConfigDiscovery{ConfigDiscovery: &core.ExtensionConfigSource{
		ConfigSource: patient,
		TypeUrls:     []string{typeURL},
	}}}
}

// accessExtensions are the configurations of discovered filters that differ from
// those of a World before.
func (t *translator) accessExtensions(before, w *model.World) map[string]*core.TypedExtensionConfig {
	all := map[string]*core.TypedExtensionConfig{}
	if before == nil || before.Callers != w.Callers {
		all[accessFilter] = t.extension(accessFilter, script(w.Callers))
	}
	if before == nil || before.MarkedRefused != w.MarkedRefused {
		all[revisionFilter] = t.extension(revisionFilter, chosenRevisions(w))
	}
	if before == nil || !sameNames(before.Tokens, w.Tokens) {
		all[tokensFilter] = t.extension(tokensFilter, t.tokens(before, w))
	}
	return all
}

// sameNames compares maps whose names are made of what they hold.
func sameNames[V any](a, b map[string]V) bool {
	for name := range a {
		if _, ok := b[name]; !ok {
			return false
		}
	}
	return len(a) == len(b)
}

func (t *translator) extension(name string, m proto.Message) *core.TypedExtensionConfig {
	return &core.TypedExtensionConfig{Name: name, TypedConfig: t.pack(m)}
}

//go:embed access.lua
var accessScript string

const scriptName = "access"

// script is access.lua with who the consumers are.
func script(c *model.Callers) *lua.Lua {
	var b strings.Builder
	b.WriteString("local CALLERS = [[\n")
	if c != nil {
		for _, hash := range slices.Sorted(maps.Keys(c.Keys)) {
			fmt.Fprintf(&b, "k %s %s\n", hash, c.Keys[hash])
		}
		for _, name := range slices.Sorted(maps.Keys(c.Certificates)) {
			fmt.Fprintf(&b, "c %s %s\n", hex.EncodeToString([]byte(name)), c.Certificates[name])
		}
	}
	b.WriteString("]]\n")
	b.WriteString(accessScript)
	return &lua.Lua{
		SourceCodes:     map[string]*core.DataSource{scriptName: inlineText(b.String())},
		ClearRouteCache: wrapperspb.Bool(false), // the script does it where it matters
	}
}

// door is a way to the routes of a function.
type door struct {
	right    model.Right
	consumer string // empty: everybody else
	header   *route.HeaderMatcher
}

// doors lists the consumers whose requests take routes of their own, and one for
// everybody else. Who somebody is shows only when the route has been looked up, so
// every request begins at the last door; access.lua then has it looked up again.
func doors(f *model.Function, right model.Right) []door {
	var all []door
	for _, consumer := range f.OwnRoutes(right) {
		all = append(all, door{right, consumer, exactHeader(model.ConsumerHeader, consumer)})
	}
	return append(all, door{right: right})
}

// accessFilters configure the filters for a route of a function that a caller
// needs a right for. Nil: the route is open.
func (t *translator) accessFilters(f *model.Function, right model.Right) map[string]*anypb.Any {
	a := f.Access
	all := map[string]*anypb.Any{}
	if a.Lists() {
		all[addressesFilter] = t.pack(t.addressesOf(a))
	}
	if a.Open(right) {
		return nil
	}
	all[accessFilter] = t.pack(&lua.LuaPerRoute{
		Override:      &lua.LuaPerRoute_Name{Name: scriptName},
		FilterContext: t.identified(wanted(f, right)),
	})
	if len(a.Tokens) > 0 {
		all[tokensFilter] = t.pack(tokensOf(a))
	}
	if e := a.External; a.AsksExternal(right) {
		all[externalName(e)] = t.pack(externalOf(f.Name, e))
	}
	return all
}

func externalName(e *model.External) string {
	if e.FailOpen {
		return externalOpenFilter
	}
	return externalFilter
}

// wanted is what access.lua reads. Each consumer is a field of its own, for the
// script to look one up without reading all.
func wanted(f *model.Function, right model.Right) *structpb.Struct {
	a := f.Access
	fields := map[string]*structpb.Value{
		"verb":  structpb.NewStringValue(model.Verb(right) + " " + f.Name),
		"needs": structpb.NewStringValue(a.Needs(right)),
	}
	for name, on := range map[string]bool{
		"public": a.Public && (right == model.Call || a.PublicRevisions), "addresses": a.Lists(),
		"key": a.Key, "certificate": a.Certificate, "signature": a.Signed, "unsigned": a.Signature && !a.Signed,
	} {
		if on {
			fields[name] = structpb.NewBoolValue(true)
		}
	}
	if len(f.OwnRoutes(right)) > 0 {
		fields["reroute"] = structpb.NewBoolValue(true)
	}
	if looksAgain(f, right) {
		fields["let_in_to"] = structpb.NewStringValue(f.Name)
	}
	for _, consumer := range a.Holders(right) {
		fields["c:"+consumer] = structpb.NewBoolValue(true)
	}
	if len(a.Tokens) > 0 {
		var tokens []*structpb.Value
		for _, token := range a.Tokens {
			tokens = append(tokens, tokenFields(token, a.AnyToken(right)))
		}
		fields["tokens"] = list(tokens...)
	}
	if a.AsksExternal(right) {
		fields["external"] = structpb.NewStringValue(externalName(a.External))
	}
	return &structpb.Struct{Fields: fields}
}

// identified adds a name that only equal contexts have, by which access.lua knows
// one again.
func (t *translator) identified(s *structpb.Struct) *structpb.Struct {
	hash := sha256.Sum256(t.pack(s).GetValue())
	s.Fields["id"] = structpb.NewStringValue(base64.RawStdEncoding.EncodeToString(hash[:16]))
	return s
}

func tokenFields(t model.Token, any bool) *structpb.Value {
	var require []*structpb.Value
	for _, claim := range t.Require {
		values := map[string]*structpb.Value{}
		for _, v := range claim.Values {
			values[v] = structpb.NewBoolValue(true)
		}
		require = append(require, object(map[string]*structpb.Value{
			"name": structpb.NewStringValue(strings.Join(claim.Path, ".")), "path": strs(claim.Path), "values": object(values),
		}))
	}
	return object(map[string]*structpb.Value{
		"issuer": structpb.NewStringValue(t.Issuer.Name), "name": structpb.NewStringValue(t.Name), "subject": strs(t.Subject),
		"require": list(require...), "any": structpb.NewBoolValue(any),
	})
}

func object(fields map[string]*structpb.Value) *structpb.Value {
	return structpb.NewStructValue(&structpb.Struct{Fields: fields})
}

func list(values ...*structpb.Value) *structpb.Value {
	return structpb.NewListValue(&structpb.ListValue{Values: values})
}

func strs(texts []string) *structpb.Value {
	var values []*structpb.Value
	for _, text := range texts {
		values = append(values, structpb.NewStringValue(text))
	}
	return list(values...)
}

// closed is the answer of a function without access.
func closed() *route.DirectResponseAction {
	return direct(http.StatusForbidden, model.ErrorClosed, model.ReasonClosed)
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
		Body:   inlineText(string(body) + "\n"),
	}
}

func exactHeader(name, value string) *route.HeaderMatcher {
	return &route.HeaderMatcher{Name: name, HeaderMatchSpecifier: &route.HeaderMatcher_StringMatch{
		StringMatch: &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Exact{Exact: value}},
	}}
}

func inlineText(text string) *core.DataSource {
	return &core.DataSource{Specifier: &core.DataSource_InlineString{InlineString: text}}
}
