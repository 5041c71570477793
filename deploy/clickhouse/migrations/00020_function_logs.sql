-- +goose NO TRANSACTION
-- +goose Up

-- One row a log record of a function, as the collector takes it over OTLP. It joins
-- calls by trace_id or request_id.
CREATE TABLE IF NOT EXISTS function_logs (
{{.FunctionLogs}},
    INDEX function_logs_request_id request_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX function_logs_trace_id trace_id TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (tenant, function, ts)
TTL toDateTime(ts) + INTERVAL 14 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS stored_blocks_from_function_logs TO stored_blocks AS
SELECT
    'function_logs' AS table,
    getSetting('insert_deduplication_token') AS token,
    toUInt32(count()) AS rows,
    toUInt32(uniqExact(toDate(l.ts))) AS parts,
    now64(3) AS stored
FROM function_logs AS l
HAVING token != '';
