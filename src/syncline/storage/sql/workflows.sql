-- What is wished and what is, what happened; gates and samples.

-- name: add_workflow
INSERT INTO workflows (name, state, definition) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING;

-- name: workflow
-- Once for each grant, and once without any.
SELECT w.name, w.wanted, w.state, w.generation, w.definition, w.snapshot, w.running_hash, w.error, w.crashes,
    g.epoch, g.reader, g.generation, g.expires_at, g.owner, g.host, g.boot_id, g.pid, g.started
FROM workflows w
LEFT JOIN grants g ON g.workflow_id = w.id
WHERE w.name = ?;

-- name: change_state
UPDATE workflows
SET wanted = COALESCE(:wanted, wanted),
    state = :state,
    generation = :generation,
    error = CASE WHEN :clear_error = 1 THEN NULL ELSE COALESCE(:error, error) END,
    snapshot = COALESCE(:snapshot, snapshot),
    running_hash = COALESCE(:running_hash, running_hash),
    crashes = COALESCE(:crashes, crashes)
WHERE name = :workflow AND state = :expected_state AND generation = :expected_generation;

-- name: save_definition
UPDATE workflows SET definition = ? WHERE id = ?;

-- name: want_stop
UPDATE workflows SET wanted = 0 WHERE id = ?;

-- name: add_history
INSERT INTO history (workflow_id, at, action, actor, detail) VALUES (?, ?, ?, ?, ?);

-- name: history
SELECT at, action, actor, detail FROM history WHERE workflow_id = ? ORDER BY id DESC LIMIT ?;

-- name: gate
SELECT closed_until FROM gates WHERE principal = ?;

-- name: close_gate
INSERT INTO gates (principal, closed_until) VALUES (?, ?)
ON CONFLICT (principal) DO UPDATE SET closed_until = excluded.closed_until
WHERE excluded.closed_until > gates.closed_until;

-- name: add_sample
INSERT INTO samples (workflow_id, at, size, written) VALUES (?, ?, ?, ?)
ON CONFLICT (workflow_id, at) DO UPDATE SET size = excluded.size, written = excluded.written;

-- name: drop_samples
DELETE FROM samples WHERE workflow_id = ? AND at < ?;

-- name: thin_samples
-- Of the old ones only the first of each ten minutes stays.
DELETE FROM samples
WHERE workflow_id = ? AND at < ? AND EXISTS (
    SELECT 1 FROM samples earlier
    WHERE earlier.workflow_id = samples.workflow_id
        AND earlier.at < samples.at
        AND earlier.at >= samples.at / 600000000 * 600000000
);

-- name: samples
SELECT at, size, written FROM samples WHERE workflow_id = ? AND at >= ? ORDER BY at;
