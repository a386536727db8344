-- What a release holds beside its image and config: platform.Spec as JSON, but for its links.
ALTER TABLE releases ADD COLUMN spec TEXT NOT NULL DEFAULT '{}';
-- The same for the first release of an app that has none yet.
ALTER TABLE apps ADD COLUMN draft TEXT NOT NULL DEFAULT '{}';

-- A release's links, by id: the other app may get another name. With the other app they are gone. The table links
-- is whom an app reaches now: what its current release says, what one in the making will, or, before the first
-- release, what that is to have.
CREATE TABLE release_links (
    app_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    to_id  INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    type   TEXT NOT NULL,
    port   INTEGER NOT NULL CHECK (port BETWEEN 0 AND 65535),
    PRIMARY KEY (app_id, number, to_id, type, port),
    FOREIGN KEY (app_id, number) REFERENCES releases (app_id, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX release_links_by_target ON release_links (to_id);
INSERT INTO release_links (app_id, number, to_id, type, port)
    SELECT r.app_id, r.number, l.to_id, l.type, l.port FROM releases r JOIN links l ON l.app_id = r.app_id;
