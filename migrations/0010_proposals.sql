-- Releases that wait for more signatures (storage/proposals.h).  What is in here is not published:
-- neither its role nor its targets are in tuf_files and targets.
CREATE TABLE proposals (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	product TEXT NOT NULL,
	version TEXT NOT NULL,
	manifest BLOB NOT NULL,
	role BLOB NOT NULL, -- the product's role with the signatures that there are
	proposed_at INTEGER NOT NULL,
	proposed_by TEXT NOT NULL,
	expires_at INTEGER NOT NULL,
	UNIQUE (product, version)
) STRICT;
