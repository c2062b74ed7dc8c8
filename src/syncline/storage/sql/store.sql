-- What belongs to the whole store.

-- name: add_store
INSERT INTO meta (name, value) VALUES ('store', ?);

-- name: store
SELECT value FROM meta WHERE name = 'store';
