-- How far the source was read, what a resync saw, and what the target is known to have.

-- name: take_read
UPDATE grants SET last_read = last_read + 1 WHERE workflow_id = ?;

-- name: last_read
SELECT last_read FROM grants WHERE workflow_id = ?;

-- name: positions
SELECT name, position FROM tables WHERE workflow_id = ? AND position IS NOT NULL ORDER BY name;

-- name: set_position
UPDATE tables SET position = ? WHERE id = ?;

-- name: want_replay
UPDATE tables SET replay = (SELECT generation FROM workflows WHERE id = tables.workflow_id) WHERE id = ?;

-- name: wanted_replays
SELECT name, replay FROM tables WHERE workflow_id = ? AND replay IS NOT NULL ORDER BY name;

-- name: forget_replay
UPDATE tables SET replay = NULL WHERE id = ?;

-- name: add_seen
INSERT INTO seen (table_id, key) VALUES (?, ?) ON CONFLICT (table_id, key) DO NOTHING;

-- name: forget_seen
DELETE FROM seen WHERE table_id = ?;

-- name: unseen
SELECT l.key FROM ledger l
WHERE l.table_id = ?
    AND NOT EXISTS (SELECT 1 FROM seen s WHERE s.table_id = l.table_id AND s.key = l.key)
    AND NOT EXISTS (SELECT 1 FROM items i WHERE i.table_id = l.table_id AND i.key = l.key)
ORDER BY l.key LIMIT ?;

-- name: ledger_among
SELECT key, fingerprint FROM ledger WHERE table_id = ? AND key IN (?*);

-- name: ledger_size
SELECT COUNT(*) FROM ledger WHERE table_id = ?;
