-- Policy bundles wait for signatures as releases do (storage/proposals.h).
CREATE TABLE proposed (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	kind INTEGER NOT NULL CHECK (kind IN (0, 1)), -- enum proposal_kind
	name TEXT NOT NULL,    -- the product, or the bundle
	version TEXT NOT NULL,
	text BLOB NOT NULL,    -- release.json, or the bundle
	role BLOB NOT NULL,    -- the role that lists it, with the signatures that there are
	proposed_at INTEGER NOT NULL,
	proposed_by TEXT NOT NULL,
	expires_at INTEGER NOT NULL,
	UNIQUE (kind, name, version)
) STRICT;
INSERT INTO proposed SELECT number, 0, product, version, manifest, role, proposed_at, proposed_by, expires_at
	FROM proposals;
DROP TABLE proposals;
ALTER TABLE proposed RENAME TO proposals;
