CREATE TABLE IF NOT EXISTS calls_local ON CLUSTER `main` (
    ts DateTime64(6) CODEC(Delta(8), ZSTD(1)),
    request_id UUID CODEC(ZSTD(1)),
    trace_id FixedString(16) CODEC(ZSTD(1)),
    gateway LowCardinality(String),
    gateway_zone LowCardinality(String),
    tenant LowCardinality(String),
    function LowCardinality(String),
    revision LowCardinality(String),
    route LowCardinality(String),
    zone LowCardinality(String),
    pod LowCardinality(String),
    method LowCardinality(String),
    host String CODEC(ZSTD(1)),
    path String CODEC(ZSTD(1)),
    status UInt16 CODEC(ZSTD(1)),
    flags LowCardinality(String),
    duration_us UInt32 CODEC(T64, ZSTD(1)),
    upstream_us UInt32 CODEC(T64, ZSTD(1)),
    ttfb_us UInt32 CODEC(T64, ZSTD(1)),
    bytes_in UInt64 CODEC(T64, ZSTD(1)),
    bytes_out UInt64 CODEC(T64, ZSTD(1)),
    attempts UInt8 CODEC(ZSTD(1)),
    client_ip IPv6 CODEC(ZSTD(1)),
    user_agent String CODEC(ZSTD(1)),
    consumer LowCardinality(String),
    limited_by LowCardinality(String),
    load_test String CODEC(ZSTD(1)),
    sample_weight UInt32 DEFAULT 1,
    attrs Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    INDEX calls_request_id request_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX calls_trace_id trace_id TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(ts)
ORDER BY (tenant, function, toStartOfFiveMinutes(ts), zone, ts)
TTL toDateTime(ts) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS calls ON CLUSTER `main` AS calls_local
ENGINE = Distributed('main', currentDatabase(), 'calls_local', rand());

CREATE TABLE IF NOT EXISTS calls_10s_local ON CLUSTER `main` (
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
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(t)
ORDER BY (tenant, function, load_test, t, revision, zone, status)
TTL t + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS calls_10s ON CLUSTER `main` AS calls_10s_local
ENGINE = Distributed('main', currentDatabase(), 'calls_10s_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS calls_10s_from_calls ON CLUSTER `main` TO calls_10s_local AS
SELECT
    toStartOfInterval(toDateTime(c.ts), INTERVAL 10 SECOND) AS t,
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
FROM calls_local AS c
GROUP BY t, tenant, function, load_test, revision, zone, status;

CREATE TABLE IF NOT EXISTS calls_1m_local ON CLUSTER `main` (
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
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toYYYYMM(t)
ORDER BY (tenant, function, load_test, t, revision, zone, status)
TTL t + INTERVAL 3 MONTH
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS calls_1m ON CLUSTER `main` AS calls_1m_local
ENGINE = Distributed('main', currentDatabase(), 'calls_1m_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS calls_1m_from_calls ON CLUSTER `main` TO calls_1m_local AS
SELECT
    toStartOfInterval(toDateTime(c.ts), INTERVAL 1 MINUTE) AS t,
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
FROM calls_local AS c
GROUP BY t, tenant, function, load_test, revision, zone, status;

CREATE TABLE IF NOT EXISTS calls_1h_local ON CLUSTER `main` (
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
) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toYYYYMM(t)
ORDER BY (tenant, function, load_test, t, revision, zone, status)
TTL t + INTERVAL 13 MONTH
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS calls_1h ON CLUSTER `main` AS calls_1h_local
ENGINE = Distributed('main', currentDatabase(), 'calls_1h_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS calls_1h_from_calls ON CLUSTER `main` TO calls_1h_local AS
SELECT
    toStartOfInterval(toDateTime(c.ts), INTERVAL 1 HOUR) AS t,
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
FROM calls_local AS c
GROUP BY t, tenant, function, load_test, revision, zone, status;

CREATE TABLE IF NOT EXISTS load_runs_local ON CLUSTER `main` (
    run String,
    started DateTime64(6),
    ended DateTime64(6),
    scenario LowCardinality(String),
    function LowCardinality(String),
    result String CODEC(ZSTD(3))
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', ended)
ORDER BY run
SETTINGS replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS load_runs ON CLUSTER `main` AS load_runs_local
ENGINE = Distributed('main', currentDatabase(), 'load_runs_local', cityHash64(run));

CREATE TABLE IF NOT EXISTS stored_blocks_local ON CLUSTER `main` (
    table LowCardinality(String),
    token String CODEC(ZSTD(1)),
    rows UInt32,
    parts UInt32,
    stored DateTime64(3) CODEC(Delta, ZSTD(1))
) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toMonday(stored)
ORDER BY (table, token)
TTL toDateTime(stored) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS stored_blocks ON CLUSTER `main` AS stored_blocks_local
ENGINE = Distributed('main', currentDatabase(), 'stored_blocks_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS stored_blocks_from_calls ON CLUSTER `main` TO stored_blocks_local AS
SELECT
    'calls' AS table,
    getSetting('insert_deduplication_token') AS token,
    toUInt32(count()) AS rows,
    toUInt32(uniqExact(toDate(c.ts))) AS parts,
    now64(3) AS stored
FROM calls_local AS c
HAVING token != '';

CREATE TABLE IF NOT EXISTS function_logs_local ON CLUSTER `main` (
    ts DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    tenant LowCardinality(String),
    function LowCardinality(String),
    revision LowCardinality(String),
    zone LowCardinality(String),
    pod LowCardinality(String),
    request_id UUID CODEC(ZSTD(1)),
    trace_id FixedString(16) CODEC(ZSTD(1)),
    span_id FixedString(8) CODEC(ZSTD(1)),
    severity UInt8 CODEC(ZSTD(1)),
    severity_text LowCardinality(String),
    scope LowCardinality(String),
    body String CODEC(ZSTD(1)),
    attrs Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    INDEX function_logs_request_id request_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX function_logs_trace_id trace_id TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(ts)
ORDER BY (tenant, function, ts)
TTL toDateTime(ts) + INTERVAL 14 DAY
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS function_logs ON CLUSTER `main` AS function_logs_local
ENGINE = Distributed('main', currentDatabase(), 'function_logs_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS stored_blocks_from_function_logs ON CLUSTER `main` TO stored_blocks_local AS
SELECT
    'function_logs' AS table,
    getSetting('insert_deduplication_token') AS token,
    toUInt32(count()) AS rows,
    toUInt32(uniqExact(toDate(l.ts))) AS parts,
    now64(3) AS stored
FROM function_logs_local AS l
HAVING token != '';

CREATE TABLE IF NOT EXISTS completeness_local ON CLUSTER `main` (
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
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', version)
PARTITION BY toYYYYMM(minute)
ORDER BY (gateway, minute, since)
TTL minute + INTERVAL 13 MONTH
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS completeness ON CLUSTER `main` AS completeness_local
ENGINE = Distributed('main', currentDatabase(), 'completeness_local', cityHash64(gateway));

CREATE TABLE IF NOT EXISTS call_ids_local ON CLUSTER `main` (
    id UInt32 CODEC(Delta(4), ZSTD(1)),
    day Date CODEC(ZSTD(1)),
    minute UInt16 CODEC(ZSTD(1)),
    tenant LowCardinality(String),
    function LowCardinality(String)
) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY day
ORDER BY id
TTL day + INTERVAL 31 DAY
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 10000, index_granularity = 1024;

CREATE TABLE IF NOT EXISTS call_ids ON CLUSTER `main` AS call_ids_local
ENGINE = Distributed('main', currentDatabase(), 'call_ids_local', rand());

CREATE MATERIALIZED VIEW IF NOT EXISTS call_ids_from_calls ON CLUSTER `main` TO call_ids_local AS
SELECT
    hash AS id,
    toDate(c.ts, 'UTC') AS day,
    toUInt16(intDiv(toUnixTimestamp(toDateTime(c.ts)), 60) % 1440) AS minute,
    c.tenant AS tenant,
    c.function AS function
FROM calls_local AS c
ARRAY JOIN arrayFilter((h, set) -> set, [xxHash32(c.request_id), xxHash32(c.trace_id)], [notEmpty(c.request_id), c.trace_id != toFixedString('', 16)]) AS hash;

ALTER TABLE calls_local ON CLUSTER `main` DROP INDEX IF EXISTS calls_request_id;

ALTER TABLE calls_local ON CLUSTER `main` DROP INDEX IF EXISTS calls_trace_id;

ALTER TABLE load_runs_local ON CLUSTER `main` MODIFY TTL toDateTime(ended) + toIntervalDay(365) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE load_runs_local ON CLUSTER `main` MODIFY SETTING ttl_only_drop_parts = 0;

CREATE TABLE IF NOT EXISTS alert_messages_local ON CLUSTER `main` (
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
) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toYYYYMM(at)
ORDER BY (at, id)
TTL toDateTime(at) + INTERVAL 13 MONTH
SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS alert_messages ON CLUSTER `main` AS alert_messages_local
ENGINE = Distributed('main', currentDatabase(), 'alert_messages_local', cityHash64(at));
