// Package chaos has no code but tests: they run the collector as a process of its
// own in front of a real ClickHouse, kill both while calls arrive, tear the
// write-ahead log, fill the disk, and put a proxy with faults in between. After
// all of it each call is looked for by its id, and every rollup is compared with
// the calls that it sums up.
//
// What has to hold, without an exception:
//
//   - Every line of the log file is stored once.
//   - Every streamed call of a block that reached the disk is stored once; no call
//     is stored twice, and none that was never sent.
//   - Every row of every rollup equals the same aggregation over the table calls,
//     the states of the durations included, byte for byte.
//   - No block is refused for good.
//
// KONGDAO_CHAOS_ROUNDS says how many rounds of kills to do, KONGDAO_CHAOS_SEED
// repeats the choices of an earlier run, whose seed is in its output.
package chaos
