// Package explain tells what the gateway does with one request: which route takes
// it and where that route was written, what limits it, and which zones and pods
// may get it. It asks the model, in the order in which the translator writes
// routes, so it needs no gateway; a test holds its answers against a real Envoy.
//
// It does not know what only a gateway sees: the state of buckets, of connections
// and of Envoy's own health checks. What gateways report of limits can be added to
// an answer, see [Answer.InUse]. Headers that Envoy sets or rewrites itself,
// such as x-forwarded-for and x-request-id, are taken as the client sent them.
package explain
