-- What operators set above the configuration: the level of a tool (`kind` tool), the ceiling of a channel (`channel`).
CREATE TABLE overrides (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    level TEXT NOT NULL,
    at BIGINT NOT NULL,
    author TEXT NOT NULL,
    PRIMARY KEY (kind, name)
);
