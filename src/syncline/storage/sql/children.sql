-- Changes that wait for their parents: rows of the queue that nobody leases until another record has ended.

-- name: add_child
INSERT INTO children (table_id, id, parent_table_id, parent_key, due) VALUES (?, ?, ?, ?, ?);

-- name: begin_wait
UPDATE items SET waits_from = COALESCE(waits_from, ?) WHERE id = ?;

-- name: remove_child
DELETE FROM children WHERE table_id = ? AND id = ?;

-- name: anything_waits
SELECT id FROM children LIMIT 1;

-- name: children_of
SELECT c.table_id, c.id, i.op, i.lane, i.crashes
FROM children c
JOIN items i ON i.id = c.id
WHERE c.parent_table_id = ? AND c.parent_key IN (?*);

-- name: children_due
SELECT c.table_id, c.id, i.op, i.lane, i.crashes
FROM children c
JOIN items i ON i.id = c.id
WHERE c.table_id = ? AND c.due <= ?
ORDER BY c.due, c.id LIMIT ?;

-- name: next_child_due
SELECT MIN(due) FROM children WHERE table_id = ?;

-- name: oldest_child
SELECT i.queued_at FROM items i WHERE i.id = (SELECT MIN(id) FROM children WHERE table_id = ?);

-- name: parents_among
-- What is known of records that others point to, and where their rows stand: the number of a state. The first parameter
-- is how many crashes make a suspect.
SELECT r.key, r.fingerprint, i.op,
    CASE
        WHEN i.id IS NULL THEN NULL
        WHEN EXISTS (SELECT 1 FROM children c WHERE c.table_id = r.table_id AND c.id = i.id) THEN 4
        WHEN EXISTS (SELECT 1 FROM held h WHERE h.table_id = r.table_id AND h.id = i.id) THEN 3
        WHEN EXISTS (SELECT 1 FROM delayed d WHERE d.table_id = r.table_id AND d.id = i.id) THEN 1
        WHEN EXISTS (
            SELECT 1 FROM ready q
            WHERE q.table_id = r.table_id AND q.lane = i.lane AND q.id = i.id
                AND q.suspect = CASE WHEN i.crashes >= ? THEN i.crashes ELSE 0 END
        ) THEN 0
        ELSE 2
    END
FROM records r
LEFT JOIN items i ON i.id = r.item_id
WHERE r.table_id = ? AND r.key IN (?*);

-- name: dead_among
SELECT DISTINCT key FROM dead_letters WHERE status = 'open' AND table_id = ? AND key IN (?*);

-- name: waits_for
SELECT c.parent_table_id, c.parent_key
FROM records r
JOIN children c ON c.table_id = r.table_id AND c.id = r.item_id
WHERE r.table_id = ? AND r.key = ?;

-- name: letters_of_children
SELECT d.id, d.table_id, t.name, d.key, d.first, d.ambiguous, d.payload
FROM dead_letters d
JOIN tables t ON t.id = d.table_id
WHERE d.status = 'open' AND d.parent_table_id = ? AND d.parent_key IN (?*);

-- name: blank_parent
-- Letters that name a record that was forgotten.
UPDATE dead_letters SET parent_table_id = NULL, parent_key = NULL, message = ?
WHERE parent_table_id = ? AND parent_key = ?;

-- name: audit_children
SELECT i.table_id, i.op, i.lane, 4, COUNT(*)
FROM children c
JOIN items i ON i.id = c.id AND i.table_id = c.table_id
JOIN tables t ON t.id = c.table_id
WHERE t.workflow_id = ?
GROUP BY i.table_id, i.op, i.lane;
