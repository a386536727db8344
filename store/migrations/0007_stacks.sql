CREATE TABLE stacks (
    name       TEXT NOT NULL,
    number     INTEGER NOT NULL,
    version    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (name, number)
) STRICT, WITHOUT ROWID;
