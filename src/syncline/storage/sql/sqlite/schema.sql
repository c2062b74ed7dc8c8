-- The whole database, version 1. Times are whole microseconds since 1970 in UTC. Flags are 0 or 1.
-- Ids of records are BLOBs: 16 bytes for a GUID, else text (columns.py says how), so that indexes stay small.

-- name: create_meta
-- What this file is. `store` is a UUID given at creation: another file under the same name is another store.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- name: create_sequences
-- The last number given. `epoch` and `item` only grow, over everything and for ever.
CREATE TABLE sequences (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- name: start_sequences
INSERT INTO sequences (name, value) VALUES ('epoch', 0), ('item', 0);

-- name: create_workflows
CREATE TABLE workflows (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    wanted INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL,
    generation INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    definition TEXT NOT NULL,
    snapshot TEXT,
    running_hash TEXT,
    error TEXT
);

-- name: create_grants
-- One row per workflow. `owner` is NULL when the grant was given back; the epoch stays, so that it is never reused.
CREATE TABLE grants (
    workflow_id INTEGER PRIMARY KEY REFERENCES workflows (id),
    epoch INTEGER NOT NULL DEFAULT 0,
    owner TEXT,
    host TEXT NOT NULL DEFAULT '',
    boot_id TEXT NOT NULL DEFAULT '',
    pid INTEGER NOT NULL DEFAULT 0,
    started TEXT NOT NULL DEFAULT '',
    expires_at INTEGER NOT NULL DEFAULT 0,
    last_read INTEGER NOT NULL DEFAULT 0
);

-- name: create_tables
-- A source table of one workflow. Everything below that belongs to a table names this id.
CREATE TABLE tables (
    id INTEGER PRIMARY KEY,
    workflow_id INTEGER NOT NULL REFERENCES workflows (id),
    name TEXT NOT NULL,
    position TEXT,
    -- The generation at which a replay was asked for; NULL when none is.
    replay INTEGER,
    UNIQUE (workflow_id, name)
);

-- name: create_items
-- The queue: one row per record. The id is its place in the queue.
-- state: 0 ready, 1 delayed, 2 leased. op: 0 upsert, 1 delete. lane: 0 consent, 1 live, 2 bulk.
-- suspect: so many crashes that it is leased alone.
CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    table_id INTEGER NOT NULL,
    key BLOB NOT NULL,
    seq INTEGER NOT NULL,
    op INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    first INTEGER NOT NULL,
    refresh INTEGER NOT NULL,
    ambiguous INTEGER NOT NULL DEFAULT 0,
    suspect INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER,
    sending INTEGER NOT NULL DEFAULT 0,
    available_at INTEGER,
    queued_at INTEGER NOT NULL,
    checksum INTEGER,
    payload BLOB,
    CHECK ((state = 2) = (epoch IS NOT NULL)),
    CHECK ((state = 1) = (available_at IS NOT NULL))
);

-- name: create_items_key
CREATE UNIQUE INDEX items_key ON items (table_id, key);

-- name: create_items_ready
CREATE INDEX items_ready ON items (table_id, lane) WHERE state = 0 AND suspect = 0;

-- name: create_items_suspect
CREATE INDEX items_suspect ON items (table_id, lane) WHERE state = 0 AND suspect = 1;

-- name: create_items_delayed
CREATE INDEX items_delayed ON items (table_id, available_at) WHERE state = 1;

-- name: create_items_delayed_place
CREATE INDEX items_delayed_place ON items (table_id) WHERE state = 1;

-- name: create_items_leased
CREATE INDEX items_leased ON items (epoch) WHERE state = 2;

-- name: create_waiting
-- The newer change behind a leased row, and the place in the queue it will have.
CREATE TABLE waiting (
    item_id INTEGER PRIMARY KEY REFERENCES items (id),
    id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    op INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    first INTEGER NOT NULL,
    refresh INTEGER NOT NULL,
    ambiguous INTEGER NOT NULL,
    queued_at INTEGER NOT NULL,
    checksum INTEGER,
    payload BLOB
);

-- name: create_counters
-- How many changes are queued, by group. Kept in the transaction that changes it.
CREATE TABLE counters (
    table_id INTEGER NOT NULL,
    op INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    state INTEGER NOT NULL,
    n INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (table_id, op, lane, state)
) WITHOUT ROWID;

-- name: create_totals
-- `turn` is the table that was served last.
CREATE TABLE totals (
    workflow_id INTEGER PRIMARY KEY REFERENCES workflows (id),
    put INTEGER NOT NULL DEFAULT 0,
    written INTEGER NOT NULL DEFAULT 0,
    superseded INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0,
    discarded INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    open_letters INTEGER NOT NULL DEFAULT 0 CHECK (open_letters >= 0),
    turn INTEGER NOT NULL DEFAULT 0
);

-- name: create_ledger
-- What the target is known to have, as last written.
CREATE TABLE ledger (
    table_id INTEGER NOT NULL,
    key BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    PRIMARY KEY (table_id, key)
) WITHOUT ROWID;

-- name: create_seen
-- What the running resync of a table has seen.
CREATE TABLE seen (
    table_id INTEGER NOT NULL,
    key BLOB NOT NULL,
    PRIMARY KEY (table_id, key)
) WITHOUT ROWID;

-- name: create_dead_letters
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow_id INTEGER NOT NULL REFERENCES workflows (id),
    table_id INTEGER NOT NULL,
    key BLOB NOT NULL,
    seq INTEGER NOT NULL,
    payload BLOB,
    reason TEXT NOT NULL,
    field TEXT NOT NULL,
    message TEXT NOT NULL,
    at INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    first INTEGER NOT NULL,
    ambiguous INTEGER NOT NULL,
    status TEXT NOT NULL
);

-- name: create_dead_letters_open
CREATE INDEX dead_letters_open ON dead_letters (table_id, key) WHERE status = 'open';

-- name: create_dead_letters_workflow
CREATE INDEX dead_letters_workflow ON dead_letters (workflow_id, status);

-- name: create_history
CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow_id INTEGER NOT NULL REFERENCES workflows (id),
    at INTEGER NOT NULL,
    action TEXT NOT NULL,
    actor TEXT NOT NULL,
    detail TEXT NOT NULL
);

-- name: create_history_workflow
CREATE INDEX history_workflow ON history (workflow_id);

-- name: create_gates
CREATE TABLE gates (
    principal TEXT PRIMARY KEY,
    closed_until INTEGER NOT NULL
) WITHOUT ROWID;

-- name: create_samples
CREATE TABLE samples (
    workflow_id INTEGER NOT NULL REFERENCES workflows (id),
    at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    written INTEGER NOT NULL,
    PRIMARY KEY (workflow_id, at)
) WITHOUT ROWID;
