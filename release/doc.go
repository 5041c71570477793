// Package release decides which revision of a function gets how much of its
// traffic when that is not merely what a file says.
//
// [Ledger] is the durable record: what was published under which name, so that a
// release never overwrites another; weights that were set by command; how
// automatic releases stand. It is a journal in the data directory.
//
// [Controller] moves traffic to a new revision step by step, compares what happens
// to the calls of the new and of the old one by a sequential test (see package
// sequential), and takes everything back when the new one is worse.
//
// How commands and files relate: a function's file says the ordinary weights.
// Weights that a command or the controller sets go before them, until they are
// reset or the file says the same. They never change who is matched by header,
// cookie or list. An override that names a revision which the file has no more is
// void: the file's weights count until the revision is back or the override reset.
package release
