// Package wal is the collector's write-ahead log: a first-in first-out queue on
// disk of blocks that are ready to be sent to ClickHouse.
//
// What it promises:
//
//   - When Append returns nil the block, and the source positions that were read
//     up to it, are on disk together. A reader of a file that resumes from
//     Positions therefore reads each line once, whatever was killed when.
//   - Every block has a token that never changes and is never given to another
//     block, so that a block may be sent again without being stored twice.
//   - Nothing is dropped. When the disk budget is used up, or the disk is full,
//     Append waits until there is room or its context ends.
//   - Damage is found by checksums: a torn tail is cut off when the log is opened;
//     a damaged record further in front is set aside in the folder quarantine,
//     counted, and the records behind it go on.
//
// What it does not do: it has one writer process (a lock on the folder), one
// consumer, and no index; records are read once, in order.
//
// On disk
//
//	DIR/LOCK                      held by flock while the log is open; pid inside
//	DIR/cursor                    how far blocks were acknowledged
//	DIR/00000000000000000001.wal  a segment, named by its first sequence number
//	DIR/quarantine/*.bad          damaged bytes, named by segment and offset
//
// A segment starts with a header that repeats the positions that held when it was
// made, so they outlive the deletion of the segments before it. Segments are
// deleted once all of their blocks have been acknowledged.
package wal
