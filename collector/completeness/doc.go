// Package completeness says how many calls of each gateway are missing from the
// call log.
//
// A gateway counts requests itself: all that it began (T) and those in flight (A).
// At every moment
//
//	T − A  =  calls that ended so far, and are in its log
//
// and the collector knows of each call that it received when it ended. So with
// L(t) = calls received that ended up to t,
//
//	D(t) = T(t) − A(t) − L(t)
//
// is zero but for the calls of the few milliseconds between the two readings, and
// grows by one for ever with each call that is lost. Nothing has to be aligned, no
// call needs a number, and single losses are seen. What is missing up to t is the
// smallest D of any later moment: a moment at which the counters were read late
// has a larger one, which says nothing.
//
// A missing call is late until the horizon has passed and the source has nothing
// left to read; then it is lost. One that still arrives is found again.
//
// A gateway that is killed takes with it the calls of which it had told nobody.
// Those that it had counted are lost calls as above, a lower bound. The rest is
// estimated: its rate × the time between the last call that it logged and its end.
//
// Whether calls that were received are in ClickHouse is asked of ClickHouse, minute
// by minute, so that a loss has a stage: the gateway's log, or storage.
//
// What it does not see: calls that a gateway never counted, and, for a gateway that
// sends its log to several collectors, anything: its counters and all of its log
// belong to one.
package completeness
