-- What belongs to the whole store.

-- name: add_store
INSERT INTO meta (name, value) VALUES ('store', ?);

-- name: store
SELECT value FROM meta WHERE name = 'store';

-- name: start_numbers
INSERT INTO counters (scope, name, n) VALUES (0, 'epoch', 0), (0, 'number', 0);
