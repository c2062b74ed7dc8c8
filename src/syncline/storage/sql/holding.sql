-- Deletions that are held: rows of the queue that nobody leases until they are let go or confirmed.

-- name: hold_item
UPDATE items SET op = 1, confirmed = 0 WHERE id = ?;

-- name: add_held
INSERT INTO held (table_id, id, generation) VALUES (?, ?, ?);

-- name: remove_held
DELETE FROM held WHERE table_id = ? AND id = ?;

-- name: holds
SELECT id, name, asked, let_go, let_go_from FROM tables WHERE workflow_id = ?;

-- name: held_records
SELECT r.key
FROM held h
JOIN items i ON i.id = h.id
JOIN records r ON r.id = i.record_id
WHERE h.table_id = ? ORDER BY h.id LIMIT ?;

-- name: held_lanes
SELECT i.lane, COUNT(*) FROM held h JOIN items i ON i.id = h.id WHERE h.table_id = ? GROUP BY i.lane;

-- name: oldest_held
SELECT i.queued_at FROM items i WHERE i.id = (SELECT MIN(id) FROM held WHERE table_id = ?);

-- name: set_asked
UPDATE tables SET asked = ? WHERE id = ?;

-- name: set_let_go
UPDATE tables SET let_go = ?, let_go_from = ? WHERE id = ?;

-- name: confirm_items
UPDATE items SET confirmed = 1 WHERE id IN (SELECT h.id FROM held h WHERE h.table_id = ?);

-- name: ready_held
-- The first parameter is how many crashes make a suspect.
INSERT INTO ready (table_id, lane, suspect, id)
SELECT h.table_id, i.lane, CASE WHEN i.crashes >= ? THEN i.crashes ELSE 0 END, h.id
FROM held h
JOIN items i ON i.id = h.id
WHERE h.table_id = ?;

-- name: empty_held
DELETE FROM held WHERE table_id = ?;

-- name: held_before
-- What was held under an earlier generation.
SELECT h.table_id, i.id, i.lane, i.crashes, CASE WHEN i.payload IS NULL AND i.refresh = 0 THEN 1 ELSE 0 END
FROM held h
JOIN items i ON i.id = h.id
JOIN tables t ON t.id = h.table_id
WHERE t.workflow_id = ? AND h.generation < ?;

-- name: requeue_item
UPDATE items SET op = ?, lane = ? WHERE id = ?;

-- name: held_items
-- What is held, for good: whether it may have been applied, and whether the ledger knows the record.
SELECT i.id, i.record_id, i.lane, i.ambiguous, r.fingerprint IS NOT NULL
FROM held h
JOIN items i ON i.id = h.id
JOIN records r ON r.id = i.record_id
WHERE h.table_id = ?;

-- name: audit_held
SELECT i.table_id, i.op, i.lane, 3, COUNT(*)
FROM held h
JOIN items i ON i.id = h.id AND i.table_id = h.table_id
JOIN tables t ON t.id = h.table_id
WHERE t.workflow_id = ?
GROUP BY i.table_id, i.op, i.lane;
