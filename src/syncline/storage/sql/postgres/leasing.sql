-- What a lease takes while other leases run beside it: rows that somebody else has taken are passed over.

-- name: ready_items
SELECT i.id, r.key, i.seq, i.op, i.first, i.refresh, i.ambiguous, i.attempts, i.crashes, i.queued_at, i.checksum,
    i.payload, i.confirmed, i.waits_from, i.record_id
FROM ready q
JOIN items i ON i.id = q.id
JOIN records r ON r.id = i.record_id
WHERE q.table_id = ? AND q.lane = ? AND q.suspect = ? AND q.id > ?
ORDER BY q.id LIMIT ?
FOR UPDATE OF q SKIP LOCKED;

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
