-- +goose NO TRANSACTION
-- +goose Up

-- A stored call that stands for many counts as many in the quantiles: slow calls
-- are all stored, so without weights a sampled function would look slow. Weights
-- are 1000 at most.
{{range .Rollups}}
ALTER TABLE {{.Name}}_from_calls MODIFY QUERY
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
