// Package reply is for people whose robot is no app: links in messages that lead to
// a page on which they claim, silence or escalate.
//
// Opening a link does nothing: programs open links too, to look at what is behind
// them. The page asks who answers, and its button does it, once however often it is
// pressed. The links are signed and expire, see package link; who answers is what
// people say of themselves, chosen from those who may, and is kept with the address
// it came from.
package reply
