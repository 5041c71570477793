// Package outbox delivers messages about groups of alerts to chat robots, once
// it has accepted them, through crashes, refusals and robots' limits.
//
// What it promises
//
//   - [Outbox.Put] returns nil only when the group is on disk. From then on it is
//     delivered, superseded by a newer message of the same group, or given up on
//     and handed to [Config.Fallback].
//   - At least once: a message whose answer was lost, or during which the process
//     was killed, is sent again. Both copies carry the same mark (#A3F2-17).
//   - No robot is sent more than [Config.Limit] messages in any [Config.Window],
//     restarts included: tries are written down before they are made.
//   - At most one message of a group waits for a robot. A newer one takes its
//     place, so what ended while it waited is never sent as firing.
//   - Pages go before tickets, and tickets leave some of the limit to pages. When
//     more waits than the limit lets pass, the last free place of the window
//     carries a digest of all that waits, the worst first.
//
// On a full disk Put fails, so that its caller tries again, but what was accepted
// before still goes out.
//
// On disk it is one append-only log of lines, each with its checksum. A torn last
// line is cut off when the log is opened; a damaged line elsewhere is skipped and
// counted in a warning. The log is rewritten when most of it is history.
package outbox
