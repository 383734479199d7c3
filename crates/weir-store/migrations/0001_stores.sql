-- One text for SQLite and PostgreSQL: TEXT, BIGINT (times in milliseconds since 1970), BOOLEAN, nothing else.

-- Secrets that nodes share, made at the first open.
CREATE TABLE meta (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);

-- Numbers that must grow in the order of commits: taking one locks its row until the transaction ends.
CREATE TABLE counters (
    name TEXT PRIMARY KEY NOT NULL,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('changes', 0), ('audit', 0);

-- What running nodes poll, so that they follow a write of another node or of the command line.
CREATE TABLE changes (
    seq BIGINT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL
);

CREATE TABLE rule_sets (
    epoch BIGINT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    author TEXT NOT NULL,
    summary TEXT NOT NULL,
    text TEXT NOT NULL
);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    owner TEXT NOT NULL,
    byok TEXT NOT NULL,
    origin TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

-- Apart from api_keys: configured keys spend too, and have no row there.
CREATE TABLE key_spend (
    id TEXT PRIMARY KEY NOT NULL,
    microusd BIGINT NOT NULL
);

CREATE TABLE identities (
    key TEXT PRIMARY KEY NOT NULL,
    plan TEXT,
    verified BOOLEAN,
    blocked BOOLEAN,
    tags TEXT,
    created_at BIGINT,
    exempt_until BIGINT,
    exempt_by TEXT,
    first_seen BIGINT NOT NULL
);

CREATE TABLE audit (
    id BIGINT PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    author TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
);

-- Ids sort by time, so that the primary key serves paging, `since` and pruning, and new rows only ever go to its end. An
-- index by subject would be written to all over for every row: it made a record ten times as expensive. So the subject
-- is in the primary key, and a list of one subject reads the key's entries, not the rows. `notable` is the outcome unless
-- it is the one that nearly all rows have; both small indexes hold the rare rows only and cost the others nothing.
CREATE TABLE decisions (
    id TEXT NOT NULL,
    subject TEXT NOT NULL,
    boundary TEXT NOT NULL,
    notable TEXT,
    rule TEXT,
    body TEXT NOT NULL,
    PRIMARY KEY (id, subject)
);
CREATE INDEX decisions_by_outcome ON decisions (notable, id) WHERE notable IS NOT NULL;
CREATE INDEX decisions_by_rule ON decisions (rule, id) WHERE rule IS NOT NULL;

CREATE TABLE usage_records (
    id TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (id, subject)
);
