-- The queue. Every write of a worker names the epoch of its grant, and the caller checks how many rows changed.

-- name: hold
-- The workflow this grant holds, if it still does: nobody followed, and no later start raised the generation.
SELECT w.id, t.open_letters, t.turn
FROM workflows w
JOIN grants g ON g.workflow_id = w.id
JOIN totals t ON t.workflow_id = w.id
WHERE w.name = ? AND w.generation = ? AND g.epoch = ? AND g.owner = ?;

-- name: now
-- The one clock of this storage, in microseconds; SQLite's own has milliseconds.
SELECT CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000;

-- name: workflow_id
SELECT id FROM workflows WHERE name = ?;

-- name: table_id
SELECT id FROM tables WHERE workflow_id = ? AND name = ?;

-- name: add_table
INSERT INTO tables (workflow_id, name) VALUES (?, ?) ON CONFLICT (workflow_id, name) DO NOTHING;

-- name: table_names
SELECT id, name FROM tables WHERE workflow_id = ?;

-- name: take_numbers
UPDATE sequences SET value = value + ? WHERE name = ?;

-- name: last_number
SELECT value FROM sequences WHERE name = ?;

-- name: add_item
-- Puts a change that finds nothing queued for its key; one that does changes nothing here and is coalesced.
INSERT INTO items (
    id, table_id, key, seq, op, lane, first, refresh, ambiguous, queued_at, checksum, payload
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (table_id, key) DO NOTHING;

-- name: added_items
SELECT id FROM items WHERE id BETWEEN ? AND ?;

-- name: find_item
SELECT id, seq, op, lane, state, first, ambiguous FROM items WHERE table_id = ? AND key = ?;

-- name: replace_item
-- A newer change takes the place of one that waits; what was tried with the older one does not count for it.
UPDATE items
SET seq = ?, op = ?, lane = ?, first = ?, refresh = ?, ambiguous = ?, checksum = ?, payload = ?,
    state = 0, available_at = NULL, attempts = 0
WHERE id = ? AND epoch IS NULL;

-- name: urge_item
-- An older change came after the one that waits: only its flags count.
UPDATE items
SET lane = ?, first = ?, ambiguous = ?, state = 0, available_at = NULL
WHERE id = ? AND epoch IS NULL;

-- name: remove_item
DELETE FROM items WHERE id = ? AND epoch IS NULL;

-- name: find_waiting
SELECT id, seq, op, lane, first, refresh, ambiguous, queued_at, checksum, payload FROM waiting WHERE item_id = ?;

-- name: add_waiting
INSERT INTO waiting (item_id, id, seq, op, lane, first, refresh, ambiguous, queued_at, checksum, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: replace_waiting
UPDATE waiting
SET seq = ?, op = ?, lane = ?, first = ?, refresh = ?, ambiguous = ?, checksum = ?, payload = ?
WHERE item_id = ?;

-- name: urge_waiting
UPDATE waiting SET lane = ?, first = ?, ambiguous = ? WHERE item_id = ?;

-- name: remove_waiting
DELETE FROM waiting WHERE item_id = ?;

-- name: any_waiting
SELECT EXISTS (SELECT 1 FROM waiting);

-- name: waiting_among
SELECT item_id FROM waiting WHERE item_id IN (?*);

-- name: ready_groups
SELECT c.lane, c.table_id
FROM counters c
JOIN tables t ON t.id = c.table_id
WHERE t.workflow_id = ? AND c.state = 0 AND c.n > 0
GROUP BY c.lane, c.table_id
ORDER BY c.lane, c.table_id;

-- name: delayed_tables
SELECT DISTINCT c.table_id
FROM counters c
JOIN tables t ON t.id = c.table_id
WHERE t.workflow_id = ? AND c.state = 1 AND c.n > 0;

-- name: due_groups
-- What `end_delays` with the same parameters will make ready.
SELECT op, lane, COUNT(*)
FROM (
    SELECT op, lane FROM items
    WHERE table_id = ? AND state = 1 AND available_at <= ?
    ORDER BY available_at, id LIMIT ?
)
GROUP BY op, lane;

-- name: end_delays
UPDATE items SET state = 0, available_at = NULL
WHERE id IN (
    SELECT id FROM items
    WHERE table_id = ? AND state = 1 AND available_at <= ?
    ORDER BY available_at, id LIMIT ?
);

-- name: next_due
SELECT MIN(available_at) FROM items WHERE table_id = ? AND state = 1;

-- name: ready_items
-- The rows of a table and lane that wait longest, behind a place.
SELECT id, key, seq, op, first, refresh, ambiguous, attempts, crashes, queued_at, checksum, payload
FROM items
WHERE table_id = ? AND lane = ? AND state = 0 AND suspect = 0 AND id > ?
ORDER BY id LIMIT ?;

-- name: suspect_item
SELECT id, key, seq, op, first, refresh, ambiguous, attempts, crashes, queued_at, checksum, payload
FROM items
WHERE table_id = ? AND lane = ? AND state = 0 AND suspect = 1
ORDER BY id LIMIT 1;

-- name: any_leased
-- Whether the grant holds rows, and whether one of them is a suspect: suspects are leased alone.
SELECT COUNT(*) > 0, COALESCE(MAX(suspect), 0) FROM (SELECT suspect FROM items WHERE epoch = ? AND state = 2 LIMIT 2);

-- name: lease_items
UPDATE items SET state = 2, epoch = ?, attempts = attempts + 1, sending = 0
WHERE epoch IS NULL AND state = 0 AND id IN (?*);

-- name: set_turn
UPDATE totals SET turn = ? WHERE workflow_id = ?;

-- name: mark_sending
UPDATE items SET sending = 1 WHERE epoch = ? AND state = 2 AND id IN (?*);

-- name: still_leased
SELECT id FROM items WHERE epoch = ? AND state = 2 AND id IN (?*);

-- name: leased_groups_among
SELECT table_id, op, lane, COUNT(*) FROM items
WHERE epoch = ? AND state = 2 AND id IN (?*)
GROUP BY table_id, op, lane;

-- name: finish_items
DELETE FROM items WHERE epoch = ? AND state = 2 AND id IN (?*);

-- name: find_leased
SELECT table_id, key, seq, op, lane, first, refresh, ambiguous, suspect, crashes, attempts, sending, checksum, payload
FROM items
WHERE id = ? AND epoch = ?;

-- name: finish_item
DELETE FROM items WHERE id = ? AND epoch = ?;

-- name: return_item
UPDATE items
SET state = ?, available_at = ?, attempts = ?, refresh = ?, ambiguous = ?, epoch = NULL, sending = 0
WHERE id = ? AND epoch = ?;

-- name: follow_item
-- The change that waited behind a leased row takes over, at its own place in the queue.
UPDATE items
SET id = ?, seq = ?, op = ?, lane = ?, first = ?, refresh = ?, ambiguous = ?, queued_at = ?, checksum = ?, payload = ?,
    crashes = ?, suspect = ?, state = 0, attempts = 0, epoch = NULL, sending = 0
WHERE id = ? AND epoch = ?;

-- name: remember
INSERT INTO ledger (table_id, key, fingerprint) VALUES (?, ?, ?)
ON CONFLICT (table_id, key) DO UPDATE SET fingerprint = excluded.fingerprint;

-- name: forget
DELETE FROM ledger WHERE table_id = ? AND key = ?;

-- name: add_to_counter
UPDATE counters SET n = n + ? WHERE table_id = ? AND op = ? AND lane = ? AND state = ?;

-- name: start_counter
INSERT INTO counters (n, table_id, op, lane, state) VALUES (?, ?, ?, ?, ?);

-- name: add_to_totals
UPDATE totals
SET put = put + ?, written = written + ?, superseded = superseded + ?, skipped = skipped + ?, dead = dead + ?,
    discarded = discarded + ?, refused = refused + ?, open_letters = open_letters + ?
WHERE workflow_id = ?;

-- name: groups
SELECT t.name, c.op, c.lane, c.state, c.n, t.id
FROM counters c
JOIN tables t ON t.id = c.table_id
WHERE t.workflow_id = ? AND c.n > 0;

-- name: totals
SELECT put, written, superseded, skipped, dead, discarded, refused, open_letters FROM totals WHERE workflow_id = ?;

-- name: oldest_ready
SELECT queued_at FROM items
WHERE table_id = ? AND lane = ? AND state = 0 AND suspect = 0
ORDER BY id LIMIT 1;

-- name: oldest_suspect
SELECT queued_at FROM items
WHERE table_id = ? AND lane = ? AND state = 0 AND suspect = 1
ORDER BY id LIMIT 1;

-- name: oldest_delayed
SELECT queued_at FROM items WHERE table_id = ? AND state = 1 ORDER BY id LIMIT 1;

-- name: oldest_leased
SELECT i.queued_at FROM grants g JOIN items i ON i.epoch = g.epoch AND i.state = 2
WHERE g.workflow_id = ?
ORDER BY i.id LIMIT 1;

-- name: leased_groups
SELECT table_id, op, lane, COUNT(*) FROM items WHERE epoch = ? AND state = 2 GROUP BY table_id, op, lane;

-- name: leased_with_waiting
SELECT i.id FROM items i JOIN waiting w ON w.item_id = i.id WHERE i.epoch = ? AND i.state = 2;

-- name: return_sent_after_crash
-- Their owner vanished while these were being sent. The first parameter is how many crashes make a suspect.
UPDATE items
SET state = 0, epoch = NULL, sending = 0, ambiguous = 1, crashes = crashes + 1, suspect = crashes + 1 >= ?
WHERE epoch = ? AND state = 2 AND sending = 1;

-- name: return_unsent
UPDATE items SET state = 0, epoch = NULL, attempts = attempts - 1 WHERE epoch = ? AND state = 2 AND sending = 0;

-- name: return_sent
UPDATE items SET state = 0, epoch = NULL, sending = 0, ambiguous = 1, attempts = attempts - 1
WHERE epoch = ? AND state = 2 AND sending = 1;

-- name: audit_groups
SELECT i.table_id, i.op, i.lane, i.state, COUNT(*)
FROM items i
JOIN tables t ON t.id = i.table_id
WHERE t.workflow_id = ?
GROUP BY i.table_id, i.op, i.lane, i.state;

-- name: audit_waiting
SELECT i.table_id, w.op, w.lane, 0, COUNT(*)
FROM waiting w
JOIN items i ON i.id = w.item_id AND i.state = 2
JOIN tables t ON t.id = i.table_id
WHERE t.workflow_id = ?
GROUP BY i.table_id, w.op, w.lane;

-- name: audit_lost_waiting
-- Changes that wait behind a row that is not leased: there must be none.
SELECT COUNT(*) FROM waiting w LEFT JOIN items i ON i.id = w.item_id AND i.state = 2 WHERE i.id IS NULL;

-- name: audit_strays
-- Leased rows that no grant of their workflow can settle: there must be none.
SELECT COUNT(*)
FROM items i
JOIN tables t ON t.id = i.table_id
JOIN grants g ON g.workflow_id = t.workflow_id
WHERE t.workflow_id = ? AND i.state = 2 AND (g.owner IS NULL OR g.epoch <> i.epoch);

-- name: audit_letters
SELECT COUNT(*) FROM dead_letters WHERE workflow_id = ? AND status = 'open';

-- name: counters
SELECT c.table_id, c.op, c.lane, c.state, c.n
FROM counters c
JOIN tables t ON t.id = c.table_id
WHERE t.workflow_id = ? AND c.n > 0;
