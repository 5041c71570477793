// Package otlp takes the log records of functions themselves, over OTLP, to
// ClickHouse: gRPC LogsService/Export and HTTP POST /v1/logs, as protobuf or JSON,
// plain or gzip.
//
//	gRPC ─┐
//	      ├─► decode ─► block ─► wal ─► answer
//	HTTP ─┘                       └───► ship ─► function_logs
//
// What it promises:
//
//   - A request is answered once its records are on disk, in a write-ahead log of
//     their own. From then on each of them is stored in ClickHouse once, through
//     crashes of the collector and of ClickHouse (see packages wal and ship).
//   - A request that is refused for want of room (RESOURCE_EXHAUSTED with RetryInfo,
//     429 with Retry-After) or that does not parse is stored not at all: the client
//     may send it again without doubles.
//   - OTLP has no idempotency key: a client that has no answer must send again, and
//     the records may be on disk already. So requests are remembered by a hash of
//     their bytes, the last ones of them in the log itself: the same bytes sent
//     again within the window are answered and not stored twice, also after kill -9
//     and a restart. A client that puts records into other batches for its second
//     try is beyond that: for it, delivery is at least once. Requests with records
//     that have no time at all are not compared, because two of them may be equal
//     and still be two.
//   - Records that nobody could find, because nothing says which function wrote
//     them, are refused, and counted in the answer's partial success.
//
// Memory is bounded: MaxRequests messages, two blocks of MaxRows, and what inserts hold.
//
// Whoever reaches the addresses can write records in the name of any function:
// they belong into the network of the functions, not beyond it.
package otlp
