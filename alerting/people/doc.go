// Package people knows who is told about an alert: which team a function belongs
// to, where that team reads, and who of it is on call at a moment.
//
// It is pure: a [Directory] is made from resources, never changes, and answers the
// same for the same moment, so that a message that is written twice, before and
// after a restart, mentions the same person.
package people
