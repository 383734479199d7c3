-- A record is kept with others of its time in one compressed block: a row of its own, with its index entries, cost each
-- request ten times as much. BYTEA is PostgreSQL's word; SQLite keeps bytes in a column of any type.
DROP TABLE decisions;
DROP TABLE usage_records;

-- What is in a block, small enough to look through millions of records: its ids sort by time.
CREATE TABLE record_blocks (
    last_id TEXT PRIMARY KEY NOT NULL,
    first_id TEXT NOT NULL,
    boundary TEXT NOT NULL,
    records BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    subjects BYTEA NOT NULL
);
CREATE INDEX record_blocks_by_boundary ON record_blocks (boundary, last_id);

-- The records themselves, apart, so that looking through the blocks does not read them.
CREATE TABLE record_bodies (
    last_id TEXT PRIMARY KEY NOT NULL,
    body BYTEA NOT NULL
);

-- The rare records that one looks for by outcome or rule. `outcome` is null when it is the one that nearly all have.
CREATE TABLE notable_records (
    id TEXT PRIMARY KEY NOT NULL,
    block TEXT NOT NULL,
    boundary TEXT NOT NULL,
    outcome TEXT,
    rule TEXT
);
CREATE INDEX notable_records_by_outcome ON notable_records (outcome, id) WHERE outcome IS NOT NULL;
CREATE INDEX notable_records_by_rule ON notable_records (rule, id) WHERE rule IS NOT NULL;
