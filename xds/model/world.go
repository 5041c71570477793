// Package model is the gateway as it should be, without any xDS in it: which
// hosts and routes there are, which pods stand behind them, and how many requests
// a second each function may be given at this moment.
//
// [Build] is pure: equal inputs give equal worlds. A World and all that it points
// to is never changed after Build returns, so it may be shared between goroutines.
//
// The way of a request through a World: [World.Candidates] lists the rules of a
// host in the order in which they are tried, [Rule.Matches] tells whether a rule
// takes the request, and the rule's [Function] says what happens then (see
// [Function.Decide]).
package model

import (
	"time"

	"github.com/kongdao/kongdao/api"
)

// PodHeader carries the token of a [Pin]; a request with it goes to the pinned
// pod alone.
const PodHeader = "x-kongdao-pod"

// KeyHeader carries a consumer's key.
const KeyHeader = "x-api-key"

// DefaultTimeout bounds a call whose function sets no timeout.
const DefaultTimeout = 15 * time.Second

// Input is everything a World follows from.
type Input struct {
	Set         api.Set
	Ready       map[string]bool     // by pod address; a pod that is not in it is not known to be ready
	ZoneWeights map[string]int      // percent, 0 to 100; a zone that is not in it has 100
	Pins        []Pin               // pods that are taken out of rotation for a test
	Lifts       []Lift              // pods that get more than their share
	Keys        map[string][]string // by consumer, what HashKey makes of each key
	Files       map[string]string   // contents of the files that resources name, by path
	Broken      map[string]string   // functions and rules that must not be served, and why
	Unmatchable map[string]bool     // rules whose conditions no gateway takes
	Group       *Group              // whose World it is; nil: does nothing differently
	Fleet       *Fleet              // gateways that share limits; nil: one
	Fleets      map[string]*Fleet   // of functions that other gateways share, by function
	Weighted    map[string]*Fleet   // of functions whose limit is not shared evenly, by function; comes first
	Views       []string            // zones in which the group has gateways, sorted
	TLS         *TLS                // nil: gateways do not listen for it
	NoMarked    bool                // gateways refuse all requests of stress tests
	MarkHeader  string              // that a stress test's mark is believed with; empty: it is without
	Previous    *World              // the World before this one, whose buckets are kept; nil: none

	// Touched are the addresses whose readiness may be another than it was for
	// Previous; nil: all. With it a World costs what differs from Previous.
	Touched map[string]bool
}

// Pin takes one pod of a function out of rotation; only requests that carry the
// token reach it.
type Pin struct {
	Function string
	Address  string
	Token    string // value of PodHeader, unguessable
}

// World is the gateway as it should be.
type World struct {
	Functions []*Function // sorted by name
	Hosts     []*Host     // sorted by name
	Zones     []Zone      // sorted by name; also those that only pods name
	Views     []string    // zones in which there are gateways, sorted
	TLS       *TLS        // nil: gateways do not listen for it
	Callers   *Callers
	Tokens    map[string][]*Issuer // sets of issuers whose tokens a function takes, by Access.TokenSet
	Services  map[string]Service   // that gateways themselves call, by cluster

	MarkedRefused bool   // gateways refuse all requests of stress tests
	MarkHeader    string // that a stress test's mark is believed with; empty: it is without

	functions index[*Function]
	hosts     index[*Host]
	invalid   []*Function // sorted by name
	group     *Group
	weighted  int // functions whose limit is not shared evenly

	self       *identity
	basis      basis
	difference difference
}

// Invalid are the functions that cannot be served, sorted by name.
func (w *World) Invalid() []*Function { return w.invalid }

// Zone is a place that can be lost as a whole.
type Zone struct {
	Name     string
	Priority uint32 // 0 first
	Weight   int    // percent; 0: drained
}

// Function is a set of pods behind rules.
type Function struct {
	Name   string
	Tenant string
	Source api.Source

	Revisions []*Revision // in the order in which they were written
	Split     []Share     // the ordinary traffic; weights above 0 only, never empty unless Invalid
	Matches   []Match     // tried before Split, in order
	Sticky    Origin      // what keeps a caller on one revision of Split; zero: nothing
	Pinned    []*PinnedPod

	Timeout    time.Duration // of a whole call, above 0
	TryTimeout time.Duration // of one try; 0: none beyond Timeout
	Idempotent bool
	HealthPath string // empty: a TCP connection is enough
	Access     Access
	Retries    api.Retries
	Mirrors    []Mirror

	// Limit is the rate of ordinary requests that all gateways together admit,
	// requests a second; 0: not limited.
	Limit float64
	// Cost is what one ordinary request takes from the function's bucket at one
	// gateway, in millionths of a second; 1 when not limited.
	Cost uint32
	// Tier is the bucket that holds the function's tokens.
	Tier Tier
	// Callers are the rates that callers are held to, each on its own, in the order
	// in which they are asked; CallerSlots at most.
	Callers []CallerLimit
	// Ranked tells that requests have classes: see Class.
	Ranked bool
	// Shadow is the revision that requests of stress tests go to, and nothing else;
	// nil: they go where all go.
	Shadow *Revision
	// MarkedRefused tells that requests of stress tests are refused.
	MarkedRefused bool
	// Concurrency is how many requests may be in flight at all gateways together; 0:
	// not limited. Each has its even part.
	Concurrency int
	// Invalid says why the function cannot be served; its rules then answer 503
	// with this reason. Empty: it is served.
	Invalid string

	rules []hostRule

	// What it was made of, to tell whether it still holds.
	spec   *api.Function
	pins   []Pin
	lifts  []Lift
	fleet  *Fleet
	tiers  map[string]Tier // of gateways whose part is not even, by node
	broken string
	access *api.Access

	consumerClasses []consumerClass
}

// ConcurrencyAt is how many of a revision's requests may be in flight at one
// gateway when it gets this part of them, in percent; 0: not limited.
func (f *Function) ConcurrencyAt(percent int) uint32 {
	if f.Concurrency == 0 {
		return 0
	}
	return uint32(max((f.Concurrency*percent+99)/100/max(f.fleet.Gateways, 1), 1))
}

// Spec is the resource that the function was made of.
func (f *Function) Spec() *api.Function { return f.spec }

// Revision returns the revision of that name, or nil.
func (f *Function) Revision(name string) *Revision {
	for _, r := range f.Revisions {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// Revision is an immutable release of a function; one Envoy cluster.
type Revision struct {
	Function string
	Name     string
	Protocol api.Protocol // never empty
	Pods     []*Pod       // in rotation or not, in the order in which they were written

	// Capacity is the rate that the revision takes in all when every request goes
	// to it, requests a second; 0: not limited.
	Capacity float64
	// Cost is what a request costs that goes to this revision by a match or by name;
	// as Function.Cost.
	Cost uint32

	fleet  *Fleet  // that admits requests
	demand float64 // rate that it admits in all, requests a second; 0: as Capacity
}

// Cluster is the name of the revision's cluster, "function/revision".
func (r *Revision) Cluster() string { return r.Function + "/" + r.Name }

// Pod is one endpoint of a revision.
type Pod struct {
	Address  string // IP:port
	Zone     string
	Priority uint32 // of its zone
	Weight   int    // of its zone, percent; 0: drained
	Ready    bool
	Down     bool // reported as not ready, and not merely unknown
	Pinned   bool
	Lift     float64 // factor of its share; 0: as 1, and nobody tries it
}

// InRotation tells whether ordinary requests may reach the pod.
func (p *Pod) InRotation() bool { return p.Weight > 0 && !p.Pinned }

// PinnedPod is a pod that only requests with a token reach.
type PinnedPod struct {
	Pin
	Revision *Revision
	Pod      *Pod
}

// Cluster is the name of the pod's own cluster, "function/revision@address".
func (p *PinnedPod) Cluster() string { return p.Revision.Cluster() + "@" + p.Address }

// Share is a revision's part of the ordinary traffic.
type Share struct {
	Revision *Revision
	Weight   int // percent, above 0
}

// Match sends requests for which all of this holds to a revision.
type Match struct {
	Headers  []Header
	Cookies  []Header // names as they are written
	Users    *Users   // nil: any
	Revision *Revision
	Cost     uint32 // as Function.Cost
}

// Header is one header with its exact value; names are lower case.
type Header struct{ Name, Value string }

// Function returns the function of that name, or nil.
func (w *World) Function(name string) *Function { return w.functions.get(name) }

// Host returns the host of exactly that name, or nil.
func (w *World) Host(name string) *Host { return w.hosts.get(name) }
