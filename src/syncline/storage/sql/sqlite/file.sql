-- What concerns the file itself.

-- name: begin_writing
-- At once, so that nobody can come between reading and writing.
BEGIN IMMEDIATE;

-- name: begin_reading
BEGIN;

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- name: now
-- The one clock of this storage, in microseconds; SQLite's own has milliseconds.
SELECT CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000;

-- name: last_number
SELECT n FROM counters WHERE scope = 0 AND name = ?;

-- name: take_numbers
UPDATE counters SET n = n + ? WHERE scope = 0 AND name = ?;

-- name: start_numbers
INSERT INTO counters (scope, name, n) VALUES (0, 'epoch', 0), (0, 'number', 0);
