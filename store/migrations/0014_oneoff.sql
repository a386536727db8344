-- One-off commands, those of cron among them, until they are forgotten. due is 0 but for cron's; times are
-- milliseconds, 0 for what was not.
CREATE TABLE one_offs (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id     INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL,
    command    TEXT NOT NULL,
    release    INTEGER NOT NULL,
    actor      TEXT NOT NULL,
    detached   INTEGER NOT NULL,
    job        TEXT NOT NULL,
    due        INTEGER NOT NULL,
    status     TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    deadline   INTEGER NOT NULL,
    code       INTEGER NOT NULL,
    detail     TEXT NOT NULL
) STRICT;
CREATE INDEX one_offs_by_app ON one_offs (app_id, id);
CREATE INDEX one_offs_open ON one_offs (status) WHERE status IN ('starting', 'running');
-- A time at which a job is due is one run, whoever asks.
CREATE UNIQUE INDEX one_offs_due ON one_offs (app_id, job, due) WHERE due > 0;

-- Up to when a job's times were seen to.
CREATE TABLE cron_marks (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    job    TEXT NOT NULL,
    mark   INTEGER NOT NULL,
    PRIMARY KEY (app_id, job)
) STRICT, WITHOUT ROWID;
