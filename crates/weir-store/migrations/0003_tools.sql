-- Calls that wait, or waited, for a person. `live_key` names the question (caller, tool, arguments, rules) while an answer
-- to it counts, and is null afterwards: so the same call finds the same row, and two nodes cannot ask twice.
CREATE TABLE approvals (
    id TEXT PRIMARY KEY NOT NULL,
    live_key TEXT UNIQUE,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    answered_at BIGINT,
    answered_by TEXT,
    scope TEXT,
    grant_until BIGINT,
    used_at BIGINT,
    withdrawn_at BIGINT,
    withdrawn_by TEXT,
    caller TEXT NOT NULL,
    question TEXT NOT NULL
);
CREATE INDEX approvals_by_state ON approvals (state, id);
CREATE INDEX approvals_by_caller ON approvals (caller, state);

-- The definitions of tools as they were accepted, and as they were seen last.
CREATE TABLE tool_definitions (
    server TEXT NOT NULL,
    name TEXT NOT NULL,
    accepted TEXT NOT NULL,
    seen TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    changed_at BIGINT,
    accepted_by TEXT,
    PRIMARY KEY (server, name)
);
