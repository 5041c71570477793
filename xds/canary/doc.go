// Package canary tries changes on an Envoy of its own before any gateway sees
// them. The canary Envoy takes no calls and asks no pods: its listeners are not
// bound, its clusters have no endpoints.
//
// It is cheap because it holds nothing: a change is tried by itself, in one route
// configuration and some clusters that go again with the next change, and clusters
// that differ in nothing but their names are tried once. So a change costs what it
// changes, whatever the number of routes, and a canary that was started again
// needs nothing but the listeners.
//
// What it promises: [Canary.Try] names each piece that Envoy refuses, alone and
// with Envoy's words, by halving what was refused together. An Envoy that falls
// silent over a change is killed and started again, and the change is halved as
// if it had been refused.
//
// Clusters of shapes that are not known yet, over which Envoy could fall silent, can
// be tried on a second Envoy, see [Canary.Ahead]. It is started when it is needed,
// and meanwhile everything else is tried on the first one.
//
// What it does not do: endpoints are not tried. Their rules are few and package
// preflight knows them; a pod's change must not wait for anything.
package canary
