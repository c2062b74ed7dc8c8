-- How far the source was read, what a full read saw, and what the target is known to have.

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
INSERT INTO seen (table_id, round, record_id) VALUES (?, ?, ?) ON CONFLICT (table_id, round, record_id) DO NOTHING;

-- name: round
SELECT round FROM tables WHERE id = ?;

-- name: forget_seen
UPDATE tables SET round = round + 1 WHERE id = ?;

-- name: past_seen
-- Some of what counts no more.
SELECT s.table_id, s.round, s.record_id
FROM tables t
JOIN seen s ON s.table_id = t.id AND s.round < t.round
WHERE t.workflow_id = ? LIMIT ?;

-- name: remove_past_seen
DELETE FROM seen WHERE table_id = ? AND round = ? AND record_id = ?;

-- name: unseen
-- In the order in which the records were first met. The second parameter is the table's round.
SELECT r.key FROM records r
WHERE r.table_id = ?
    AND (r.fingerprint IS NOT NULL OR r.item_id IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM seen s WHERE s.table_id = r.table_id AND s.round = ? AND s.record_id = r.id)
ORDER BY r.id LIMIT ?;

-- name: ledger_among
SELECT key, fingerprint FROM records WHERE fingerprint IS NOT NULL AND table_id = ? AND key IN (?*);

-- name: note_read_by_key
-- The first parameter is the read sequence.
INSERT INTO read_by_key (table_id, key, seq)
SELECT l.table_id, r.key, ?
FROM leases l
JOIN records r ON r.id = l.record_id
WHERE l.epoch = ? AND l.id IN (?*)
ON CONFLICT (table_id, key) DO UPDATE SET seq = excluded.seq;

-- name: waiting_among
-- Of these leased rows those with a newer change behind them, and where they stand.
SELECT w.item_id, l.table_id, w.op, w.lane, w.refresh
FROM leases l
JOIN waiting w ON w.item_id = l.id
WHERE l.epoch = ? AND l.id IN (?*);

-- name: read_waiting_anew
UPDATE waiting SET op = 0, refresh = 1, payload = NULL, checksum = NULL WHERE item_id = ?;

-- name: read_by_key_since
SELECT key FROM read_by_key WHERE table_id = ? AND seq > ?;

-- name: forget_read_by_key
DELETE FROM read_by_key WHERE table_id = ? AND seq < ?;

-- name: leased_since
-- Records that other workers have leased and that were queued after a read sequence was given.
SELECT r.key
FROM grants g
JOIN leases l ON l.epoch = g.epoch
JOIN items i ON i.id = l.id
JOIN records r ON r.id = l.record_id
WHERE g.workflow_id = ? AND g.epoch <> ? AND l.table_id = ? AND i.seq > ?;
