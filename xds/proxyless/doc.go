// Package proxyless turns a [model.World] into what gRPC clients need to call
// functions by themselves, without a gateway between: for each function that is
// offered a Listener with an API listener, a RouteConfiguration, and a Cluster with
// its endpoints, all of the function's name; besides, a cluster for each revision
// that gets calls alone, by their headers. It is pure: equal Worlds give equal
// messages.
//
// Nothing that a gateway does for a function is done for such a client, so only
// those are offered of which nothing is lost that protects them; see [Refusal].
package proxyless
