// Package predict says how a function will fare when its traffic falls on fewer
// pods: the latency that its callers will see, with an interval, and the share of
// calls that its limit will refuse. It is arithmetic alone: no clock, no state.
//
// Latency comes from the function's own past: for stretches of some seconds the rate
// of a pod and the quantiles of its calls (Sample). Within the rates that were seen
// the answer is what was seen, made monotone. Beyond them it is the answer of the
// queueing models that agree with what was seen, each counted by how well it does:
//
//	T = S + W     a pod with c places, calls wait in line (GI/G/c)
//	T = S · g     a pod whose calls share its CPU (processor sharing on c cores)
//
//	P(W > t)  = C(c, cρ) · σ/ρ · exp(-t / w)
//	w         = (ca² + cs²)/2 / (κ·(1-ρ))
//	g         = 1 + C(c, cρ) / (c·(1-ρ))
//
//	where  T    what callers see, S what it is without load
//	       r    rate of one pod, requests a second
//	       κ    the rate at which the pod saturates, ρ = r/κ
//	       c    calls that the pod works on at the same time
//	       C    Erlang's probability of waiting
//	       cs²  squared coefficient of variation of S
//	       ca²  that of the times between arrivals at a pod: 1 for arrivals by chance,
//	            1/pods when one gateway deals calls out in turn
//	       σ    root of σ = A(κ·(1-σ)), A the transform of the times between arrivals:
//	            ρ when they come by chance
//
// c, κ, ca² and the kind are not known: every combination is tried, its likelihood is
// that of the seen shares of calls above the seen quantiles (binomial), and the
// prediction is the median over all, the interval from their 5 % to their 95 %. So an
// interval is wide where the past says little, as when nothing ever queued.
//
// What is assumed: the mix of calls stays what it was, pods are alike, and nothing
// behind them (a database) saturates first.
package predict
