-- Sign-ins of the console. Hashes only: who reads this table can neither take a session over nor try a guess of a token.
CREATE TABLE sessions (
    hash TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    bond TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);
