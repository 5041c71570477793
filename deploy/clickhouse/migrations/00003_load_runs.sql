-- +goose NO TRANSACTION
-- +goose Up

-- One row a load test; storing a run again replaces it. Its calls are in calls,
-- under load_test = run.
CREATE TABLE IF NOT EXISTS load_runs (
    run String,
    started DateTime64(6),
    ended DateTime64(6),
    scenario LowCardinality(String),
    function LowCardinality(String),
    result String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree(ended)
ORDER BY run
SETTINGS non_replicated_deduplication_window = 1000;
