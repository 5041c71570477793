-- +goose NO TRANSACTION
-- +goose Up

-- One row for each thing that happened to a message about alerts. A row that comes
-- again has the same id and replaces itself: read with FINAL.
CREATE TABLE IF NOT EXISTS alert_messages (
    at DateTime64(6) CODEC(Delta(8), ZSTD(1)),
    id UUID,
    event LowCardinality(String),
    message UUID,
    channel LowCardinality(String),
    robot LowCardinality(String),
    matter String CODEC(ZSTD(1)),
    sequence UInt64 CODEC(T64, ZSTD(1)),
    grouping String CODEC(ZSTD(1)),
    alert LowCardinality(String),
    severity LowCardinality(String),
    function LowCardinality(String),
    zone LowCardinality(String),
    team LowCardinality(String),
    firing Bool,
    alerts UInt32 CODEC(T64, ZSTD(1)),
    part UInt16 CODEC(T64, ZSTD(1)),
    last Bool,
    by String CODEC(ZSTD(1)),
    reason String CODEC(ZSTD(1)),
    outbox String CODEC(ZSTD(1)),
    content String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (at, id)
TTL toDateTime(at) + INTERVAL 13 MONTH
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;
