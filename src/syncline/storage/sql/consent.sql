-- Opt-outs: the decision record, what is remembered, and what is in trouble.

-- name: add_decision
INSERT INTO decisions (scope, place, person, channel, at, told, salt, content, link)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: take_places
-- First of all, so that two processes that add to one record do so one after the other.
INSERT INTO decision_seals (scope, place, link) VALUES (?, ?, ?)
ON CONFLICT (scope) DO UPDATE SET place = decision_seals.place + excluded.place;

-- name: seal
SELECT place, link FROM decision_seals WHERE scope = ?;

-- name: set_seal
UPDATE decision_seals SET link = ? WHERE scope = ?;

-- name: decisions
SELECT id, told, link FROM decisions WHERE scope = ? AND person IS NOT NULL AND id > ? ORDER BY id LIMIT ?;

-- name: decisions_of
SELECT id, told, link FROM decisions WHERE scope = ? AND person = ? AND id > ? ORDER BY id LIMIT ?;

-- name: record_entries
SELECT place, told, salt, content, link, person FROM decisions WHERE scope = ? AND place > ? ORDER BY place LIMIT ?;

-- name: places_of
SELECT place FROM decisions WHERE scope = ? AND person = ?;

-- name: places_before
-- Decisions that a later one of the same person and channel followed.
SELECT d.place
FROM decisions d
WHERE d.scope = ? AND d.at < ? AND d.person IS NOT NULL AND EXISTS (
    SELECT 1 FROM decisions l
    WHERE l.scope = d.scope AND l.person = d.person AND l.channel = d.channel AND l.id > d.id
)
ORDER BY d.id
LIMIT ?;

-- name: erase_decision
UPDATE decisions SET person = NULL, told = NULL, salt = ? WHERE scope = ? AND place = ?;

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
