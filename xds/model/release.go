package model

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/kongdao/kongdao/api"
)

// Origin is where a request says whom it is from: in a header or in a cookie. The
// zero value is nowhere.
type Origin struct {
	Header string // lower case
	Cookie string
}

// String names the origin for people.
func (o Origin) String() string {
	if o.Cookie != "" {
		return "cookie " + o.Cookie
	}
	return "header " + o.Header
}

// Values are what the request says; none when it says nothing.
func (o Origin) Values(values Values) []string {
	if o.Header != "" {
		return values(o.Header)
	}
	if v, ok := cookies(values)[o.Cookie]; ok && o.Cookie != "" {
		return []string{v}
	}
	return nil
}

// cookies are the request's cookies as Envoy reads them: of several with one name
// the first counts, spaces before a name and quotes around a value do not.
func cookies(values Values) map[string]string {
	all := map[string]string{}
	for _, line := range values("cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			name, value, ok := strings.Cut(strings.TrimLeft(pair, " "), "=")
			if _, again := all[name]; again || !ok {
				continue
			}
			if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
				value = value[1 : len(value)-1]
			}
			all[name] = value
		}
	}
	return all
}

// Users is a list of callers.
type Users struct {
	Origin
	In []string // sorted
}

func (u *Users) has(values Values) bool {
	return slices.ContainsFunc(u.Origin.Values(values), func(v string) bool {
		_, found := slices.BinarySearch(u.In, v)
		return found
	})
}

// matches tells whether all of the match's conditions hold.
func (m Match) matches(values Values) bool {
	if !matchHeaders(m.Headers, values) || m.Users != nil && !m.Users.has(values) {
		return false
	}
	if len(m.Cookies) == 0 {
		return true
	}
	have := cookies(values)
	return !slices.ContainsFunc(m.Cookies, func(c Header) bool {
		v, ok := have[c.Name]
		return !ok || v != c.Value
	})
}

// why puts the conditions into words.
func (m Match) why() string {
	var parts []string
	for _, h := range m.Headers {
		parts = append(parts, fmt.Sprintf("the header %s is %s", h.Name, h.Value))
	}
	for _, c := range m.Cookies {
		parts = append(parts, fmt.Sprintf("the cookie %s is %s", c.Name, c.Value))
	}
	if m.Users != nil {
		parts = append(parts, fmt.Sprintf("the %s is in a list of %d users", m.Users.Origin, len(m.Users.In)))
	}
	return strings.Join(parts, " and ")
}

func matchOf(t api.Traffic, r *Revision) Match {
	m := Match{Headers: headers(t.Match.Headers), Cookies: pairs(t.Match.Cookies), Revision: r}
	if u := t.Match.Users; u != nil {
		m.Users = &Users{Origin: Origin{strings.ToLower(u.Header), u.Cookie}, In: slices.Sorted(slices.Values(u.In))}
	}
	return m
}

// pairs are names, whose case counts, with values, sorted by name.
func pairs(m map[string]string) []Header {
	var all []Header
	for name, value := range m {
		all = append(all, Header{name, value})
	}
	slices.SortFunc(all, func(a, b Header) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func emptyMatch(m *api.TrafficMatch) bool {
	return len(m.Headers) == 0 && len(m.Cookies) == 0 && (m.Users == nil || len(m.Users.In) == 0)
}

// choose is the verdict on a request that names a revision. The gateway compares
// each of several such headers.
func (f *Function) choose(names []string, values Values, caller Caller) Verdict {
	no := Verdict{Status: http.StatusForbidden, Reason: "the caller may not choose a revision, or there is none of that name"}
	i := slices.IndexFunc(f.Revisions, func(r *Revision) bool { return slices.Contains(names, r.Name) })
	if i < 0 || f.Access.Shut(NameRevision) {
		return no
	}
	v := Verdict{Matched: true, Admitted: f.Admit(values, caller, NameRevision)}
	if no := v.Admitted; no.Status != 0 {
		return Verdict{Status: no.Status, Reason: no.Reason, Admitted: no}
	}
	r := f.Revisions[i]
	v.Shares, v.Cost = []Share{{r, 100}}, r.Cost
	v.Why = "the request names it in " + RevisionHeader
	return v
}

// draw picks among the weights: by the request's key, where the function is sticky
// and the request has one, else by chance.
func (f *Function) draw(values Values) (shares []Share, why string) {
	if len(f.Split) == 1 {
		return f.Split, "it gets all calls"
	}
	const byChance = "drawn by weight"
	if f.Sticky == (Origin{}) {
		return f.Split, byChance
	}
	keys := f.Sticky.Values(values)
	if len(keys) == 0 || f.Sticky.Cookie != "" && keys[0] == "" {
		return f.Split, byChance + ", for the request has no " + f.Sticky.String()
	}
	slots := f.Slots()
	slot := int(keyHash(keys) % uint64(total(slots)))
	left := slot
	for _, s := range slots {
		if left -= s.Weight; left < 0 {
			return []Share{{s.Revision, 100}}, fmt.Sprintf("the %s has slot %d of %d", f.Sticky, slot, total(slots))
		}
	}
	return f.Split, byChance
}

// keyHash is Envoy's hash of a header's values: XXH64, each with the hash before
// as its seed, in sorted order.
func keyHash(keys []string) uint64 {
	keys = slices.Sorted(slices.Values(keys))
	hash := uint64(0)
	for _, k := range keys {
		d := xxhash.NewWithSeed(hash)
		_, _ = d.WriteString(k) // never fails
		hash = d.Sum64()
	}
	return hash
}

// Slots lays the weights out over as many slots as they add up to, in runs. A key
// has one slot for good, so that a change of weights moves only the keys of slots
// that change hands: each revision takes slots from a place of its own onwards,
// the newest one first, and the oldest has what is left. With two revisions no key
// ever moves against the change; with more, a newer revision that grows may push
// one in between along.
func (f *Function) Slots() []Share {
	n := total(f.Split)
	owner := make([]*Revision, n)
	order := slices.Clone(f.Split)
	age := func(s Share) int { return slices.Index(f.Revisions, s.Revision) }
	slices.SortStableFunc(order, func(a, b Share) int { return cmp.Compare(age(b), age(a)) })
	for _, s := range order {
		at := f.place(s.Revision, n)
		for left := s.Weight; left > 0; at = (at + 1) % n {
			if owner[at] == nil {
				owner[at] = s.Revision
				left--
			}
		}
	}
	var runs []Share
	for _, r := range owner {
		if i := len(runs) - 1; i >= 0 && runs[i].Revision == r {
			runs[i].Weight++
			continue
		}
		runs = append(runs, Share{r, 1})
	}
	return runs
}

// place is where a revision's slots begin. It differs between functions, so that
// it is not the same callers who get every new revision first.
func (f *Function) place(r *Revision, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(r.Cluster())) // never fails
	return int(h.Sum32() % uint32(n))
}

func total(shares []Share) (sum int) {
	for _, s := range shares {
		sum += s.Weight
	}
	return sum
}
