-- Looking for a word within what was read: payloads are bytes here, and text in ASCII all the same.

-- name: items_that_mention
SELECT id, record_id FROM items WHERE table_id = ? AND instr(lower(CAST(payload AS TEXT)), ?) > 0;

-- name: waiting_that_mention
SELECT w.item_id, i.record_id
FROM waiting w
JOIN items i ON i.id = w.item_id
WHERE i.table_id = ? AND instr(lower(CAST(w.payload AS TEXT)), ?) > 0;

-- name: letters_that_mention
SELECT id, status FROM dead_letters WHERE table_id = ? AND instr(lower(CAST(payload AS TEXT)), ?) > 0;
