// Package ledger keeps what became of every message about alerts, in order and on
// disk, until somebody has taken it: [Log.Append] writes down, [Log.Read] hands out
// what was not taken yet, [Log.Taken] forgets it.
//
// What it promises
//
//   - An event that was appended survives the end of the process, and that of the
//     machine once [Log.Sync] has returned.
//   - Events are handed out in their order and at least once: who takes them tells
//     doubles by [Event.ID], which is the same however often an event is appended.
//   - The log never stops what it writes about: when nobody takes events and the log
//     is full, its oldest file goes, and [Log.Lost] counts that.
//
// On disk it is a folder of files of lines, each with its checksum, and one file that
// says how far they were taken. A damaged line is skipped.
package ledger
