-- Who works on a workflow. A worker's writes name the epoch of its grant, and the caller checks how many rows changed.

-- name: hold
-- The workflow this grant is for, if it still holds: it was not given back or taken, and no later start raised the
-- generation. And whether it is the reader's.
SELECT w.id, g.reader
FROM workflows w
JOIN grants g ON g.workflow_id = w.id
WHERE w.name = ? AND w.generation = ? AND g.epoch = ? AND g.owner = ?;

-- name: grants_of
SELECT epoch, reader, generation, expires_at, owner, host, boot_id, pid, started
FROM grants WHERE workflow_id = ? ORDER BY epoch;

-- name: generation
SELECT generation FROM workflows WHERE id = ?;

-- name: give_grant
INSERT INTO grants (workflow_id, epoch, reader, generation, owner, host, boot_id, pid, started, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: extend_grant
UPDATE grants SET expires_at = ? WHERE workflow_id = ? AND epoch = ? AND owner = ?;

-- name: end_grant
DELETE FROM grants WHERE workflow_id = ? AND epoch = ? AND owner = ?;

-- name: forget_crashes
UPDATE workflows SET crashes = 0 WHERE id = ? AND crashes <> 0;

-- name: add_crash
UPDATE workflows SET crashes = crashes + 1 WHERE id = ?;
