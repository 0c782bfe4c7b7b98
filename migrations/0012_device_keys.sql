-- A handset's own keys change (storage/devices.h): its id stays, and what it had before is never good again.
ALTER TABLE devices ADD COLUMN key_since INTEGER NOT NULL DEFAULT 0;
UPDATE devices SET key_since = enrolled_at;

CREATE TABLE former_keys (
	number INTEGER PRIMARY KEY, -- in the order of rotations
	identity BLOB NOT NULL UNIQUE CHECK (length(identity) = 32),
	device INTEGER NOT NULL REFERENCES devices (number),
	replaced_at INTEGER NOT NULL
) STRICT;
CREATE INDEX former_keys_by_device ON former_keys (device, number);
