-- Comparing the target with the source: the walk through the ledger, and what becomes of what was found.

-- name: known_after
-- What the target is known to have, in the order in which it was first met.
SELECT r.id, r.key, CASE WHEN r.item_id IS NULL THEN 0 ELSE 1 END
FROM records r
WHERE r.table_id = ? AND r.id > ? AND r.fingerprint IS NOT NULL
ORDER BY r.id LIMIT ?;

-- name: unmatched_among
-- Records that are stored and of which nobody knows with which values the target has them: key, id, queued or not.
SELECT key, id, CASE WHEN item_id IS NULL THEN 0 ELSE 1 END, CASE WHEN fingerprint IS NULL THEN 0 ELSE 1 END
FROM records
WHERE table_id = ? AND (fingerprint IS NULL OR LENGTH(fingerprint) = 0) AND key IN (?*);

-- name: add_known
INSERT INTO records (id, table_id, key, fingerprint) VALUES (?, ?, ?, ?);

-- name: match_record
UPDATE records SET fingerprint = ? WHERE id = ?;

-- name: sweeps
SELECT t.name, s.since, s.began_at, s.after_id, s.done, s.rounds, s.checked, s.mended, s.checked_ever, s.mended_ever,
    s.calls
FROM sweeps s
JOIN tables t ON t.id = s.table_id
WHERE t.workflow_id = ?;

-- name: set_sweep
INSERT INTO sweeps (
    table_id, since, began_at, after_id, done, rounds, checked, mended, checked_ever, mended_ever, calls
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (table_id) DO UPDATE SET
    since = excluded.since, began_at = excluded.began_at, after_id = excluded.after_id, done = excluded.done,
    rounds = excluded.rounds, checked = excluded.checked, mended = excluded.mended,
    checked_ever = excluded.checked_ever, mended_ever = excluded.mended_ever, calls = excluded.calls;
