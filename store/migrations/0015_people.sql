-- Who comes in. A user has keys, and for each app at most one role. Nobody is called root: that is who comes in on
-- the server itself.
CREATE TABLE users (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE,
    admin      INTEGER NOT NULL,
    creates    INTEGER NOT NULL, -- may make apps
    created_at INTEGER NOT NULL
) STRICT;

INSERT INTO users (name, admin, creates, created_at) SELECT iif(name = 'root', 'root-key', name), admin, 0, created_at FROM keys ORDER BY created_at, name;

CREATE TABLE user_keys (
    fingerprint TEXT PRIMARY KEY,
    user_id     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name        TEXT NOT NULL UNIQUE,
    public      TEXT NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO user_keys (fingerprint, user_id, name, public, created_at)
SELECT k.fingerprint, u.id, k.name, k.public, k.created_at FROM keys k JOIN users u ON u.name = iif(k.name = 'root', 'root-key', k.name);

DROP TABLE keys;
ALTER TABLE user_keys RENAME TO keys;
CREATE INDEX keys_by_user ON keys (user_id);

-- role is platform.Role: 1 view, 2 deploy, 3 operate, 4 manage, 5 owner.
CREATE TABLE roles (
    app_id     INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role       INTEGER NOT NULL CHECK (role BETWEEN 1 AND 5),
    given_by   TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX roles_by_user ON roles (user_id);

-- Keys that were no admin's could do all but what is for admins, with every app that there was.
INSERT INTO roles (app_id, user_id, role, given_by, created_at)
SELECT a.id, u.id, 4, 'before roles', a.created_at FROM apps a, users u WHERE u.admin = 0;

-- Tokens of nobody are root's: those from before users are, since only admins could make them.
CREATE TABLE user_tokens (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id      INTEGER REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    hash         TEXT NOT NULL UNIQUE,
    made_with    TEXT NOT NULL, -- the fingerprint of the key whose session made it
    scopes       TEXT NOT NULL, -- with blanks between them
    limited      INTEGER NOT NULL, -- only for the apps in token_apps
    expires_at   INTEGER,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    last_used_by TEXT NOT NULL -- an address
) STRICT;
CREATE UNIQUE INDEX tokens_by_owner ON user_tokens (coalesce(user_id, 0), name);

CREATE TABLE token_apps (
    token_id INTEGER NOT NULL REFERENCES user_tokens (id) ON DELETE CASCADE,
    app_id   INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    PRIMARY KEY (token_id, app_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX token_apps_by_app ON token_apps (app_id);

INSERT INTO user_tokens (name, hash, made_with, scopes, limited, expires_at, created_at, last_used_by)
SELECT name, hash, '', iif(read_only, 'apps:read', 'apps:read apps:deploy'), app_id IS NOT NULL, expires_at, created_at, '' FROM tokens;
INSERT INTO token_apps (token_id, app_id)
SELECT n.id, o.app_id FROM tokens o JOIN user_tokens n ON n.hash = o.hash WHERE o.app_id IS NOT NULL;
DROP TABLE tokens;
ALTER TABLE user_tokens RENAME TO tokens;

-- A token that was for one app goes with it.
CREATE TRIGGER tokens_of_no_app AFTER DELETE ON token_apps
WHEN NOT EXISTS (SELECT 1 FROM token_apps WHERE token_id = old.token_id)
BEGIN
    DELETE FROM tokens WHERE id = old.token_id;
END;

-- class is 0 for what happened by itself, 1 for what somebody did, 2 for what was refused or failed.
ALTER TABLE events ADD COLUMN class INTEGER NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN key TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN door TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN remote TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN request TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN outcome TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN changes TEXT NOT NULL DEFAULT '';
UPDATE events SET class = 1 WHERE actor <> '';
CREATE INDEX events_by_class ON events (class, id);

-- Commands under way: what is still here after a crash was cut off by it. event is platform.Event as JSON.
CREATE TABLE commands (
    request TEXT PRIMARY KEY,
    event   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
