-- The whole database, version 1. Times are whole microseconds since 1970 in UTC. Flags are 0 or 1.
-- Types are in SQLite's words; where another database has its own (for INTEGER, BLOB, AUTOINCREMENT, WITHOUT ROWID), they
-- are put in their place when this is read. An id that the database shall give is AUTOINCREMENT.
-- The rows of the queue name each other without REFERENCES: a check for each row costs more than the row, and `audit`
-- looks at all of them.
-- Ids of records are BLOBs: 16 bytes for a GUID, else text (columns.py says how), so that indexes stay small.
--
-- What makes it fast is that a page is written in full for the smallest change in it. Only one index has its entries in
-- the order of random ids, `records_key`, and a record enters it once for all its life; all else is in the order of
-- arrival. And a row of the queue with its payload is written once and deleted once: where it stands is in `ready`,
-- `delayed`, `held`, `children` or `leases`, in exactly one of them, and only these small rows move.

-- name: create_meta
-- What this file is. `store` is a UUID given at creation: another file under the same name is another store.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- name: create_counters
-- Every number that is kept, in one place, so that a transaction touches one page for all of them. `scope` is a table's id
-- for what is queued (`upsert.live.ready`) and for `known` ledger entries, a workflow's id below zero for its totals, its
-- `open` dead letters, its last `read` sequence and whose `turn` it was, and 0 for what belongs to the store: the last
-- `epoch` and the last `number` of a row. Each begins at 0 with what it counts. All but `turn` are added to, never set.
CREATE TABLE counters (
    scope INTEGER NOT NULL,
    name TEXT NOT NULL,
    n INTEGER NOT NULL CHECK (n >= 0),
    PRIMARY KEY (scope, name)
) WITHOUT ROWID;

-- name: create_workflows
CREATE TABLE workflows (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
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
-- One row per worker that has not given its grant back, nor had it taken.
CREATE TABLE grants (
    workflow_id INTEGER NOT NULL REFERENCES workflows (id),
    epoch INTEGER NOT NULL,
    -- 1 for the reader, 0 for a writer.
    reader INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    owner TEXT NOT NULL,
    host TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (workflow_id, epoch)
) WITHOUT ROWID;

-- name: create_grants_reader
-- One reads at a time.
CREATE UNIQUE INDEX grants_reader ON grants (workflow_id) WHERE reader = 1;

-- name: create_tables
-- A source table of one workflow. Everything below that belongs to a table names this id.
CREATE TABLE tables (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow_id INTEGER NOT NULL REFERENCES workflows (id),
    name TEXT NOT NULL,
    position TEXT,
    -- The generation at which a replay was asked for; NULL when none is.
    replay INTEGER,
    -- Held deletions are too many and wait for somebody's word.
    asked INTEGER NOT NULL DEFAULT 0,
    -- Held deletions that went unasked, and since when they are counted.
    let_go INTEGER NOT NULL DEFAULT 0,
    let_go_from INTEGER,
    -- Grows whenever what a full read saw is to count no more.
    round INTEGER NOT NULL DEFAULT 0,
    UNIQUE (workflow_id, name)
);

-- name: create_records
-- Every record that is queued or that the target is known to have. `fingerprint` is what was last written: the ledger.
-- `item_id` is its row in the queue: there is room for one.
CREATE TABLE records (
    id INTEGER PRIMARY KEY,
    table_id INTEGER NOT NULL,
    key BLOB NOT NULL,
    item_id INTEGER,
    fingerprint BLOB
);

-- name: create_records_key
CREATE UNIQUE INDEX records_key ON records (table_id, key);

-- name: create_items
-- The queue: one row per record. The id is its place in the queue. `attempts` are claims that ended.
-- op: 0 upsert, 1 delete. lane: 0 consent, 1 live, 2 bulk.
CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    record_id INTEGER NOT NULL,
    table_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    op INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    first INTEGER NOT NULL,
    refresh INTEGER NOT NULL,
    ambiguous INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    -- It was held as a deletion and may go now.
    confirmed INTEGER NOT NULL DEFAULT 0,
    -- Since when this change has waited for its parent.
    waits_from INTEGER,
    queued_at INTEGER NOT NULL,
    checksum INTEGER,
    payload BLOB
);

-- name: create_ready
-- What can be leased, in the order in which it will be. suspect: the number of crashes, where so many make one, else 0.
CREATE TABLE ready (
    table_id INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    suspect INTEGER NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (table_id, lane, suspect, id)
) WITHOUT ROWID;

-- name: create_delayed
-- What waits until a time.
CREATE TABLE delayed (
    table_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    due INTEGER NOT NULL,
    PRIMARY KEY (table_id, id)
) WITHOUT ROWID;

-- name: create_delayed_due
CREATE INDEX delayed_due ON delayed (table_id, due);

-- name: create_held
-- Deletions that nobody leases until they are let go or confirmed, with the generation that held them.
CREATE TABLE held (
    table_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (table_id, id)
) WITHOUT ROWID;

-- name: create_children
-- What waits for another record to be at the target, which need not be stored here, and when to look again all the same.
CREATE TABLE children (
    table_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    parent_table_id INTEGER NOT NULL,
    parent_key BLOB NOT NULL,
    due INTEGER NOT NULL,
    PRIMARY KEY (table_id, id)
) WITHOUT ROWID;

-- name: create_children_parent
CREATE INDEX children_parent ON children (parent_table_id, parent_key);

-- name: create_children_due
CREATE INDEX children_due ON children (table_id, due);

-- name: create_leases
-- What is claimed, by the epoch of the grant it is claimed under. sending: it may have reached the target.
CREATE TABLE leases (
    epoch INTEGER NOT NULL,
    id INTEGER NOT NULL,
    record_id INTEGER NOT NULL,
    table_id INTEGER NOT NULL,
    op INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    suspect INTEGER NOT NULL,
    sending INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (epoch, id)
) WITHOUT ROWID;

-- name: create_waiting
-- The newer change behind a leased row, and the place in the queue it will have.
CREATE TABLE waiting (
    item_id INTEGER PRIMARY KEY,
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

-- name: create_seen
-- What the running full read of a table has seen since its load: the rows of the table's round. Those of earlier rounds
-- count no more, and are removed bit by bit.
CREATE TABLE seen (
    table_id INTEGER NOT NULL,
    round INTEGER NOT NULL,
    record_id INTEGER NOT NULL,
    PRIMARY KEY (table_id, round, record_id)
) WITHOUT ROWID;

-- name: create_read_by_key
-- Records that a worker read by key while another one may have been reading a page, and the read sequence when that ended.
-- What a page says that was asked for before is not trusted; a page that was asked for later removes the row.
CREATE TABLE read_by_key (
    table_id INTEGER NOT NULL,
    key BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (table_id, key)
) WITHOUT ROWID;

-- name: create_sweeps
-- How far the rolling comparison of a table has come, and what it found.
CREATE TABLE sweeps (
    table_id INTEGER PRIMARY KEY REFERENCES tables (id),
    since INTEGER NOT NULL,
    began_at INTEGER NOT NULL,
    after_id INTEGER NOT NULL,
    done INTEGER NOT NULL,
    rounds INTEGER NOT NULL,
    checked INTEGER NOT NULL,
    mended INTEGER NOT NULL,
    checked_ever INTEGER NOT NULL,
    mended_ever INTEGER NOT NULL,
    calls INTEGER NOT NULL
);

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
    status TEXT NOT NULL,
    -- The record that would have to be at the target first, where that is why.
    parent_table_id INTEGER,
    parent_key BLOB
);

-- name: create_dead_letters_open
CREATE INDEX dead_letters_open ON dead_letters (table_id, key) WHERE status = 'open';

-- name: create_dead_letters_parent
CREATE INDEX dead_letters_parent ON dead_letters (parent_table_id, parent_key)
WHERE status = 'open' AND parent_key IS NOT NULL;

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

-- name: create_suppressions
-- People who were forgotten. `hash` is an HMAC under the key `suppressions` of `meta`; `channels` has names and commas.
CREATE TABLE suppressions (
    hash BLOB PRIMARY KEY,
    scope TEXT NOT NULL,
    channels TEXT NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;

-- name: create_files
-- How far each exported file was read, as the engine's own JSON.
CREATE TABLE files (
    workflow_id INTEGER NOT NULL REFERENCES workflows (id),
    name TEXT NOT NULL,
    mark TEXT NOT NULL,
    PRIMARY KEY (workflow_id, name)
) WITHOUT ROWID;

-- name: create_strangers
-- People whom the target does not know yet, and when it was asked last.
CREATE TABLE strangers (
    workflow_id INTEGER NOT NULL REFERENCES workflows (id),
    person BLOB NOT NULL,
    asked_at INTEGER NOT NULL,
    PRIMARY KEY (workflow_id, person)
) WITHOUT ROWID;

-- name: create_strangers_asked
CREATE INDEX strangers_asked ON strangers (workflow_id, asked_at);

-- name: create_set_aside
-- What left the queue until the target knows its person; the newest of each record.
CREATE TABLE set_aside (
    id INTEGER PRIMARY KEY,
    workflow_id INTEGER NOT NULL,
    table_id INTEGER NOT NULL,
    key BLOB NOT NULL,
    person BLOB NOT NULL,
    seq INTEGER NOT NULL,
    ambiguous INTEGER NOT NULL,
    at INTEGER NOT NULL,
    checksum INTEGER,
    payload BLOB
);

-- name: create_set_aside_key
CREATE UNIQUE INDEX set_aside_key ON set_aside (table_id, key);

-- name: create_set_aside_person
CREATE INDEX set_aside_person ON set_aside (workflow_id, person);

-- name: create_decisions
-- The decision record: rows are added, and each carries a hash of its text (`content`) and of all before it (`link`).
-- `told` is JSON; person, salt and text are emptied when they are erased, which a row of its own, without a person, says.
-- `place` counts from 1 within a scope.
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    scope TEXT NOT NULL,
    place INTEGER NOT NULL,
    person BLOB,
    channel TEXT NOT NULL,
    at INTEGER NOT NULL,
    told TEXT,
    salt BLOB NOT NULL,
    content BLOB NOT NULL,
    link BLOB NOT NULL
);

-- name: create_decisions_place
CREATE UNIQUE INDEX decisions_place ON decisions (scope, place);

-- name: create_decisions_person
CREATE INDEX decisions_person ON decisions (scope, person);

-- name: create_decision_seals
-- Where the decision record of a scope ends: its last place and link.
CREATE TABLE decision_seals (
    scope TEXT PRIMARY KEY,
    place INTEGER NOT NULL,
    link BLOB NOT NULL
) WITHOUT ROWID;

-- name: create_standings
-- What is remembered about a person and channel. `looked` is when a profile was looked for in vain, else NULL; with
-- `missed` the ledger had it by then.
CREATE TABLE standings (
    scope TEXT NOT NULL,
    person BLOB NOT NULL,
    channel TEXT NOT NULL,
    told TEXT NOT NULL,
    looked INTEGER,
    missed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (scope, person, channel)
) WITHOUT ROWID;

-- name: create_standings_waiting
CREATE INDEX standings_waiting ON standings (scope, looked) WHERE looked IS NOT NULL;

-- name: create_consent_troubles
CREATE TABLE consent_troubles (
    scope TEXT NOT NULL,
    person BLOB NOT NULL,
    since INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    held INTEGER NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (scope, person)
) WITHOUT ROWID;
