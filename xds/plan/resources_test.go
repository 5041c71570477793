package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kongdao/kongdao/api"
)

func parsed(t *testing.T, file, text string) api.Set {
	t.Helper()
	set, problems := api.Parse(file, []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}

const before = `apiVersion: kongdao.io/v1
kind: Consumer
metadata: {name: ann}
spec: {keys: ["${env:ANN_KEY}"], priority: low}
---
apiVersion: kongdao.io/v1
kind: Robot
metadata: {name: oncall}
spec: {url: "${env:ROBOT_URL}", secret: "${env:ROBOT_SECRET}"}
---
apiVersion: kongdao.io/v1
kind: Zone
metadata: {name: zb-a}
spec: {priority: 1}
---
apiVersion: kongdao.io/v1
kind: Function
metadata: {name: feed, labels: {team: a}}
spec:
  routes: [{path: /feed}]
  revisions: [{name: r1, endpoints: [{address: "127.0.0.1:9101", zone: zb-a}, {address: "127.0.0.1:9102", zone: zb-a}]}]
  timeout: 1s
  limits: [{per: consumer, rate: 10/s}]
  access: {public: true}
`

const after = `apiVersion: kongdao.io/v1
kind: Consumer
metadata: {name: ann}
spec: {keys: ["${file:/etc/ann}"], priority: high}
---
apiVersion: kongdao.io/v1
kind: Robot
metadata: {name: oncall}
spec: {url: "${env:OTHER_URL}"}
---
apiVersion: kongdao.io/v1
kind: Zone
metadata: {name: zb-b}
spec: {}
---
apiVersion: kongdao.io/v1
kind: Function
metadata: {name: feed, labels: {team: b}}
spec:
  routes: [{path: /feed}, {path: /more, methods: [GET]}]
  revisions: [{name: r1, endpoints: [{address: "127.0.0.1:9102", zone: zb-b}]}]
  timeout: 2s
  limits: [{per: consumer, rate: 20/s}]
  access: {public: true}
`

func TestResources(t *testing.T) {
	got := ResourcesText(Resources(parsed(t, "old.yaml", before), parsed(t, "new.yaml", after)))
	want := `~ Function feed (new.yaml:16)
    metadata.labels.team: a → b (new.yaml:18)
    spec.routes[1]: + GET /more (new.yaml:20)
    spec.revisions[0].endpoints[0].zone: zb-a → zb-b (new.yaml:21)
    spec.revisions[0].endpoints[0]: - 127.0.0.1:9101 in zb-a (old.yaml:21)
    spec.timeout: 1s → 2s (new.yaml:22)
    spec.limits[0].rate: 10/s → 20/s (new.yaml:23)
- Zone zb-a (old.yaml:11)
+ Zone zb-b (new.yaml:11)
~ Consumer ann (new.yaml:1)
    spec.keys: changed (new.yaml:4)
    spec.priority: low → high (new.yaml:4)
~ Robot oncall (new.yaml:6)
    spec.url: changed (new.yaml:9)
    spec.secret: - there (old.yaml:9)
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, secret := range []string{"env:", "/etc/ann"} {
		if strings.Contains(got, secret) {
			t.Errorf("%s is shown", secret)
		}
	}
}

func TestResourcesOfOneSet(t *testing.T) {
	moved := strings.Replace(before, "apiVersion", "# a comment\n\napiVersion", 1)
	if all := Resources(parsed(t, "old.yaml", before), parsed(t, "elsewhere.yaml", moved)); len(all) > 0 {
		t.Errorf("%+v", all)
	}
}

// TestKeySetsAreNotShown holds for sets inline: who wrote a secret key there does not
// find it in a plan.
func TestKeySetsAreNotShown(t *testing.T) {
	with := func(a *api.Access) api.Set {
		f := &api.Function{Metadata: api.Metadata{Name: "feed"}}
		f.Spec.Access = a
		return api.Set{Functions: []*api.Function{f}}
	}
	jwt := func(keys string) *api.Access {
		return &api.Access{JWT: []api.JWT{{Name: "a", JWKS: api.JWKS{Inline: keys}}}}
	}
	for _, pair := range [][2]*api.Access{{jwt("s3cret"), jwt("an0ther")}, {nil, jwt("s3cret")}, {jwt("s3cret"), {}}} {
		all := Resources(with(pair[0]), with(pair[1]))
		if text := ResourcesText(all); len(all) != 1 || strings.Contains(text, "s3cret") || strings.Contains(text, "an0ther") {
			t.Errorf("%s", text)
		}
	}
}
