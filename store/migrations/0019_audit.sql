-- What a command under way has changed so far, as JSON; '' is nothing.
ALTER TABLE commands ADD COLUMN changes TEXT NOT NULL DEFAULT '';

-- Changes of the global config that have not reached every app that they are for.
CREATE TABLE spreads (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    actor       TEXT NOT NULL,
    description TEXT NOT NULL
) STRICT;

-- Commands that were answered as accepted (--no-wait). Of one that is over only how it ended is left.
CREATE TABLE errands (
    id       TEXT PRIMARY KEY,
    actor    TEXT NOT NULL, -- JSON
    verb     TEXT NOT NULL,
    app      TEXT NOT NULL,
    words    TEXT NOT NULL, -- JSON; '' when it is over, since there may be secrets among them
    began_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL, -- 0: it has not
    code     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX errands_by_time ON errands (began_at);
