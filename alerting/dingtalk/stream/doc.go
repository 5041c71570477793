// Package stream hears what happens in DingTalk over Stream mode: a WebSocket that
// goes out, so that no address of ours need be public.
//
// What it promises
//
//   - A callback is answered after it was accepted and before it is worked on, so
//     that DingTalk does not push it again meanwhile; one that was not accepted is
//     pushed again.
//   - It connects again by itself: after a cut, which pings detect, after DingTalk
//     asks for it, and, with growing waits, when DingTalk cannot be reached.
//   - Run ends with its context and leaves nothing behind.
//   - Neither the app's secret nor a ticket is ever part of an error or a log.
package stream
