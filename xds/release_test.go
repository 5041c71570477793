package xds

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/kongdao/kongdao/api"
)

// TestReleases sends calls of all kinds to one Envoy.
func TestReleases(t *testing.T) {
	a, b, c := newPod(t, "a", "z"), newPod(t, "b", "z"), newPod(t, "c", "z")
	const keys = 10_000
	var users []string
	for i := range 5000 {
		users = append(users, fmt.Sprint("user-", i))
	}
	feed := twoRevisions("feed", "/feed", a, b, api.Traffic{Revision: "r1", Weight: 95}, api.Traffic{Revision: "r2", Weight: 5})
	feed.Spec.Sticky = &api.Sticky{Header: "x-user"}
	lists := twoRevisions("lists", "/lists", a, b, api.Traffic{Revision: "r1", Weight: 100},
		api.Traffic{Revision: "r2", Match: &api.TrafficMatch{Cookies: map[string]string{"gray": "1"}}},
		api.Traffic{Revision: "r2", Match: &api.TrafficMatch{Users: &api.Users{Header: "x-user", In: users}}},
		api.Traffic{Revision: "r2", Match: &api.TrafficMatch{Users: &api.Users{Cookie: "uid", In: users}}})
	named := twoRevisions("named", "/named", a, b, api.Traffic{Revision: "r1", Weight: 100})
	named.Spec.Revisions = append(named.Spec.Revisions, api.Revision{Name: "r3", Endpoints: endpoints(c)})
	named.Spec.Access = &api.Access{Public: true, Revisions: []string{"qa"}}
	open := twoRevisions("open", "/open", a, b, api.Traffic{Revision: "r1", Weight: 100})
	open.Spec.Access = &api.Access{Public: true, PublicRevisions: true}
	set := functions(feed, lists, named, open)
	for _, name := range []string{"qa", "app"} {
		set.Consumers = append(set.Consumers, &api.Consumer{
			Metadata: api.Metadata{Name: name}, Spec: api.ConsumerSpec{Keys: []api.Secret{api.Secret("k-" + name)}},
		})
	}
	r := newRig(t, set)

	t.Run("lists", func(t *testing.T) {
		for _, c := range []struct{ header, want string }{
			{"x-user: user-17", "b"},
			{"x-user: user-4999", "b"},
			{"x-user: user-5000", "a"},
			{"x-user: user-", "a"},
			{"cookie: gray=1", "b"},
			{"cookie: gray=11", "a"},
			{"cookie: a=b; uid=user-4242; c=d", "b"},
			{"cookie: a=b; uid=user-42420; c=d", "a"},
			{"x-other: user-17", "a"},
		} {
			if got := r.call("GET", "any", "/lists", c.header); got.status != 200 || got.body != c.want {
				t.Errorf("%s: got %d %q, want %q", c.header, got.status, got.body, c.want)
			}
		}
	})
	t.Run("by name", func(t *testing.T) {
		for _, c := range []struct {
			path, revision, key string
			status              int
			want                string
		}{
			{"/named", "r2", "k-qa", 200, "b"}, // at 0 %
			{"/named", "r3", "k-qa", 200, "c"},
			{"/named", "r1", "k-qa", 200, "a"},
			{"/named", "r9", "k-qa", 403, "revision_refused"},
			{"/named", "r2", "k-app", 403, "app may not name a revision of named"},
			{"/named", "r2", "", 401, "a key in x-api-key"},
			{"/named", "r1", "", 401, "credentials_required"},
			{"/open", "r2", "", 200, "b"},
			{"/open", "r9", "", 403, "revision_refused"},
			{"/lists", "r2", "k-qa", 403, "revision_refused"}, // nobody has the right
			{"/nowhere", "r2", "", 404, "no_route"},
		} {
			got := r.call("GET", "any", c.path, "x-kongdao-revision: "+c.revision, "x-api-key: "+c.key)
			r.want(got, c.status, c.want)
		}
		if b.header.Get("x-kongdao-revision") != "" {
			t.Error("the name of the revision reached the pod")
		}
	})
	t.Run("sticky", func(t *testing.T) {
		before := r.revisionOf(keys, "/feed")
		feed := *feed
		feed.Spec.Traffic = []api.Traffic{{Revision: "r1", Weight: 90}, {Revision: "r2", Weight: 10}}
		set.Functions = []*api.Function{&feed, lists, named, open}
		r.apply(set)
		r.live()
		after := r.revisionOf(keys, "/feed")
		count := map[string]int{}
		for key, was := range before {
			count[was+after[key]]++
		}
		t.Logf("of %d keys: %d stayed with r1, %d stayed with r2, %d moved to r2, %d moved back", keys, count["aa"], count["bb"], count["ab"], count["ba"])
		if count["ba"] != 0 {
			t.Errorf("%d keys went from the new revision to the old one", count["ba"])
		}
		for what, n := range map[string]int{"with r2 at first": count["bb"], "moved": count["ab"]} {
			if n < keys/20-150 || n > keys/20+150 { // 7 standard deviations of chance
				t.Errorf("%d of %d keys %s, want about %d", n, keys, what, keys/20)
			}
		}
	})
}

// revisionOf sends a call for each key and returns who answered it.
func (r *rig) revisionOf(keys int, path string) map[string]string {
	r.t.Helper()
	var mu sync.Mutex
	who := make(map[string]string, keys)
	var workers sync.WaitGroup
	const n = 16
	for w := range n {
		workers.Go(func() {
			for i := w; i < keys; i += n {
				key := fmt.Sprint("key-", i)
				got, err := r.try(http.MethodGet, "any", path, "x-user: "+key)
				if err != nil || got.status != http.StatusOK {
					r.t.Errorf("%s: %d %v", key, got.status, err)
					return
				}
				mu.Lock()
				who[key] = got.body
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return who
}
