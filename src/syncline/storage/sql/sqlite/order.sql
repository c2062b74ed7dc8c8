-- Queries in which SQLite, which does not know how many rows there are, is told where to begin: it takes the tables of a
-- CROSS JOIN in the order in which they stand, and uses no index but the order of the rows where one is NOT INDEXED.

-- name: ready_items
-- The rows of a table and lane that wait longest, behind a place.
SELECT i.id, r.key, i.seq, i.op, i.first, i.refresh, i.ambiguous, i.attempts, i.crashes, i.queued_at, i.checksum,
    i.payload, i.confirmed, i.waits_from
FROM ready q
CROSS JOIN items i ON i.id = q.id
CROSS JOIN records r ON r.id = i.record_id
WHERE q.table_id = ? AND q.lane = ? AND q.suspect = ? AND q.id > ?
ORDER BY q.id LIMIT ?;

-- name: leased_between
SELECT l.id, l.record_id, l.table_id, l.op, l.lane, r.fingerprint IS NOT NULL,
    EXISTS (SELECT 1 FROM waiting w WHERE w.item_id = l.id)
FROM leases l
CROSS JOIN records r ON r.id = l.record_id
WHERE l.epoch = ? AND l.id BETWEEN ? AND ?;

-- name: unseen
SELECT r.key FROM records r NOT INDEXED
WHERE r.table_id = ?
    AND (r.fingerprint IS NOT NULL OR r.item_id IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM seen s WHERE s.table_id = r.table_id AND s.round = ? AND s.record_id = r.id)
ORDER BY r.id LIMIT ?;

-- name: known_after
SELECT r.id, r.key, CASE WHEN r.item_id IS NULL THEN 0 ELSE 1 END
FROM records r NOT INDEXED
WHERE r.table_id = ? AND r.id > ? AND r.fingerprint IS NOT NULL
ORDER BY r.id LIMIT ?;
