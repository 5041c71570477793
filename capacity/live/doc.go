// Package live finds a pod's safe rate with the calls that there are anyhow: it gives
// one pod more and more of its function's calls, watches how they go, and takes the
// share back as soon as they do not go well. No request is made for it.
//
// The search itself is that of capacity/search, whose rates become factors of the
// pod's share here:
//
//	o = k·f,  s = o/(1+o),  r = s·R
//
//	where  f  factor of the pod's share
//	       o  odds of the pod: its calls for each call of the others
//	       k  its odds at its own share, measured: Σ own / Σ f·others over the windows
//	       s  its part of the calls
//	       R  calls a second of all the revision's pods
//	       r  the rate that is wanted
//
// A rate that is wanted is never met exactly. What counts as a step's rate is what the
// pod had by the call log.
//
// What lives here is arithmetic over calls, and waiting for them; gateways, logs and
// objectives come in by [System].
package live
