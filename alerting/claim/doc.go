// Package claim keeps book of who takes care of which matter: who claimed it and
// until when, who silenced it, and what happens when nobody does.
//
// What it promises
//
//   - An answer is on disk, synced, before it counts as accepted, and is worked on
//     exactly once, however often it comes and whenever the process is killed.
//   - Of several answers to one matter the first claim counts; the others are told
//     who has it.
//   - A claim does not silence. It ends with the matter, or after its time.
//   - What nobody claims goes up one step after another, until somebody claims or
//     silences it or it ends. Steps that were due while the process was away are
//     taken when it is back, one at a time.
//
// It sends nothing itself: [Hooks] do. It keeps the first few alerts of each matter,
// and matters that ended for a day.
package claim
