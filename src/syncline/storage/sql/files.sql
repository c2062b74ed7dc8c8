-- Exported files: how far each was read.

-- name: file_marks
SELECT name, mark FROM files WHERE workflow_id = ?;

-- name: mark_file
INSERT INTO files (workflow_id, name, mark) VALUES (?, ?, ?)
ON CONFLICT (workflow_id, name) DO UPDATE SET mark = excluded.mark;

-- name: forget_files
DELETE FROM files WHERE workflow_id = ?;

-- name: forget_oldest
-- The ledger entries of a table that were met first. What is queued stays.
DELETE FROM records WHERE id IN (
    SELECT id FROM records WHERE table_id = ? AND fingerprint IS NOT NULL AND item_id IS NULL ORDER BY id LIMIT ?
);
