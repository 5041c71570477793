-- +goose NO TRANSACTION
-- +goose Up

{{range .Rollups}}
-- t is the start of the interval. load_test keeps calls of load tests apart from
-- real ones: it is part of the key. Counts are weighted by sample_weight, and so is
-- duration: slow calls are all stored, so without weights a sampled function would
-- look slow. Weights are 1000 at most. Read duration, in microseconds, with
-- quantilesDDMerge(0.01, 0.5, 0.9, 0.99): the 0.01 is its relative error.
--
-- A later migration must not use ALTER TABLE view MODIFY QUERY: the token that a
-- view derives for its target is another one after the next start of the server,
-- so that a block which is sent again then counts twice in the rollup.
CREATE TABLE IF NOT EXISTS {{.Name}} (
    t DateTime CODEC(DoubleDelta, ZSTD(1)),
    tenant LowCardinality(String),
    function LowCardinality(String),
    load_test Bool,
    revision LowCardinality(String),
    zone LowCardinality(String),
    status UInt16,
    calls SimpleAggregateFunction(sum, UInt64),
    errors SimpleAggregateFunction(sum, UInt64),
    refused SimpleAggregateFunction(sum, UInt64),
    bytes_in SimpleAggregateFunction(sum, UInt64),
    bytes_out SimpleAggregateFunction(sum, UInt64),
    duration AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.99), UInt32)
) ENGINE = AggregatingMergeTree
PARTITION BY {{.Partition}}
ORDER BY (tenant, function, load_test, t, revision, zone, status)
TTL t + INTERVAL {{.Keep}}
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Name}}_from_calls TO {{.Name}} AS
SELECT
    toStartOfInterval(toDateTime(c.ts), INTERVAL {{.Step}}) AS t,
    c.tenant AS tenant,
    c.function AS function,
    c.load_test != '' AS load_test,
    c.revision AS revision,
    c.zone AS zone,
    c.status AS status,
    sum(toUInt64(c.sample_weight)) AS calls,
    sumIf(toUInt64(c.sample_weight), c.status >= 500) AS errors,
    sumIf(toUInt64(c.sample_weight), c.limited_by != '') AS refused,
    sum(c.bytes_in * c.sample_weight) AS bytes_in,
    sum(c.bytes_out * c.sample_weight) AS bytes_out,
    quantilesDDStateArray(0.01, 0.5, 0.9, 0.99)(arrayWithConstant(least(c.sample_weight, 1000), c.duration_us)) AS duration
FROM calls AS c
GROUP BY t, tenant, function, load_test, revision, zone, status;
{{end}}
