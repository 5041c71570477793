// Package policy decides what of a call is stored: which calls (Sampler) and what
// of their text (Redactor). It is pure: no goroutines, no clock, no files.
//
// Both see each call between its decoding and its block, so that nothing that is
// to be left out reaches the disk, the live tail or ClickHouse. They allocate
// nothing for calls in which there is nothing to hide.
package policy
