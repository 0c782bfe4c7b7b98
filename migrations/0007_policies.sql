-- Policy bundles, whom each reaches, and what each device shall have, was told and has.
CREATE TABLE policies (
	name TEXT NOT NULL,
	version INTEGER NOT NULL CHECK (version > 0),
	sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
	text BLOB NOT NULL,
	published_at INTEGER NOT NULL,
	published_by TEXT NOT NULL,
	PRIMARY KEY (name, version)
) STRICT;

CREATE TABLE policy_assignments (
	policy TEXT PRIMARY KEY,
	kind INTEGER NOT NULL CHECK (kind IN (0, 1, 2)),
	name TEXT NOT NULL,
	assigned_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX policy_assignments_by_target ON policy_assignments (kind, name);

CREATE TABLE device_policies (
	device INTEGER NOT NULL REFERENCES devices (number),
	name TEXT NOT NULL,
	wanted INTEGER NOT NULL DEFAULT 0, -- versions; 0: none
	delivered INTEGER NOT NULL DEFAULT 0,
	applied INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_policies_by_name ON device_policies (name, wanted, delivered, applied);
