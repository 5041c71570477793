// Package ship sends the blocks of a write-ahead log to ClickHouse.
//
// What it promises:
//
//   - One insert a block, with the block's token, so that a block which is sent
//     again, because nobody knows whether the last try was stored, counts once in
//     the table and in every rollup. That holds as long as the tables remember
//     their last tokens: 10,000 blocks of all collectors together.
//   - What may pass is tried again for ever: server down, timeouts, memory,
//     missing rights, a missing table. Blocks wait in the log meanwhile.
//   - A block that the server can never take (a column that it does not have, a
//     type that does not fit) is moved to the dead-letter folder with the reason,
//     counted, and the blocks behind it go on. The folder is bounded; when it is
//     full, delivery stops and says so. No block is thrown away.
//
// Blocks may arrive out of order; the log's cursor moves only over those that are
// stored without a gap.
package ship
