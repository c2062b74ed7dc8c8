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

-- name: add_store
INSERT INTO meta (name, value) VALUES ('store', ?);

-- name: store
SELECT value FROM meta WHERE name = 'store';

-- name: start_numbers
INSERT INTO counters (scope, name, n) VALUES (0, 'epoch', 0), (0, 'number', 0);
