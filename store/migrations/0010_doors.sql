-- Ports of the host that lead to ports of an app's instances. idle is in milliseconds; 0 is the default, as
-- with connections.
CREATE TABLE port_mappings (
    transport   TEXT NOT NULL CHECK (transport IN ('tcp', 'udp')),
    host_port   INTEGER NOT NULL CHECK (host_port BETWEEN 1 AND 65535),
    app_id      INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    scheme      TEXT NOT NULL,
    port        INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    type        TEXT NOT NULL,
    proxy       TEXT NOT NULL,
    connections INTEGER NOT NULL,
    idle        INTEGER NOT NULL,
    PRIMARY KEY (transport, host_port)
) STRICT, WITHOUT ROWID;
CREATE INDEX port_mappings_by_app ON port_mappings (app_id);
