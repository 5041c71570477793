package explain

import (
	"fmt"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/model"
)

// release makes a function's traffic follow cookies, lists and keys, and lets some
// choose a revision.
func (c chance) release(f *api.Function) {
	n := len(f.Spec.Revisions)
	if n == 3 && c.IntN(2) == 0 { // so that a key's slots are of three revisions
		a, b := 1+c.IntN(40), 1+c.IntN(40)
		f.Spec.Traffic = []api.Traffic{{Revision: "r0", Weight: a}, {Revision: "r1", Weight: b}, {Revision: "r2", Weight: 100 - a - b}}
	}
	f.Spec.Sticky = pick(c, nil, &api.Sticky{Header: "X-User"}, &api.Sticky{Cookie: "uid"})
	for range c.IntN(2) {
		f.Spec.Traffic = append(f.Spec.Traffic, api.Traffic{Revision: fmt.Sprintf("r%d", c.IntN(n)), Match: c.match()})
	}
	if f.Spec.Access != nil {
		f.Spec.Access.Revisions = pick(c, nil, []string{"bob"}, []string{"ann", "bob"})
		f.Spec.Access.PublicRevisions = f.Spec.Access.Revisions == nil && c.IntN(3) == 0
	}
}

func (c chance) match() *api.TrafficMatch {
	users := make([]string, 0, 300)
	for i := range cap(users) {
		users = append(users, fmt.Sprintf("user-%d", i*3))
	}
	users = append(users, `q"u\o]]te`, "ünï", "a b")
	return pick(c,
		&api.TrafficMatch{Cookies: map[string]string{"gray": "1"}},
		&api.TrafficMatch{Cookies: map[string]string{"gray": "1", "Gray": "2"}, Headers: map[string]string{"x-gray": "1"}},
		&api.TrafficMatch{Users: &api.Users{Header: "X-User", In: users}},
		&api.TrafficMatch{Users: &api.Users{Cookie: "uid", In: users}},
	)
}

// identify makes a request say whom it is from, and now and then which revision it
// is for.
func (c chance) identify(r *Request) {
	user := pick(c, fmt.Sprintf("user-%d", c.IntN(900)), `q"u\o]]te`, "a b", "ünï", "")
	if c.IntN(2) == 0 {
		r.Headers.Add("X-User", user)
	}
	if c.IntN(10) == 0 {
		r.Headers.Add("X-User", fmt.Sprintf("user-%d", c.IntN(900)))
	}
	for range c.IntN(3) {
		r.Headers.Add("Cookie", pick(c, "gray=1", "gray=2", "Gray=2; gray=1", "gray=1;gray=2", "gray=2; gray=1", "gray", "=1", `gray="1"`, " gray=1 ; x", "gray=1=1", "gray = 1"))
	}
	if c.IntN(2) == 0 {
		r.Headers.Add("Cookie", "a=b; uid="+pick(c, fmt.Sprintf("user-%d", c.IntN(900)), `q"u\o]]te`, "", `"user-3"`, `"`, `""`, "a b"))
	}
	if c.IntN(6) == 0 {
		r.Headers.Add(model.RevisionHeader, pick(c, "r0", "r1", "r2", "r9", ""))
	}
}
