-- Rollouts, and the marks by which devices learn that they have to be planned again.
--
-- A rollout or policy to a million devices is one row: it sets the mark of its target (all, a
-- group, a device) to the next number of counters.marks.  A check-in compares the marks that
-- reach the device with the number it was planned at; nothing is written for devices that do not ask.
CREATE TABLE marks (
	kind INTEGER NOT NULL CHECK (kind IN (0, 1, 2)), -- enum target_kind
	name TEXT NOT NULL,
	mark INTEGER NOT NULL,
	PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollouts (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	release INTEGER NOT NULL REFERENCES releases (number),
	kind INTEGER NOT NULL CHECK (kind IN (0, 1, 2)),
	name TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	created_by TEXT NOT NULL
) STRICT;
CREATE INDEX rollouts_by_release ON rollouts (release);
