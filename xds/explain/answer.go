package explain

import "github.com/kongdao/kongdao/xds/model"

// Answer is what the gateway does with a request.
type Answer struct {
	Function string `json:"function"`      // empty: no function takes the request
	Revision string `json:"revision"`      // the one that gets most of such requests
	Why      string `json:"why,omitempty"` // that revision, or those: a header, a list, a key, chance
	Route    string `json:"route"`         // function/number, as in the call log
	Source   string `json:"source"`        // file:line of the route

	// Status is set where the gateway answers itself; Reason says why. With
	// several revisions it is that of Revision, and each has its own.
	Status int    `json:"status,omitempty"`
	Reason string `json:"reason,omitempty"`

	Match      string `json:"match,omitempty"`      // the route's conditions, for people
	Access     string `json:"access,omitempty"`     // why the caller may call, for people
	Error      string `json:"error,omitempty"`      // why the caller may not, for programs
	Consumer   string `json:"consumer,omitempty"`   // who it is
	Assumes    string `json:"assumes,omitempty"`    // what only a gateway can check, and is taken as good
	Priority   string `json:"priority,omitempty"`   // its class, where the function has classes: high, normal, low or load-test
	Websocket  bool   `json:"websocket,omitempty"`  // the connection becomes one
	Pinned     bool   `json:"pinned,omitempty"`     // the request goes to one pod that is being tested
	Unbelieved bool   `json:"unbelieved,omitempty"` // its mark of a stress test is not believed: it lacks the right
	Shadow     bool   `json:"shadow,omitempty"`     // a stress test's, which goes to a revision of its own
	LimitedBy  string `json:"limited_by,omitempty"` // load-test: stress tests are refused

	Handling *Handling `json:"handling,omitempty"` // nil where the gateway refuses

	Listener  string          `json:"listener,omitempty"`  // address that it comes in at; see Describe
	Shard     string          `json:"shard,omitempty"`     // route configuration that has its route; see Describe
	Filters   []string        `json:"filters"`             // Envoy's HTTP filters that act on it, in order
	Verdicts  []Verdict       `json:"verdicts,omitempty"`  // of Filters; see Describe
	Limits    []Limit         `json:"limits"`              // none: not limited
	Revisions []Revision      `json:"revisions,omitempty"` // all that may get such a request, most first
	Zones     map[string]Zone `json:"zones"`               // of Revision
	Endpoints []Endpoint      `json:"endpoints"`           // of Revision, in the order written

	From Place `json:"from,omitzero"` // where the request comes in

	request Request
}

// Limit is a rate that requests are held to.
type Limit struct {
	Name              string  `json:"name"`
	RequestsPerSecond float64 `json:"requests_per_second"` // of all gateways together
	Burst             int     `json:"burst"`               // requests at once, at one gateway
	Follows           string  `json:"follows"`             // what the rate is made of
	InFlight          int     `json:"in_flight,omitempty"` // of a limit of concurrency: requests at once, at all gateways; there is no rate then
	Caller            string  `json:"caller,omitempty"`    // of a limit of callers: whom it counts this request for
	Source            string  `json:"source,omitempty"`    // file:line, where it was written as a limit
	Gateways          []Share `json:"gateways,omitempty"`  // of a live answer: how much of it is in use; see InUse
}

// Revision is a revision with its part of the requests that are like this one.
type Revision struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"` // 0 to 1
	Ready int     `json:"ready"` // pods
	Total int     `json:"total"`

	// Status is set where the gateway answers the revision's part itself.
	Status int    `json:"status,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Zone is what a zone has of a revision.
type Zone struct {
	Ready    int     `json:"ready"` // pods
	Total    int     `json:"total"`
	Priority uint32  `json:"priority"` // 0 first
	Weight   int     `json:"weight"`   // percent; 0: drained
	Share    float64 `json:"share"`    // of the revision's requests, 0 to 1
}

// Endpoint is a pod.
type Endpoint struct {
	Address string  `json:"address"`
	Zone    string  `json:"zone"`
	State   string  `json:"state"` // ready, unready, unknown, drained or pinned
	Share   float64 `json:"share"` // of the revision's requests, 0 to 1

	// Lift is what its share is multiplied by while somebody tries what it can take;
	// 0: nobody does.
	Lift float64 `json:"lift,omitempty"`
}

// stateOf puts what keeps a pod from requests into a word.
func stateOf(p *model.Pod) string {
	switch {
	case p.Pinned:
		return "pinned"
	case p.Weight == 0:
		return "drained"
	case p.Ready:
		return "ready"
	case p.Down:
		return "unready"
	default:
		return "unknown"
	}
}
