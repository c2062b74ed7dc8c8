-- Forgetting a person. The queries that look into payloads stand with each dialect.

-- name: workflows
SELECT id, name FROM workflows ORDER BY id;

-- name: record_of
SELECT id, item_id, fingerprint IS NOT NULL FROM records WHERE table_id = ? AND key = ?;

-- name: remove_record
DELETE FROM records WHERE id = ?;

-- name: remove_seen
DELETE FROM seen
WHERE table_id = :table_id AND round = (SELECT round FROM tables WHERE id = :table_id) AND record_id = :record_id;

-- name: lease_of
SELECT l.epoch, l.sending FROM leases l JOIN grants g ON g.epoch = l.epoch WHERE g.workflow_id = ? AND l.id = ?;

-- name: remove_read_by_key
DELETE FROM read_by_key WHERE table_id = ? AND key = ?;

-- name: letters_of
SELECT id, status FROM dead_letters WHERE table_id = ? AND key = ?;

-- name: remove_letter
DELETE FROM dead_letters WHERE id = ?;

-- name: blank_item
UPDATE items SET payload = NULL, checksum = NULL, refresh = 1 WHERE id = ?;

-- name: blank_waiting
UPDATE waiting SET payload = NULL, checksum = NULL, refresh = 1 WHERE item_id = ?;

-- name: blank_letter
UPDATE dead_letters SET payload = NULL WHERE id = ?;

-- name: secret
SELECT value FROM meta WHERE name = ?;

-- name: add_secret
INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING;

-- name: suppressions_among
SELECT hash, channels FROM suppressions WHERE hash IN (?*);

-- name: suppress
INSERT INTO suppressions (hash, scope, channels, at) VALUES (?, ?, ?, ?)
ON CONFLICT (hash) DO UPDATE SET channels = excluded.channels, at = excluded.at;

-- name: blank_history
UPDATE history SET detail = REPLACE(detail, :person, :nobody)
WHERE workflow_id = :workflow_id AND REPLACE(detail, :person, :nobody) <> detail;

-- name: blank_error
UPDATE workflows SET error = REPLACE(error, :person, :nobody) WHERE id = :workflow_id AND error IS NOT NULL;
