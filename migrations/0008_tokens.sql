-- API tokens; only hashes are stored.
CREATE TABLE tokens (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
	name TEXT NOT NULL,
	scopes INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	created_by TEXT NOT NULL,
	expires_at INTEGER NOT NULL, -- 0: never
	last_used_at INTEGER NOT NULL DEFAULT 0,
	revoked_at INTEGER
) STRICT;
