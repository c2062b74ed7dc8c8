-- What a lease takes while other leases run beside it: rows that somebody else has taken are passed over. And how what was
-- leased leaves the queue.

-- name: claim
-- The rows of a table and lane that wait longest, behind a place: out of what is ready, leased, and told. An item that is
-- missing is told as one without a record.
WITH taken AS (
    DELETE FROM ready
    WHERE ctid = ANY (ARRAY(
        SELECT q.ctid FROM ready q
        WHERE q.table_id = :table_id AND q.lane = :lane AND q.suspect = :suspect AND q.id > :behind
        ORDER BY q.id LIMIT :most
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, table_id, lane, suspect
), leased AS (
    INSERT INTO leases (epoch, id, record_id, table_id, op, lane, suspect)
    SELECT :epoch, t.id, i.record_id, t.table_id, i.op, t.lane, t.suspect
    FROM taken t
    JOIN items i ON i.id = t.id
)
SELECT t.id, r.key, i.seq, i.op, i.first, i.refresh, i.ambiguous, i.attempts, i.crashes, i.queued_at, i.checksum,
    i.payload, i.confirmed, i.waits_from
FROM taken t
LEFT JOIN items i ON i.id = t.id
LEFT JOIN records r ON r.id = i.record_id
ORDER BY t.id;

-- name: due
SELECT d.id, i.op, i.lane, i.crashes
FROM delayed d
JOIN items i ON i.id = d.id
WHERE d.table_id = ? AND d.due <= ?
ORDER BY d.due, d.id LIMIT ?
FOR UPDATE OF d SKIP LOCKED;

-- name: children_due
SELECT c.table_id, c.id, i.op, i.lane, i.crashes
FROM children c
JOIN items i ON i.id = c.id
WHERE c.table_id = ? AND c.due <= ?
ORDER BY c.due, c.id LIMIT ?
FOR UPDATE OF c SKIP LOCKED;

-- name: finish
WITH ended AS (DELETE FROM leases WHERE epoch = ? AND id IN (?*) RETURNING id)
DELETE FROM items USING ended WHERE items.id = ended.id;
