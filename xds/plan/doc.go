// Package plan tells what a change of the configuration does before it is made: it
// replays stored calls through two Worlds and compares what [explain.Explain] says
// of each, and it lists the resources that differ. It is pure.
//
// A stored call does not hold everything that a request had. What is missing is
// tried in every way that matters to one of the Worlds and agrees with what the
// call's record says of the old one: its route, status, revision and consumer. Where
// all ways lead to the same change, that is the change; where they do not, the call
// is counted as one of which nobody can tell, with what would have to be known. The
// rest is taken as said in [Assumptions].
package plan
