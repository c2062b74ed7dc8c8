-- What is old, and what is read from the beginning again.

-- name: closed_letters_before
SELECT id FROM dead_letters WHERE workflow_id = ? AND status <> 'open' AND at < ? ORDER BY id LIMIT ?;

-- name: open_letters_before
SELECT id FROM dead_letters WHERE workflow_id = ? AND status = 'open' AND at < ? ORDER BY id LIMIT ?;

-- name: history_before
SELECT id FROM history WHERE workflow_id = ? AND at < ? ORDER BY id LIMIT ?;

-- name: remove_history
DELETE FROM history WHERE id = ?;

-- name: samples_before
SELECT at FROM samples WHERE workflow_id = ? AND at < ? ORDER BY at LIMIT ?;

-- name: remove_sample
DELETE FROM samples WHERE workflow_id = ? AND at = ?;

-- name: workflow_state
SELECT state FROM workflows WHERE id = ?;

-- name: replace_snapshot
UPDATE workflows SET snapshot = ? WHERE id = ?;

-- name: doubt_table
-- The target has these records, and nobody knows with which values.
UPDATE records SET fingerprint = ? WHERE table_id = ? AND fingerprint IS NOT NULL;
