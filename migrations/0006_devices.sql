-- Handsets, the tickets that let them in, their groups, grants, events and director metadata.
CREATE TABLE tickets (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	token_sha256 BLOB NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
	manual INTEGER NOT NULL CHECK (manual IN (0, 1)),
	serial TEXT NOT NULL,
	tries INTEGER NOT NULL DEFAULT 0,
	created_at INTEGER NOT NULL,
	created_by TEXT NOT NULL,
	expires_at INTEGER NOT NULL,
	used_at INTEGER,
	used_by TEXT, -- device id; not a reference: the ticket is written before the device
	revoked_at INTEGER
) STRICT;

CREATE TABLE ticket_groups (
	ticket INTEGER NOT NULL REFERENCES tickets (number) ON DELETE CASCADE,
	name TEXT NOT NULL,
	PRIMARY KEY (ticket, name)
) STRICT, WITHOUT ROWID;

-- What every check-in reads comes first; the long texts are at the end of the row.
CREATE TABLE devices (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	id TEXT NOT NULL UNIQUE,
	state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3), -- enum device_state
	identity BLOB NOT NULL UNIQUE CHECK (length(identity) = 32),
	sealing BLOB NOT NULL CHECK (length(sealing) = 32),
	model TEXT NOT NULL,
	report_sha256 BLOB CHECK (length(report_sha256) = 32),
	ack INTEGER NOT NULL DEFAULT 0,
	security_floor INTEGER NOT NULL DEFAULT 0,
	planned INTEGER NOT NULL DEFAULT -1, -- counters.marks at that time; -1: not since a change of its own
	plan INTEGER NOT NULL DEFAULT 1,     -- rises when what it shall run changes
	wanted INTEGER REFERENCES releases (number),
	delivered INTEGER REFERENCES releases (number),
	applied INTEGER REFERENCES releases (number),
	applied_text TEXT NOT NULL DEFAULT '', -- as reported: it may run what we do not know
	rollout INTEGER REFERENCES rollouts (number),
	last_seen_at INTEGER NOT NULL DEFAULT 0,
	slot TEXT NOT NULL DEFAULT '',
	update_state TEXT NOT NULL DEFAULT '',
	agent TEXT NOT NULL DEFAULT '',
	name TEXT NOT NULL,
	serial TEXT NOT NULL,
	ticket INTEGER NOT NULL,
	enrolled_at INTEGER NOT NULL,
	revoked_at INTEGER,
	attributes TEXT NOT NULL,
	status TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX devices_by_state ON devices (state);
CREATE INDEX devices_by_wanted ON devices (wanted);
CREATE INDEX devices_by_applied ON devices (applied);
CREATE INDEX devices_by_delivered ON devices (delivered);

CREATE TABLE device_groups (
	device INTEGER NOT NULL REFERENCES devices (number),
	name TEXT NOT NULL,
	PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_groups_by_name ON device_groups (name, device);

-- One row per rollout and device, so that counts and history outlive the next rollout.
CREATE TABLE grants (
	rollout INTEGER NOT NULL REFERENCES rollouts (number),
	device INTEGER NOT NULL REFERENCES devices (number),
	state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5), -- enum grant_state
	granted_at INTEGER NOT NULL,
	changed_at INTEGER NOT NULL,
	PRIMARY KEY (rollout, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_state ON grants (rollout, state);

CREATE TABLE events (
	device INTEGER NOT NULL REFERENCES devices (number),
	seq INTEGER NOT NULL,
	at INTEGER NOT NULL,
	received_at INTEGER NOT NULL,
	kind TEXT NOT NULL,
	state TEXT NOT NULL,
	product TEXT NOT NULL,
	version TEXT NOT NULL,
	reason TEXT NOT NULL,
	log TEXT NOT NULL,
	PRIMARY KEY (device, seq)
) STRICT;

-- The newest director metadata of each device; small columns first, so that a check-in does not
-- read the texts.
CREATE TABLE director (
	device INTEGER PRIMARY KEY REFERENCES devices (number),
	plan INTEGER NOT NULL,
	timestamp_version INTEGER NOT NULL,
	snapshot_version INTEGER NOT NULL,
	targets_version INTEGER NOT NULL,
	refresh_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	timestamp BLOB NOT NULL,
	snapshot BLOB NOT NULL,
	targets BLOB NOT NULL
) STRICT;
