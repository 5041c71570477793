-- +goose NO TRANSACTION
-- +goose Up

-- Calls of a gateway in a minute: those that it counted itself, those that came out
-- of its log, those that are stored. A minute that is looked at again replaces its
-- row: read with FINAL. lost, unstored and estimated are calls that are missing.
CREATE TABLE IF NOT EXISTS completeness (
    minute DateTime CODEC(DoubleDelta, ZSTD(1)),
    gateway LowCardinality(String),
    gateway_zone LowCardinality(String),
    since DateTime64(6) CODEC(Delta(8), ZSTD(1)),
    until DateTime64(6) CODEC(Delta(8), ZSTD(1)),
    counted Int64 CODEC(T64, ZSTD(1)),
    received Int64 CODEC(T64, ZSTD(1)),
    lost Int64 CODEC(T64, ZSTD(1)),
    late Int64 CODEC(T64, ZSTD(1)),
    rows Int64 CODEC(T64, ZSTD(1)),
    stored Int64 CODEC(T64, ZSTD(1)),
    unstored Int64 CODEC(T64, ZSTD(1)),
    estimated Int64 CODEC(T64, ZSTD(1)),
    in_flight Int64 CODEC(T64, ZSTD(1)),
    dropped Int64 CODEC(T64, ZSTD(1)),
    settled Bool,
    completed Int64 CODEC(T64, ZSTD(1)),
    uptime Int64 CODEC(T64, ZSTD(1)),
    version UInt64 CODEC(T64, ZSTD(1))
) ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (gateway, minute, since)
TTL minute + INTERVAL 13 MONTH
SETTINGS ttl_only_drop_parts = 1;
