-- The parts of what a session does with many rows at once: `claim`, `enqueue` and `finish`.

-- name: lease_range
-- From the first that was chosen to the last there is no other.
INSERT INTO leases (epoch, id, record_id, table_id, op, lane, suspect)
SELECT ?, q.id, i.record_id, q.table_id, i.op, q.lane, q.suspect
FROM ready q
CROSS JOIN items i ON i.id = q.id
WHERE q.table_id = ? AND q.lane = ? AND q.suspect = ? AND q.id BETWEEN ? AND ?;

-- name: leave_range
DELETE FROM ready WHERE table_id = ? AND lane = ? AND suspect = ? AND id BETWEEN ? AND ?;

-- name: add_item
INSERT INTO items (id, record_id, table_id, seq, op, lane, first, refresh, ambiguous, queued_at, checksum, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: ready_added
INSERT INTO ready (table_id, lane, suspect, id) SELECT table_id, lane, 0, id FROM items WHERE id BETWEEN ? AND ?;

-- name: end_leases_among
DELETE FROM leases WHERE epoch = ? AND id IN (?*);

-- name: finish_items_between
DELETE FROM items WHERE id BETWEEN ? AND ?;
