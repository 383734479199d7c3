-- Counts over time: for each node, step (seconds: 60 or 3600), begin of the step and key one row with all that the node has
-- counted in it. A node only ever writes its own rows, and whole: writing one again after a timeout counts nothing twice.
-- `identities` is a sketch of different ones, `samples` the newest decisions.
CREATE TABLE tallies (
    step BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    node TEXT NOT NULL,
    count BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    overhead_us BIGINT NOT NULL,
    delay_us BIGINT NOT NULL,
    upstream_us BIGINT NOT NULL,
    total_us BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cost_microusd BIGINT NOT NULL,
    identities BYTEA NOT NULL,
    samples TEXT NOT NULL,
    PRIMARY KEY (step, at, kind, key, node)
);

-- Versions of rules that the stop-loss has taken back to shadow. A row stays when an operator has lifted it: a version is
-- stopped once.
CREATE TABLE rule_stops (
    rule TEXT NOT NULL,
    version TEXT NOT NULL,
    at BIGINT NOT NULL,
    why TEXT NOT NULL,
    hit BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    decision TEXT NOT NULL,
    resumed_at BIGINT,
    resumed_by TEXT,
    PRIMARY KEY (rule, version)
);

-- What a set changed, rule by rule, as JSON; null for sets from before.
ALTER TABLE rule_sets ADD COLUMN changes TEXT;
