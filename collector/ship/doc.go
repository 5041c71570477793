// Package ship sends the blocks of a write-ahead log to ClickHouse.
//
// What it promises:
//
//   - One insert a block, with the block's token, so that a block which is sent
//     again, because nobody knows whether the last try was stored, counts once in
//     the table and in every rollup. The block goes as it lies in the log: nothing
//     is decoded.
//   - Tables remember their last tokens only: 10,000 blocks of all collectors
//     together. A block that may have been stored before that, because an earlier
//     process may have sent it or because it has been tried for long, is looked up
//     first in the ledger, the table stored_blocks, which the insert of a block
//     writes as well and which keeps 30 days. See below for what that leaves open.
//   - What may pass is tried again for ever: server down, timeouts, memory,
//     missing rights, a missing table. Blocks wait in the log meanwhile.
//   - What the server can never take is moved to the dead-letter folder with the
//     reason, counted, and the rest goes on. When it is a value of a row that is
//     refused, the block is halved until the rows that are meant are found; halves
//     have tokens that follow from the block's. A block that does not fit as a whole
//     is set aside as a whole. The folder is bounded; when it is full, delivery
//     stops and says so. No row is thrown away, and Replay sends letters again.
//
// Blocks may arrive out of order; the log's cursor moves only over those that are
// stored without a gap.
//
// What stays open: an insert is several commits (a part of the table for each of
// its days, then those of each rollup, and of the ledger), and a server that dies
// between them leaves some. A block that is sent again while its token is remembered
// completes them all. One that is sent later than that is completed in the table,
// where each row is looked up, but a rollup that lacks it goes on lacking it: that
// is logged and counted as part. It takes two faults at once, the death of the server
// in the middle of the insert and an outage of the collector that lasts for more
// blocks than are remembered.
package ship
