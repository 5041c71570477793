-- +goose NO TRANSACTION
-- +goose Up

-- One row a call. A day is a partition, so that old days are dropped, not rewritten.
CREATE TABLE IF NOT EXISTS calls (
{{.Columns}},
    INDEX calls_request_id request_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX calls_trace_id trace_id TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (tenant, function, toStartOfFiveMinutes(ts), zone, ts)
TTL toDateTime(ts) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;
