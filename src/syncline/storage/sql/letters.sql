-- Dead letters. Those that are open are counted.

-- name: add_letter
INSERT INTO dead_letters (
    workflow_id, table_id, key, seq, payload, reason, field, message, at, generation, attempts, first, ambiguous, status,
    parent_table_id, parent_key
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: resolve_letters
-- A change of the same record that is not older was settled for good, or needs no write.
UPDATE dead_letters SET status = 'resolved'
WHERE table_id = ? AND key = ? AND status = 'open' AND seq <= ?;

-- name: newer_letter
SELECT EXISTS (SELECT 1 FROM dead_letters WHERE table_id = ? AND key = ? AND status = 'open' AND seq > ?);

-- name: letters
SELECT d.id, t.name, d.key, d.seq, d.payload, d.reason, d.field, d.message, d.at, d.generation, d.attempts, d.status,
    p.name, d.parent_key
FROM dead_letters d
JOIN tables t ON t.id = d.table_id
LEFT JOIN tables p ON p.id = d.parent_table_id
WHERE d.workflow_id = :workflow_id
    AND d.id > :after
    AND d.status = COALESCE(:status, d.status)
    AND t.name = COALESCE(:table_name, t.name)
    AND d.key = COALESCE(:key, d.key)
ORDER BY d.id LIMIT :most;

-- name: open_letters_among
SELECT d.id, d.table_id, t.name, d.key, d.first, d.ambiguous, d.payload
FROM dead_letters d
JOIN tables t ON t.id = d.table_id
WHERE d.workflow_id = ? AND d.status = 'open' AND d.id IN (?*);

-- name: close_letter
UPDATE dead_letters SET status = ? WHERE id = ? AND status = 'open';
