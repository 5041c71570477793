// Package embedded runs a real ClickHouse engine as a child of this program: no
// server package, no container, no cgo. It is for one machine and for tests.
//
// The program starts itself again; the child loads the shared library libchdb.so
// and opens ClickHouse's own native and HTTP ports on loopback. main has to hand
// over to the child before anything else:
//
//	if embedded.IsChild() {
//		os.Exit(embedded.RunChild())
//	}
//
// and so has TestMain of each test binary that starts an engine; package
// embeddedtest has it ready-made.
//
// # What it promises
//
//   - [Engine.Ready] closes after a query by the application's user was answered.
//   - An engine that ends is started again on the same port, with the same
//     password, so clients just reconnect. Rows that were acknowledged before are
//     there: the engine survives kill -9. Power loss is another matter.
//   - An insert that a kill cut off may be sent again with its
//     insert_deduplication_token: each of its parts is stored once. By itself the
//     engine would take a part for stored whose token it wrote down before it was
//     killed.
//   - The child never outlives its parent, and never another child on the same data.
//   - A data directory that is in use or not writable is an error of [New].
//
// # What it does not do
//
// A wrong password, an unknown database or noise on a port ends this engine: in
// this library an exception that leaves a connection's handler is fatal. Hence the
// random password, loopback only, and the restart. The user "default" belongs to
// the engine's own start-up script; it has no password and no right to any data.
// For a network, for several machines or for other clients, run a ClickHouse server
// and give KongDao its DSN.
package embedded
