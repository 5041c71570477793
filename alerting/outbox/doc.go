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
//   - At most one message of a group waits in a channel. A newer one takes its
//     place, so what ended while it waited is never sent as firing.
//   - Pages go before tickets, and tickets leave some of the limit to pages. When
//     more waits than the limit lets pass, digests carry it, the worst first, and
//     the places that are left are spread over the window.
//   - Messages are addressed to a [Channel], whose robots share them. What they
//     refuse for good, or do not take in time, is handed to the channel's fallback
//     in the same write to disk that takes it from the channel.
//   - A group that is put again after a restart, because its putter did not live to
//     note that it was accepted, is one message.
//   - [Config.Record] is told all of it, derived from the journal alone.
//
// On a full disk Put fails, so that its caller tries again, but what was accepted
// before still goes out.
//
// On disk it is one append-only log of lines, each with its checksum. A torn last
// line is cut off when the log is opened; a damaged line elsewhere is skipped and
// counted in a warning. The log is rewritten when most of it is history.
package outbox
