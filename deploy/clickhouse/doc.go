// Package schema creates and updates KongDao's tables in a ClickHouse, embedded or
// not: the call log calls, its rollups, and the results of load tests.
//
// The files in migrations are plain SQL, run once each and in order by goose, which
// keeps the version in the table goose_db_version. What is defined elsewhere is
// filled in: the columns of calls are those of package calllog, and a column that
// calllog gained since is added. Every statement may run again, because ClickHouse
// has no transactions around them.
//
// Each rollup is fed by its own materialized view straight from calls, never by
// another rollup, and each table has a deduplication window of its own: a block
// that is inserted again under the same token then counts once everywhere.
//
// [Config] says how long rows are kept and whether the tables are on a cluster;
// [Reader] is who asks with SQL of their own; [ByHash] finds calls by an id.
package schema
