package explain

import (
	"fmt"
	"strings"

	"github.com/kongdao/kongdao/api"
)

// limitsFormat is what the chosen route tells the gateway's limits.
const limitsFormat = "%METADATA(ROUTE:kongdao:limited_by)% %METADATA(ROUTE:kongdao:caller_label_0)% %METADATA(ROUTE:kongdao:caller_label_1)% " +
	"%METADATA(ROUTE:kongdao:caller_label_2)% %METADATA(ROUTE:kongdao:caller_label_3)%"

// limitsText is limitsFormat as an answer has it.
func limitsText(a Answer) string {
	texts := []string{"capacity", "-", "-", "-", "-"}
	slot := 1
	for _, l := range a.Limits {
		if l.Caller != "" {
			texts[slot], slot = l.Name, slot+1
		}
	}
	if a.Priority != "" && a.Priority != api.PriorityHigh {
		texts[0] = "priority"
	}
	return strings.Join(texts, " ")
}

// limits gives a function random limits that no test reaches, and priorities.
func (c chance) limits(f *api.Function) {
	for i := range c.IntN(3) {
		l := api.CallerLimit{Name: fmt.Sprint("own-", i), Per: pick(c, api.PerIP, api.PerConsumer, api.PerHeader), Rate: 5e4, Burst: c.IntN(1000)}
		if l.Per == api.PerHeader {
			l.Header = pick(c, "X-Gray", "x-user")
		}
		f.Spec.Limits = append(f.Spec.Limits, l)
	}
	switch n := len(f.Spec.Revisions); int(f.Name[1]-'0') % 4 { // draws nothing
	case 1:
		f.Spec.LoadTest = &api.LoadTests{Revision: fmt.Sprintf("r%d", n-1)} // which may get other calls, too
	case 3:
		f.Spec.LoadTest = &api.LoadTests{Revision: "r0", Refuse: n == 1}
	}
	f.Spec.Concurrency = pick(c, 0, 0, 1000)
	f.Spec.Priority = pick(c, "", "", api.PriorityHigh, api.PriorityLow)
	for i := range f.Spec.Routes {
		f.Spec.Routes[i].Priority = pick(c, "", "", "", api.PriorityHigh, api.PriorityNormal)
	}
}

// globalLimits are Limits over functions, and a consumer with a priority.
func (c chance) globalLimits(set *api.Set) {
	set.Consumers = []*api.Consumer{{Metadata: api.Metadata{Name: "bob"}, Spec: api.ConsumerSpec{Priority: pick(c, "", api.PriorityLow, api.PriorityHigh)}}}
	for _, name := range some(c, "all", "few") {
		l := &api.Limit{Metadata: api.Metadata{Name: name}, Spec: api.LimitSpec{Per: pick(c, api.PerIP, api.PerConsumer), Rate: 9e4}}
		if name == "few" {
			l.Spec.Functions = []string{"f1", "f2", "f5"}
		}
		set.Limits = append(set.Limits, l)
	}
}
