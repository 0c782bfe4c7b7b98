-- Releases: one row, its components and models, written in one transaction with the metadata that
-- makes them visible.  The objects that a release needs are its rows in targets.
CREATE TABLE releases (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	product TEXT NOT NULL,
	version TEXT NOT NULL,
	security_version INTEGER NOT NULL,
	data_schema INTEGER NOT NULL,
	manifest BLOB NOT NULL,
	manifest_sha256 BLOB NOT NULL CHECK (length(manifest_sha256) = 32),
	download_size INTEGER NOT NULL,
	published_at INTEGER NOT NULL,
	published_by TEXT NOT NULL,
	withdrawn_at INTEGER,
	withdrawn_reason TEXT,
	UNIQUE (product, version)
) STRICT;

CREATE TABLE release_components (
	release INTEGER NOT NULL REFERENCES releases (number),
	name TEXT NOT NULL,
	kind TEXT NOT NULL,
	size INTEGER NOT NULL,
	sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
	verity_root BLOB NOT NULL CHECK (length(verity_root) = 32),
	object_sha256 BLOB NOT NULL CHECK (length(object_sha256) = 32),
	object_size INTEGER NOT NULL,
	tree_sha256 BLOB CHECK (length(tree_sha256) = 32), -- NULL: no tree object
	tree_size INTEGER NOT NULL,
	PRIMARY KEY (release, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE release_models (
	release INTEGER NOT NULL REFERENCES releases (number),
	model TEXT NOT NULL,
	PRIMARY KEY (release, model)
) STRICT, WITHOUT ROWID;
