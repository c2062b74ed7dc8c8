-- The queue. A worker's writes name the epoch of its grant, and the caller checks how many rows changed.

-- name: workflow_id
SELECT id FROM workflows WHERE name = ?;

-- name: table_id
SELECT id FROM tables WHERE workflow_id = ? AND name = ?;

-- name: add_table
INSERT INTO tables (workflow_id, name) VALUES (?, ?) ON CONFLICT (workflow_id, name) DO NOTHING;

-- name: table_names
SELECT id, name FROM tables WHERE workflow_id = ?;

-- name: counter
SELECT n FROM counters WHERE scope = ? AND name = ?;

-- name: add_to_counter
UPDATE counters SET n = n + ? WHERE scope = ? AND name = ?;

-- name: start_counter
INSERT INTO counters (scope, name, n) VALUES (?, ?, 0);

-- name: set_turn
UPDATE counters SET n = ? WHERE scope = ? AND name = 'turn';

-- name: queued
-- How much is queued, by table and group.
SELECT t.id, t.name, c.name, c.n
FROM tables t
JOIN counters c ON c.scope = t.id
WHERE t.workflow_id = ? AND c.n > 0 AND c.name <> 'known';

-- name: totals
SELECT name, n FROM counters WHERE scope = ?;

-- name: add_record
-- A record that was never met, together with its place in the queue.
INSERT INTO records (id, table_id, key, item_id) VALUES (?, ?, ?, ?) ON CONFLICT (table_id, key) DO NOTHING;

-- name: added_records
SELECT id FROM records WHERE id BETWEEN ? AND ?;

-- name: records_among
SELECT key, id, item_id, fingerprint FROM records WHERE table_id = ? AND key IN (?*);

-- name: queue_record
-- A known record gets a place in the queue, if it has none.
UPDATE records SET item_id = ? WHERE id = ? AND item_id IS NULL;

-- name: find_item
SELECT i.id, i.seq, i.op, i.lane, i.first, i.ambiguous, i.crashes,
    EXISTS (
        SELECT 1 FROM leases l
        JOIN tables t ON t.id = i.table_id
        JOIN grants g ON g.workflow_id = t.workflow_id
        WHERE l.epoch = g.epoch AND l.id = i.id
    ),
    EXISTS (SELECT 1 FROM delayed d WHERE d.table_id = i.table_id AND d.id = i.id),
    EXISTS (SELECT 1 FROM held h WHERE h.table_id = i.table_id AND h.id = i.id),
    EXISTS (SELECT 1 FROM children c WHERE c.table_id = i.table_id AND c.id = i.id)
FROM items i WHERE i.id = ?;

-- name: replace_item
-- A newer change takes the place of one that waits; what was tried with the older one does not count for it.
UPDATE items
SET seq = ?, op = ?, lane = ?, first = ?, refresh = ?, ambiguous = ?, checksum = ?, payload = ?, attempts = 0,
    confirmed = 0, waits_from = NULL
WHERE id = ?;

-- name: urge_item
-- An older change came after the one that waits: only its flags count.
UPDATE items SET lane = ?, first = ?, ambiguous = ? WHERE id = ?;

-- name: add_ready
INSERT INTO ready (table_id, lane, suspect, id) VALUES (?, ?, ?, ?);

-- name: remove_ready
DELETE FROM ready WHERE table_id = ? AND lane = ? AND suspect = ? AND id = ?;

-- name: add_delayed
INSERT INTO delayed (table_id, id, due) VALUES (?, ?, ?);

-- name: remove_delayed
DELETE FROM delayed WHERE table_id = ? AND id = ?;

-- name: remove_item
DELETE FROM items WHERE id = ?;

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

-- name: due
SELECT d.id, i.op, i.lane, i.crashes
FROM delayed d
JOIN items i ON i.id = d.id
WHERE d.table_id = ? AND d.due <= ?
ORDER BY d.due, d.id LIMIT ?;

-- name: next_due
SELECT MIN(due) FROM delayed WHERE table_id = ?;

-- name: suspects
-- Whether anybody has leased rows: NULL, or in how many crashes the first of them was; suspects are leased apart. And the
-- suspect that would be leased first: its lane, in how many crashes it was, its table and its place; NULL where there is
-- none.
SELECT
    (
        SELECT l.suspect
        FROM grants g
        JOIN leases l ON l.epoch = g.epoch
        WHERE g.workflow_id = :workflow LIMIT 1
    ),
    s.lane, s.suspect, s.table_id, s.id
FROM workflows w
LEFT JOIN (
    SELECT q.lane, q.suspect, q.table_id, q.id
    FROM tables t
    JOIN ready q ON q.table_id = t.id AND q.lane IN (0, 1, 2) AND q.suspect > 0
    WHERE t.workflow_id = :workflow
    ORDER BY q.lane, q.suspect DESC, q.id LIMIT 1
) s ON w.id = :workflow
WHERE w.id = :workflow;

-- name: anything_is_ready
-- Whether there is anything that could be leased now and is no suspect.
SELECT q.id FROM tables t JOIN ready q ON q.table_id = t.id AND q.suspect = 0 WHERE t.workflow_id = :workflow
UNION ALL
SELECT d.id FROM tables t JOIN delayed d ON d.table_id = t.id AND d.due <= :now WHERE t.workflow_id = :workflow
UNION ALL
SELECT c.id FROM tables t JOIN children c ON c.table_id = t.id AND c.due <= :now WHERE t.workflow_id = :workflow
LIMIT 1;

-- name: leased_between
-- What is leased under an epoch: whether the ledger knows the record, and whether a newer change waits behind it.
SELECT l.id, l.record_id, l.table_id, l.op, l.lane, r.fingerprint IS NOT NULL,
    EXISTS (SELECT 1 FROM waiting w WHERE w.item_id = l.id)
FROM leases l
JOIN records r ON r.id = l.record_id
WHERE l.epoch = ? AND l.id BETWEEN ? AND ?
ORDER BY l.id;

-- name: mark_sending
UPDATE leases SET sending = 1 WHERE epoch = ? AND id IN (?*);

-- name: still_leased
SELECT id FROM leases WHERE epoch = ? AND id IN (?*);

-- name: end_lease
DELETE FROM leases WHERE epoch = ? AND id = ?;

-- name: finish_items_among
DELETE FROM items WHERE id IN (?*);

-- name: find_leased
SELECT i.record_id, i.table_id, i.seq, i.op, i.lane, i.first, i.refresh, i.ambiguous, i.attempts, i.crashes, l.sending,
    i.checksum, i.payload, r.key, r.fingerprint IS NOT NULL
FROM leases l
JOIN items i ON i.id = l.id
JOIN records r ON r.id = i.record_id
WHERE l.epoch = ? AND l.id = ?;

-- name: return_item
UPDATE items SET attempts = ?, refresh = ?, ambiguous = ? WHERE id = ?;

-- name: follow_item
-- The change that waited behind a leased row takes over, at its own place in the queue.
UPDATE items
SET id = ?, seq = ?, op = ?, lane = ?, first = ?, refresh = ?, ambiguous = ?, queued_at = ?, checksum = ?, payload = ?,
    crashes = ?, attempts = 0, confirmed = 0, waits_from = NULL
WHERE id = ?;

-- name: remember
-- What was written, and the place in the queue that is left: none, or that of a newer change.
UPDATE records SET fingerprint = ?, item_id = ? WHERE id = ?;

-- name: leave_queue
UPDATE records SET item_id = ? WHERE id = ?;

-- name: drop_record
-- A record that is neither queued nor known leaves no trace, unless a full read that is under way has seen it.
DELETE FROM records
WHERE id = ? AND item_id IS NULL AND fingerprint IS NULL
    AND NOT EXISTS (
        SELECT 1 FROM tables t
        JOIN seen s ON s.table_id = t.id AND s.round = t.round
        WHERE t.id = records.table_id AND s.record_id = records.id
    );

-- name: leased_of
SELECT id, table_id, op, lane FROM leases WHERE epoch = ?;

-- name: leased_with_waiting
SELECT l.id FROM leases l JOIN waiting w ON w.item_id = l.id WHERE l.epoch = ?;

-- name: blame_sent
-- Their owner vanished while these were being sent: the claim counts, and so does the crash.
UPDATE items SET ambiguous = 1, crashes = crashes + 1, attempts = attempts + 1
WHERE id IN (SELECT id FROM leases WHERE epoch = ? AND sending = 1);

-- name: doubt_sent
-- Their owner gave them back while they were being sent: they may have been applied.
UPDATE items SET ambiguous = 1 WHERE id IN (SELECT id FROM leases WHERE epoch = ? AND sending = 1);

-- name: return_leased
-- The first parameter is how many crashes make a suspect.
INSERT INTO ready (table_id, lane, suspect, id)
SELECT l.table_id, l.lane, CASE WHEN i.crashes >= ? THEN i.crashes ELSE 0 END, l.id
FROM leases l
JOIN items i ON i.id = l.id
WHERE l.epoch = ?;

-- name: end_leases
DELETE FROM leases WHERE epoch = ?;

-- name: oldest_ready
SELECT i.queued_at FROM items i
WHERE i.id = (SELECT MIN(id) FROM ready WHERE table_id = ? AND lane = ? AND suspect = 0);

-- name: oldest_suspect
SELECT i.queued_at FROM items i
WHERE i.id = (SELECT MIN(id) FROM ready WHERE table_id = ? AND lane = ? AND suspect > 0);

-- name: oldest_delayed
SELECT i.queued_at FROM items i WHERE i.id = (SELECT MIN(id) FROM delayed WHERE table_id = ?);

-- name: oldest_leased
SELECT i.queued_at FROM items i
WHERE i.id = (SELECT MIN(l.id) FROM grants g JOIN leases l ON l.epoch = g.epoch WHERE g.workflow_id = ?);

-- name: audit_ready
SELECT i.table_id, i.op, i.lane, 0, COUNT(*)
FROM ready q
JOIN items i ON i.id = q.id AND i.table_id = q.table_id AND i.lane = q.lane
JOIN tables t ON t.id = q.table_id
WHERE t.workflow_id = ?
GROUP BY i.table_id, i.op, i.lane;

-- name: audit_delayed
SELECT i.table_id, i.op, i.lane, 1, COUNT(*)
FROM delayed d
JOIN items i ON i.id = d.id AND i.table_id = d.table_id
JOIN tables t ON t.id = d.table_id
WHERE t.workflow_id = ?
GROUP BY i.table_id, i.op, i.lane;

-- name: audit_leased
-- Only what a grant of the workflow can still settle.
SELECT i.table_id, i.op, i.lane, 2, COUNT(*)
FROM grants g
JOIN leases l ON l.epoch = g.epoch
JOIN items i ON i.id = l.id AND i.table_id = l.table_id AND i.lane = l.lane AND i.op = l.op
WHERE g.workflow_id = ?
GROUP BY i.table_id, i.op, i.lane;

-- name: audit_waiting
SELECT l.table_id, w.op, w.lane, 0, COUNT(*)
FROM grants g
JOIN leases l ON l.epoch = g.epoch
JOIN waiting w ON w.item_id = l.id
WHERE g.workflow_id = ?
GROUP BY l.table_id, w.op, w.lane;

-- name: audit_items
-- Rows of the queue, wherever they stand.
SELECT COUNT(*) FROM items i JOIN tables t ON t.id = i.table_id WHERE t.workflow_id = ?;

-- name: audit_records
-- Records whose place in the queue is not theirs: there must be none.
SELECT COUNT(*)
FROM records r
LEFT JOIN items i ON i.id = r.item_id AND i.record_id = r.id AND i.table_id = r.table_id
WHERE r.item_id IS NOT NULL AND i.id IS NULL;

-- name: audit_lost_waiting
-- Changes that wait behind a row that is not leased: there must be none.
SELECT COUNT(*) FROM waiting w WHERE NOT EXISTS (SELECT 1 FROM leases l WHERE l.id = w.item_id);

-- name: audit_letters
SELECT COUNT(*) FROM dead_letters WHERE workflow_id = ? AND status = 'open';

-- name: audit_known
SELECT table_id, COUNT(*) FROM records WHERE fingerprint IS NOT NULL GROUP BY table_id;
