-- Opt-outs: the decision record, what is remembered, and what is in trouble.

-- name: add_decision
INSERT INTO decisions (scope, person, told) VALUES (?, ?, ?);

-- name: decisions
SELECT id, told FROM decisions WHERE scope = ? AND id > ? ORDER BY id LIMIT ?;

-- name: decisions_of
SELECT id, told FROM decisions WHERE scope = ? AND person = ? AND id > ? ORDER BY id LIMIT ?;

-- name: remove_decisions
DELETE FROM decisions WHERE scope = ? AND person = ?;

-- name: put_standing
INSERT INTO standings (scope, person, channel, told, looked, missed) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (scope, person, channel) DO UPDATE SET
    told = excluded.told, looked = excluded.looked, missed = excluded.missed;

-- name: standings_among
SELECT person, channel, told FROM standings WHERE scope = ? AND person IN (?*);

-- name: remove_standings
DELETE FROM standings WHERE scope = ? AND person = ?;

-- name: put_trouble
INSERT INTO consent_troubles (scope, person, since, attempts, held, message) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (scope, person) DO UPDATE SET
    attempts = excluded.attempts, held = excluded.held, message = excluded.message;

-- name: end_trouble
DELETE FROM consent_troubles WHERE scope = ? AND person = ?;

-- name: troubles
SELECT person, since, attempts, held, message FROM consent_troubles WHERE scope = ? ORDER BY since LIMIT ?;

-- name: count_troubles
SELECT held, COUNT(*) FROM consent_troubles WHERE scope = ? GROUP BY held;

-- name: count_waiting
SELECT COUNT(DISTINCT person) FROM standings WHERE scope = ? AND looked IS NOT NULL;

-- name: arrived
SELECT DISTINCT s.person
FROM standings s
WHERE s.scope = ? AND s.looked IS NOT NULL AND (
    s.looked <= ?
    OR (
        (s.missed = 0 OR s.looked <= ?)
        AND EXISTS (SELECT 1 FROM records r WHERE r.table_id = ? AND r.key = s.person AND r.fingerprint IS NOT NULL)
    )
)
LIMIT ?;
