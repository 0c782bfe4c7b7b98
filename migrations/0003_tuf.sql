-- TUF metadata of the image repository (repo 1) and roots of the director (repo 2), byte-identical:
-- a blob, because signatures are over bytes.  A rowid table, so that asking for the newest
-- version walks the small index and not the texts.
CREATE TABLE tuf_files (
	repo INTEGER NOT NULL CHECK (repo IN (1, 2)),
	role TEXT NOT NULL,
	version INTEGER NOT NULL CHECK (version > 0),
	expires_at INTEGER NOT NULL,
	stored_at INTEGER NOT NULL,
	sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
	text BLOB NOT NULL,
	PRIMARY KEY (repo, role, version)
) STRICT;

-- Targets that consistent target paths name.  The foreign key is the second lock on objects:
-- garbage collection that would take a needed one fails instead.
CREATE TABLE targets (
	dir TEXT NOT NULL,  -- releases/<product>/<version>, policies/<name>
	name TEXT NOT NULL, -- system.zst, 3.json
	sha256 BLOB NOT NULL REFERENCES objects (sha256),
	size INTEGER NOT NULL,
	PRIMARY KEY (dir, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX targets_by_sha256 ON targets (sha256);
