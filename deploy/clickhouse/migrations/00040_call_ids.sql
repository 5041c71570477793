-- +goose NO TRANSACTION
-- +goose Up

-- Where a request id or a trace id is: a hash of it, 4 bytes in place of 16, and the
-- minute, tenant and function of its call, which with the order of calls is a
-- handful of granules. It replaces the bloom filters of calls, which have to be read
-- from end to end for one id. Ids that are all zero are none.
CREATE TABLE IF NOT EXISTS call_ids (
    id UInt32 CODEC(Delta(4), ZSTD(1)),
    day Date CODEC(ZSTD(1)),
    minute UInt16 CODEC(ZSTD(1)),
    tenant LowCardinality(String),
    function LowCardinality(String)
) ENGINE = MergeTree
PARTITION BY day
ORDER BY id
TTL day + INTERVAL 31 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000, index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS call_ids_from_calls TO call_ids AS
SELECT
    hash AS id,
    toDate(c.ts, 'UTC') AS day,
    toUInt16(intDiv(toUnixTimestamp(toDateTime(c.ts)), 60) % 1440) AS minute,
    c.tenant AS tenant,
    c.function AS function
FROM calls AS c
ARRAY JOIN arrayFilter((h, set) -> set, [xxHash32(c.request_id), xxHash32(c.trace_id)], [notEmpty(c.request_id), c.trace_id != toFixedString('', 16)]) AS hash;

ALTER TABLE calls DROP INDEX IF EXISTS calls_request_id;

ALTER TABLE calls DROP INDEX IF EXISTS calls_trace_id;
