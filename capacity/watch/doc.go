// Package watch says from ordinary traffic alone what one pod of each revision can
// take, and whether a release made it worse. It is arithmetic: no clock, no state.
//
// A revision's safe rate is the highest at which its objective holds. Where pods had
// that rate, it is what was seen; below, it is what the queueing models of package
// predict say that agree with latency by load so far, with an interval. Pods that never
// came near say little: then the answer is that there was not enough load to tell. Of
// pods with many workers nothing waits at moderate load, and nothing tells how many they
// have; who says it gets an answer all the same.
//
// A release is compared at the same load, long before a peak: for stretches of ten
// seconds, the logarithm of how long calls took against that of the rate of a pod, one
// line for each revision with a common slope. Calls that hold a pod k times as long
// divide what it can take by k.
package watch
