-- What concerns the connection and the whole store. All that is set is set for one transaction: the session may be lent
-- to somebody else after it.

-- name: begin_writing
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL search_path TO :schema;
SET LOCAL application_name TO :mark;
SET LOCAL lock_timeout TO :patience;
-- A process that is paused in a transaction loses it, so that the others wait for a few seconds and not for the process.
SET LOCAL idle_in_transaction_session_timeout TO :idle;
-- To compile a query takes longer than any of these runs.
SET LOCAL jit TO off;

-- name: begin_reading
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL search_path TO :schema;
SET LOCAL application_name TO :mark;
SET LOCAL lock_timeout TO :patience;
SET LOCAL idle_in_transaction_session_timeout TO :idle;

-- name: commit_lazily
SET LOCAL synchronous_commit TO off;

-- name: mark
INSERT INTO markers (id, number, at)
VALUES (:marker, :number, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT))
ON CONFLICT (id) DO UPDATE SET number = excluded.number, at = excluded.at;

-- name: wait_for_workflow
SELECT id FROM workflows WHERE name = :workflow FOR NO KEY UPDATE;

-- name: share_workflow
-- Whoever waits for the workflow waits for this one, but not those that share it.
SELECT id FROM workflows WHERE name = :workflow FOR SHARE;

-- name: wait_for_workflows
SELECT id FROM workflows WHERE starts_with(name, :workflow) ORDER BY id FOR NO KEY UPDATE;

-- name: now
-- The one clock of this storage, in microseconds: what it is at this statement, not when the transaction began.
SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT);

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- name: take_epoch
SELECT nextval('epochs');

-- name: take_number
SELECT nextval('numbers') * 1048576;

-- name: marker
-- Waits for the transaction that wrote it last, if that is still under way.
SELECT number FROM markers WHERE id = ? FOR UPDATE;

-- name: drop_markers
-- Of connections that are long gone.
DELETE FROM markers WHERE at < ?;

-- name: is_there
-- Not with to_regclass: what it remembers of the names can be older than what this transaction sees.
SELECT COUNT(*) = 2
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ? AND c.relname IN ('migrations', 'meta');

-- name: wait_for_creation
SELECT pg_advisory_xact_lock(hashtextextended('syncline ' || ?, 0));

-- name: schema_is_there
SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = ?);

-- name: strangers
-- How many tables are in the schema.
SELECT COUNT(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ?;

-- name: version
SELECT MAX(version) FROM migrations;

-- name: add_version
INSERT INTO migrations (version, at) VALUES (?, ?);

-- name: end_stuck
-- Sessions of this storage that have kept a transaction open for so many seconds because their process reads no more.
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND application_name = ? AND pid <> pg_backend_pid()
    AND wait_event = 'ClientWrite' AND xact_start < clock_timestamp() - make_interval(secs => ?);
