package model

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Identity is who a caller was, without its credentials: what a stored call holds.
// The zero value is nobody.
type Identity struct {
	// Consumer is as in the call log: a consumer, token/subject, "external" for
	// whoever the external service let in, or empty.
	Consumer string
}

// identifiedExternally is the consumer of calls that the external service let in.
const identifiedExternally = "external"

// identified judges a caller by name: its credentials are taken as good, as far as
// the function knows the way.
func (j *judge) identified(name string) Admission {
	a := j.function.Access
	token, _, holdsToken := strings.Cut(name, "/")
	switch {
	case holdsToken:
		j.holder(token, name)
	case name != "" && name != identifiedExternally && (a.Key || a.Signature || a.Certificate):
		j.known(name, "who it was", "")
	}
	if j.verdict.Status != 0 && a.AsksExternal(j.right) {
		j.admit(identifiedExternally, "the service at "+a.External.URL, "that the service says yes")
		j.verdict.Asked = AskExternal
	}
	return j.verdict
}

// holder judges who held a token.
func (j *judge) holder(token, who string) {
	a := j.function.Access
	i := slices.IndexFunc(a.Tokens, func(t Token) bool { return t.Name == token })
	switch {
	case i < 0:
	case !a.AnyToken(j.right) && !a.Grants(who, j.right):
		j.refuse(http.StatusForbidden, ErrorNotGranted, NotGranted(who, j.function.Name, j.right))
	default:
		assumes := ""
		if len(a.Tokens[i].Require) > 0 {
			assumes = fmt.Sprintf("that the claims of %s are those that are let in", who)
		}
		j.admit(who, "a token of "+a.Tokens[i].Issuer.Issuer, assumes)
	}
}
