package explain

import (
	"github.com/kongdao/kongdao/xds/model"
)

// Filters that decide who may call, by the names they have on the listener.
const (
	filterAddresses    = "kongdao.addresses"
	filterTokens       = "kongdao.tokens"
	filterAccess       = "kongdao.access"
	filterSignatures   = "kongdao.signatures"
	filterExternal     = "kongdao.external"
	filterExternalOpen = "kongdao.external-open"
)

// caller is who sends the request, as far as it says.
func (r Request) caller(w *model.World) model.Caller {
	return model.Caller{Callers: w.Callers, Address: r.Client, Certificates: r.Certificates, Identity: r.Identity}
}

// accessFilters lists the filters that act on a request which a function takes, up
// to the one that refuses it.
func (a *Answer) accessFilters(rule *model.Rule, v model.Verdict) {
	f := rule.Function
	if rule.Quarantined() == "" && v.Status != 0 && v.Admitted.Status == 0 {
		return // by the filter of revisions
	}
	if rule.Quarantined() == "" && v.Pinned == nil && v.Admitted.Error != model.ErrorClosed {
		if done := a.admission(f.Access, v.Admitted); done {
			return
		}
	}
	a.Filters = append(a.Filters, filterLimit, filterRouter)
}

// admission tells whether one of the filters has answered.
func (a *Answer) admission(x model.Access, admitted model.Admission) (answered bool) {
	add := func(name string) { a.Filters = append(a.Filters, name) }
	if x.Lists() {
		add(filterAddresses)
	}
	if x.Public && !x.Lists() {
		return false
	}
	if len(x.Tokens) > 0 {
		add(filterTokens)
	}
	add(filterAccess)
	switch {
	case admitted.Asked == model.AskSignatures:
		add(filterSignatures)
	case admitted.Asked == model.AskExternal && x.External.FailOpen:
		add(filterExternalOpen)
	case admitted.Asked == model.AskExternal:
		add(filterExternal)
	}
	return admitted.Status != 0
}

// judge says who calls, and why that is allowed or not.
func (a *Answer) judge(f *model.Function, v model.Verdict) {
	a.Error, a.Consumer, a.Assumes = v.Admitted.Error, v.Admitted.Consumer, v.Admitted.Assumes
	switch {
	case v.Pinned != nil:
		a.Access = "by the token of a pinned pod"
	case v.Admitted.Status != 0:
		a.Access = "refused: " + v.Admitted.Reason
	case v.Status != 0:
		return
	case v.Admitted.By != "":
		a.Access = "by " + v.Admitted.By
	default:
		a.Access = "public"
	}
	if f.Access.Lists() && !a.Pinned && v.Pinned == nil && v.Admitted.Error != model.ErrorAddress {
		a.assumeAddress()
	}
}

func (a *Answer) assumeAddress() {
	if a.request.Client.IsValid() {
		return
	}
	if a.Assumes != "" {
		a.Assumes += ", and "
	}
	a.Assumes += "that it comes from an address that is let in"
}
