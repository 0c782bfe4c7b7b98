-- Which objects are stored durably, and uploads on their way to become objects.
--
-- A row is written after its file is durable, and goes before its file is removed: a file without
-- a row is garbage, a row without a file is damage.  kept_until guards what a publisher was told
-- is there against garbage collection until the publish arrives.
CREATE TABLE objects (
	sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
	size INTEGER NOT NULL CHECK (size >= 0),
	stored_at INTEGER NOT NULL,
	kept_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The offset is not here: the size of the file is the truth after a crash.
CREATE TABLE uploads (
	id TEXT PRIMARY KEY,
	sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
	size INTEGER NOT NULL CHECK (size >= 0),
	owner INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	done INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_by_owner ON uploads (owner);
CREATE INDEX uploads_by_sha256 ON uploads (sha256);
