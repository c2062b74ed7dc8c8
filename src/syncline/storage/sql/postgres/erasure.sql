-- Looking for a word within what was read: payloads are bytes, and text in ASCII all the same. A backslash is doubled in
-- what `encode` gives.

-- name: items_that_mention
SELECT id, record_id FROM items
WHERE table_id = ? AND strpos(lower(encode(payload, 'escape')), replace(?, '\', '\\')) > 0;

-- name: waiting_that_mention
SELECT w.item_id, i.record_id
FROM waiting w
JOIN items i ON i.id = w.item_id
WHERE i.table_id = ? AND strpos(lower(encode(w.payload, 'escape')), replace(?, '\', '\\')) > 0;

-- name: letters_that_mention
SELECT id, status FROM dead_letters
WHERE table_id = ? AND strpos(lower(encode(payload, 'escape')), replace(?, '\', '\\')) > 0;
