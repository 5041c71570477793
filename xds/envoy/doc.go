// Package envoy runs the data plane: it finds the Envoy binary, writes the
// bootstrap that ties it to the control plane, and keeps one Envoy alive as a
// child process.
//
// What it promises: the gateway's port is held from [New] until [Gateway.Run]
// returns, so that neither a second gateway nor a chance connection takes it,
// not even while Envoy restarts; a crashed Envoy is started again, at once the
// first time; no Envoy outlives this process, however this process ends; a
// clean stop writes the access log to its last line.
//
// It does not know what is served: listeners, routes and clusters come from the
// control plane over ADS.
package envoy
