-- Changes that are set aside until the target knows the person they belong to.

-- name: find_set_aside
SELECT id FROM set_aside WHERE table_id = ? AND key = ?;

-- name: add_set_aside
INSERT INTO set_aside (id, workflow_id, table_id, key, person, seq, ambiguous, at, checksum, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: replace_set_aside
UPDATE set_aside SET person = ?, seq = ?, ambiguous = ?, checksum = ?, payload = ? WHERE id = ?;

-- name: remove_set_aside
DELETE FROM set_aside WHERE id = ?;

-- name: ask_stranger
INSERT INTO strangers (workflow_id, person, asked_at) VALUES (?, ?, ?)
ON CONFLICT (workflow_id, person) DO UPDATE SET asked_at = excluded.asked_at;

-- name: strangers_due
SELECT person FROM strangers WHERE workflow_id = ? AND asked_at <= ? ORDER BY asked_at, person LIMIT ?;

-- name: strangers_known
-- Of those asked for last, whom the ledger of another workflow has. So many and no more: it is asked again and again.
SELECT s.person
FROM (
    SELECT person FROM strangers WHERE workflow_id = ? AND asked_at <= ? ORDER BY asked_at DESC LIMIT ?
) s
WHERE EXISTS (SELECT 1 FROM records r WHERE r.table_id = ? AND r.key = s.person AND r.fingerprint IS NOT NULL)
LIMIT ?;

-- name: next_stranger
SELECT MIN(asked_at) FROM strangers WHERE workflow_id = ?;

-- name: drop_stranger
DELETE FROM strangers WHERE workflow_id = ? AND person = ?;

-- name: drop_idle_strangers
-- Those of whom nothing is set aside any more.
DELETE FROM strangers
WHERE workflow_id = ?
    AND NOT EXISTS (
        SELECT 1 FROM set_aside a WHERE a.workflow_id = strangers.workflow_id AND a.person = strangers.person
    );

-- name: set_aside_of
SELECT a.id, t.name, a.key, a.ambiguous, a.checksum, a.payload
FROM set_aside a
JOIN tables t ON t.id = a.table_id
WHERE a.workflow_id = ? AND a.person = ? ORDER BY a.id;

-- name: set_aside_before
SELECT id FROM set_aside WHERE workflow_id = ? AND at < ? ORDER BY id LIMIT ?;

-- name: audit_set_aside
SELECT COUNT(*) FROM set_aside WHERE workflow_id = ?;
