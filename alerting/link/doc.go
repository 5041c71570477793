// Package link makes addresses for people's phones that only this installation can
// make, and serves what they lead to.
//
// An address is signed with HMAC-SHA256 over its path and all of its parameters,
// and expires. Nothing else is served by the listener, so it can be reached from
// where phones are while the management API cannot. A handler sees requests whose
// address is right, and may take every parameter as its own word. Who has an
// address can use it until it expires, as often as they like: what must happen
// once has to be made so by its handler.
package link
