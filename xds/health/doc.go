// Package health finds out which pods are ready, by asking them.
//
// Envoy checks pods too, each gateway for itself and to route around a bad one.
// This prober is the control plane's own eye: limits and plans follow what it
// sees, once for all gateways.
//
// It decides like this. A target nobody has asked yet counts as ready, so that a
// start refuses no traffic. A target that refuses its very first connection is
// not ready at once. Later [Config].Unhealthy failures in a row make it unready,
// and so do two refused connections in a row: the second is tried [requeryAfter]
// after the first, so that a zone killed as a whole is seen within about one
// interval. [Config].Healthy successes in a row make it ready again.
//
// A TCP probe cannot see a pod that hangs: its kernel goes on accepting. Give
// such functions a health path.
package health
