-- +goose NO TRANSACTION
-- +goose Up

-- Results of stress tests are kept a year, or what the configuration says, which comes
-- after this: nothing is deleted now.
ALTER TABLE load_runs MODIFY TTL toDateTime(ended) + toIntervalDay(365) SETTINGS materialize_ttl_after_modify = 0;

ALTER TABLE load_runs MODIFY SETTING ttl_only_drop_parts = 0;
