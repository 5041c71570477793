package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kongdao/kongdao/xds/model"
)

// verdicts says of each filter what it makes of the request, in order. The last one
// answers where the gateway does.
func (a *Answer) verdicts() []Verdict {
	all := make([]Verdict, 0, len(a.Filters))
	answering := len(a.Filters) - 1
	if i := slices.Index(a.Filters, filterTranscoder); i >= 0 && a.Status != 0 && a.Revision == "" {
		answering = i
	}
	for i, name := range a.Filters {
		text := a.verdict(name)
		switch {
		case i == answering && a.Status != 0:
			text = fmt.Sprintf("answers %d: %s", a.Status, a.Reason)
		case i > answering:
			text = "is not asked any more"
		}
		all = append(all, Verdict{name, text})
	}
	return all
}

func (a *Answer) verdict(filter string) string {
	switch filter {
	case filterAnyHostScope:
		return "no route of an exact host takes it"
	case filterAnyHostReroute:
		return "looks among hosts with wildcards"
	case filterCORS:
		return a.corsVerdict()
	case filterRevision:
		if a.LimitedBy != "" {
			return a.Reason
		}
		return "names a revision: " + strings.Join(a.request.values(model.RevisionHeader), ", ")
	case filterAddresses:
		return a.addressVerdict()
	case filterTokens:
		return "checks tokens, where there are any"
	case filterAccess:
		return "lets it in: " + a.Access
	case filterSignatures, filterExternal, filterExternalOpen:
		return "is taken as good: " + orWord(a.Assumes, "it is asked")
	case filterCallers:
		return "names the caller: " + orWord(a.Consumer, "nobody")
	case filterLimit:
		return a.limitVerdict()
	case filterTranscoder:
		return a.Handling.Transcoded
	case filterRouter:
		return a.routerVerdict()
	}
	if slot, found := strings.CutPrefix(filter, filterCallers+"."); found {
		return a.callerVerdict(slot)
	}
	return ""
}

func orWord(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func (a *Answer) corsVerdict() string {
	if a.Handling == nil || a.Handling.CORS == "" {
		return "the request is no page's"
	}
	return a.Handling.CORS
}

func (a *Answer) addressVerdict() string {
	if !a.request.Client.IsValid() {
		return "is taken as let in: no address is given"
	}
	return a.request.Client.Unmap().String() + " is let in"
}

// limitVerdict is that of the limits of all calls.
func (a *Answer) limitVerdict() string {
	for _, l := range a.Limits {
		if l.Name == limitName {
			return fmt.Sprintf("lets %s/s in, bursts of %d", number(l.RequestsPerSecond), l.Burst)
		}
	}
	return "limits nothing"
}

// callerVerdict is that of the limit in a slot.
func (a *Answer) callerVerdict(slot string) string {
	i, err := strconv.Atoi(slot)
	if err != nil || i < 0 || i >= len(a.Limits) {
		return "takes nothing: no pod is asked"
	}
	l := a.Limits[i]
	return fmt.Sprintf("%s: lets %s/s in of %s, bursts of %d", l.Name, number(l.RequestsPerSecond), l.Caller, l.Burst)
}

func (a *Answer) routerVerdict() string {
	if a.Pinned {
		return "sends it to the pod under test"
	}
	parts := make([]string, 0, len(a.Revisions))
	for _, r := range a.Revisions {
		if r.Share > 0 {
			parts = append(parts, r.Name)
		}
	}
	text := "sends it to a pod of " + strings.Join(parts, " or ")
	if a.Websocket {
		text += ", as a websocket"
	}
	return text
}
