// Package collector takes calls from Envoy to ClickHouse: it reads Envoy's access
// log file, receives its access log stream, or both, gathers calls in blocks, makes
// the blocks durable and delivers them.
//
//	filelog ─┐                      ┌─► metrics, live tail
//	         ├─► block ─► wal ──────┤
//	als ─────┘   (rows or interval) └─► ship ─► ClickHouse
//
// What it promises, from the moment a block is in the write-ahead log (see package
// wal): each of its calls is stored in ClickHouse once, in the table calls and in
// every rollup, through crashes of the collector and of ClickHouse. For the file
// that covers every line, because the offset behind the last line of a block lies
// in the same record as the block; a line that does not parse is stored, too, with
// what is wrong with it. What the stream loses before it arrives here is Envoy's
// to count.
//
// Nothing is dropped when ClickHouse is away: blocks wait in the log, and when its
// disk budget is used up reading stops, which leaves lines in the file and makes
// Envoy buffer on the stream.
//
// Memory is bounded: two blocks of MaxRows, and what Parallel inserts hold.
//
// Not here yet: completeness, that is the comparison of calls stored per zone and
// minute with Envoy's own request counters. It belongs beside the pipeline, in a
// file of its own, fed by Collector.durable.
package collector
