-- Deltas: what makes a component of one release out of the same component of an earlier one.
--
-- A row is work to do, then its result; made ones need their object.  Rows go when nobody could
-- use them any more (storage/deltas.h), so the table is as long as the fleet has versions.
CREATE TABLE deltas (
	to_release INTEGER NOT NULL REFERENCES releases (number),
	component TEXT NOT NULL,
	from_release INTEGER NOT NULL REFERENCES releases (number),
	state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4), -- enum delta_state
	tries INTEGER NOT NULL DEFAULT 0,
	takes INTEGER NOT NULL DEFAULT 0,    -- which taking of it counts: an earlier one ends as nothing
	retry_at INTEGER NOT NULL DEFAULT 0, -- not taken before
	sha256 BLOB CHECK (length(sha256) = 32), -- of the object; NULL unless made
	size INTEGER NOT NULL DEFAULT 0,
	reason TEXT NOT NULL DEFAULT '',
	changed_at INTEGER NOT NULL,
	PRIMARY KEY (to_release, component, from_release)
) STRICT, WITHOUT ROWID;
CREATE INDEX deltas_by_state ON deltas (state);
CREATE INDEX deltas_by_sha256 ON deltas (sha256);
