// Package chat joins apps' robots with claims: it sends messages as cards with
// buttons, hears over Stream mode who pressed them, and keeps every card of a matter
// current for everybody.
//
//	outbox ─► Send ─► card ─► (somebody presses) ─► stream ─► claim
//	                   ▲                                        │
//	                   └────────────── changed ─────────────────┘
//
// A press is written down before it is answered and worked on after that, once.
// Only people whom the matter is given to may press; others are told so, on the card
// and to nobody else. Cards are changed until they show what is known, over failures
// and restarts.
//
// A card's ID holds the hash of its matter, so that a press is understood by any
// instance that knows the matter.
package chat
