-- Many rows in one statement: a query over `unnest(` takes its values as columns, one array for each placeholder.

-- name: add_to_counter
-- Everybody locks them in one order: two leases that run side by side wait for each other here, and never both.
WITH mine AS (
    SELECT c.scope, c.name, a.change
    FROM unnest(?::BIGINT[], ?::BIGINT[], ?::TEXT[]) AS a (change, scope, name)
    JOIN counters c ON c.scope = a.scope AND c.name = a.name
    ORDER BY c.scope, c.name
    FOR NO KEY UPDATE OF c
)
UPDATE counters SET n = n + mine.change
FROM mine
WHERE counters.scope = mine.scope AND counters.name = mine.name;

-- name: start_counter
INSERT INTO counters (scope, name, n) SELECT *, 0 FROM unnest(?::BIGINT[], ?::TEXT[]);

-- name: add_record
INSERT INTO records (id, table_id, key, item_id)
SELECT * FROM unnest(?::BIGINT[], ?::BIGINT[], ?::BYTEA[], ?::BIGINT[])
ON CONFLICT (table_id, key) DO NOTHING;

-- name: queue_record
UPDATE records SET item_id = found.item_id
FROM (
    SELECT a.item_id, r.id
    FROM unnest(?::BIGINT[], ?::BIGINT[]) AS a (item_id, id)
    CROSS JOIN LATERAL (SELECT r.id FROM records r WHERE r.id = a.id AND r.item_id IS NULL OFFSET 0) r
) found
WHERE records.id = found.id;

-- name: enqueue
WITH added AS (
    INSERT INTO items (
        id, record_id, table_id, seq, op, lane, first, refresh, ambiguous, queued_at, checksum, payload
    )
    SELECT * FROM unnest(
        ?::BIGINT[], ?::BIGINT[], ?::BIGINT[], ?::BIGINT[], ?::BIGINT[], ?::BIGINT[], ?::BIGINT[], ?::BIGINT[],
        ?::BIGINT[], ?::BIGINT[], ?::BIGINT[], ?::BYTEA[]
    )
    RETURNING table_id, lane, id
)
INSERT INTO ready (table_id, lane, suspect, id) SELECT table_id, lane, 0, id FROM added;

-- name: add_ready
INSERT INTO ready (table_id, lane, suspect, id)
SELECT * FROM unnest(?::BIGINT[], ?::BIGINT[], ?::BIGINT[], ?::BIGINT[]);

-- name: remove_delayed
DELETE FROM delayed
USING unnest(?::BIGINT[], ?::BIGINT[]) AS a (table_id, id)
WHERE delayed.table_id = a.table_id AND delayed.id = a.id;

-- name: remember
UPDATE records SET fingerprint = a.fingerprint, item_id = a.item_id
FROM unnest(?::BYTEA[], ?::BIGINT[], ?::BIGINT[]) AS a (fingerprint, item_id, id)
WHERE records.id = a.id;

-- name: leave_queue
UPDATE records SET item_id = a.item_id
FROM unnest(?::BIGINT[], ?::BIGINT[]) AS a (item_id, id)
WHERE records.id = a.id;

-- name: drop_record
DELETE FROM records
WHERE records.id = ANY (ARRAY(SELECT unnest(?::BIGINT[]))) AND records.item_id IS NULL AND records.fingerprint IS NULL
    AND NOT EXISTS (
        SELECT 1 FROM tables t
        JOIN seen s ON s.table_id = t.id AND s.round = t.round
        WHERE t.id = records.table_id AND s.record_id = records.id
    );

-- name: add_seen
INSERT INTO seen (table_id, round, record_id)
SELECT * FROM unnest(?::BIGINT[], ?::BIGINT[], ?::BIGINT[])
ON CONFLICT (table_id, round, record_id) DO NOTHING;

-- name: remove_past_seen
DELETE FROM seen
USING unnest(?::BIGINT[], ?::BIGINT[], ?::BIGINT[]) AS a (table_id, round, record_id)
WHERE seen.table_id = a.table_id AND seen.round = a.round AND seen.record_id = a.record_id;

-- name: resolve_letters
UPDATE dead_letters SET status = 'resolved'
FROM unnest(?::BIGINT[], ?::BYTEA[], ?::BIGINT[]) AS a (table_id, key, seq)
WHERE dead_letters.table_id = a.table_id AND dead_letters.key = a.key AND dead_letters.status = 'open'
    AND dead_letters.seq <= a.seq;
