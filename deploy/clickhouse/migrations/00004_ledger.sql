-- +goose NO TRANSACTION
-- +goose Up

-- Which blocks were stored, for longer than tables remember tokens. The row of a
-- block is written by its own insert, after the rows of the block themselves.
CREATE TABLE IF NOT EXISTS stored_blocks (
    table LowCardinality(String),
    token String CODEC(ZSTD(1)),
    rows UInt32,
    parts UInt32,
    stored DateTime64(3) CODEC(Delta, ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toMonday(stored)
ORDER BY (table, token)
TTL toDateTime(stored) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS stored_blocks_from_calls TO stored_blocks AS
SELECT
    'calls' AS table,
    getSetting('insert_deduplication_token') AS token,
    toUInt32(count()) AS rows,
    toUInt32(uniqExact(toDate(c.ts))) AS parts,
    now64(3) AS stored
FROM calls AS c
HAVING token != '';
