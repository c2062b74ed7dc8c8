-- What PostgreSQL has besides. Everybody's tables are made first, with BIGINT, BYTEA and text in the order of its bytes.

-- name: create_migrations
-- Which versions of the schema were put here, and when (microseconds since 1970). The largest is what is here now.
CREATE TABLE migrations (
    version BIGINT PRIMARY KEY,
    at BIGINT NOT NULL
);

-- name: create_markers
-- One row per connection, written by each transaction as its first deed. Who lost the answer to a commit waits for the
-- row and sees in its number whether the transaction came true.
CREATE TABLE markers (
    id UUID PRIMARY KEY,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL
) WITH (fillfactor = 50);

-- name: create_epochs
CREATE SEQUENCE epochs;

-- name: create_numbers
-- Each is a block of 1,048,576 numbers, so that a transaction has numbers in a row and nobody waits for another.
CREATE SEQUENCE numbers;

-- name: tune_counters
-- Few rows that change all the time: room on each page, so that a new version stays on it and no index is written.
ALTER TABLE counters SET (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

-- name: tune_workflows
ALTER TABLE workflows SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- name: tune_grants
ALTER TABLE grants SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- name: tune_records
-- Each record is written when it is queued and again when it is done: room for both on one page spares the indexes.
ALTER TABLE records SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- name: tune_items
-- A queue: what is written is soon deleted, so vacuum by the number of rows that went, whatever the size.
ALTER TABLE items SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0, toast.autovacuum_vacuum_scale_factor = 0,
    toast.autovacuum_vacuum_threshold = 10000
);

-- name: tune_ready
ALTER TABLE ready SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000, autovacuum_vacuum_cost_delay = 0
);

-- name: tune_leases
ALTER TABLE leases SET (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000, autovacuum_vacuum_cost_delay = 0
);
