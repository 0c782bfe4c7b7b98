-- A database of schema 13 with a row or two in each table, as that version left it.
BEGIN TRANSACTION;
CREATE TABLE audit (
	n INTEGER PRIMARY KEY,
	at INTEGER NOT NULL,
	actor TEXT NOT NULL,
	verb TEXT NOT NULL,
	subject TEXT NOT NULL,
	detail TEXT NOT NULL,
	hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO audit VALUES(1,1795000000,'console','token.create','k1','ci',X'17d050db788abd5caeeb1c3e9b89ebba4fc32a23fb61df6bdd6f9a575b82f0f3');
INSERT INTO audit VALUES(2,1795000000,'token:k1','tuf.put','image/root 1','',X'5616ef42c4bd578f5abeead12cab41e4666a5223eb859ddd28f9f82158a398c0');
CREATE TABLE counters (
	name TEXT PRIMARY KEY,
	value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counters VALUES('marks',3);
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
	changed_at INTEGER NOT NULL, coding INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (to_release, component, from_release)
) STRICT, WITHOUT ROWID;
INSERT INTO deltas VALUES(1,'system',2,2,1,3,1795000005,X'0101010101010101010101010101010101010101010101010101010101010101',60,'',1795000000,4);
CREATE TABLE device_groups (
	device INTEGER NOT NULL REFERENCES devices (number),
	name TEXT NOT NULL,
	PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;
INSERT INTO device_groups VALUES(1,'sales');
CREATE TABLE device_policies (
	device INTEGER NOT NULL REFERENCES devices (number),
	name TEXT NOT NULL,
	wanted INTEGER NOT NULL DEFAULT 0, -- versions; 0: none
	delivered INTEGER NOT NULL DEFAULT 0,
	applied INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;
INSERT INTO device_policies VALUES(1,'base',2,1,1);
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
, key_since INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO devices VALUES(1,'07000000070000000700000007000000',1,X'0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a',X'0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b','compact',X'0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c',41,1,3,2,1,1,1,'phone/1.0',2,1795000000,'a','idle','0.1.0','Anna','SN-1',1,1795000000,NULL,'{"os":"14"}','{"vm":"running"}',1795000100);
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
INSERT INTO director VALUES(1,2,5,5,5,1795000000,1795000000,X'7b2274223a317d',X'7b2273223a317d',X'7b2267223a317d');
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
INSERT INTO events VALUES(1,41,1795000000,1795000000,'update','rolled_back','phone','1.1','health','tail');
CREATE TABLE grants (
	rollout INTEGER NOT NULL REFERENCES rollouts (number),
	device INTEGER NOT NULL REFERENCES devices (number),
	state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5), -- enum grant_state
	granted_at INTEGER NOT NULL,
	changed_at INTEGER NOT NULL,
	PRIMARY KEY (rollout, device)
) STRICT, WITHOUT ROWID;
INSERT INTO grants VALUES(1,1,5,1795000000,1795000000);
INSERT INTO grants VALUES(2,1,3,1795000000,1795000000);
CREATE TABLE marks (
	kind INTEGER NOT NULL CHECK (kind IN (0, 1, 2)), -- enum target_kind
	name TEXT NOT NULL,
	mark INTEGER NOT NULL,
	PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
INSERT INTO marks VALUES(0,'',2);
INSERT INTO marks VALUES(1,'sales',3);
CREATE TABLE migrations ( number INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 BLOB NOT NULL, applied_at INTEGER NOT NULL) STRICT;
INSERT INTO migrations VALUES(1,'0001_base.sql',X'92fd4898072c0a689c242f9c39b0e80d775873e7e8cc2063947bdff0fc73d1ac',1795000000);
INSERT INTO migrations VALUES(2,'0002_objects.sql',X'b4f40bfb8944c1ba4b0935303c9c89048ab2a43a0af9be841cbd63511875cb84',1795000000);
INSERT INTO migrations VALUES(3,'0003_tuf.sql',X'6968616fa7695bed2da6d346d099571945099a3c131c03235501fff27919c4d2',1795000000);
INSERT INTO migrations VALUES(4,'0004_releases.sql',X'3c20d26402452c6198c1d8e6af02992798ddeac1c0203a6b78981e364965e83d',1795000000);
INSERT INTO migrations VALUES(5,'0005_rollouts.sql',X'c32947b14e7a69c3defd303cc331c16c83abc8f4c8325d561ba0b803efc91182',1795000000);
INSERT INTO migrations VALUES(6,'0006_devices.sql',X'78f005fa294cf931350b2cb19c9daa07dbab039456b7b3ac9f680fca3286c01e',1795000000);
INSERT INTO migrations VALUES(7,'0007_policies.sql',X'd0810d84acce6d074359d9b2ed2152f262dde15304de1e4bde318b0c52933e68',1795000000);
INSERT INTO migrations VALUES(8,'0008_tokens.sql',X'ebee32e17a8651f95083984b8e6160699e38e30322dcbd552dc5aa80c46f3a49',1795000000);
INSERT INTO migrations VALUES(9,'0009_deltas.sql',X'16c741d82017751e14f84a5c7a3e79dc365f0755c8025ffd30b03b703cb03a4c',1795000000);
INSERT INTO migrations VALUES(10,'0010_proposals.sql',X'39a9d2fc74af9c7a5b7998855a6de9dcb893a6bf1ad4453656f7616905b0c7d0',1795000000);
INSERT INTO migrations VALUES(11,'0011_proposals_of_policies.sql',X'0b086ffdb2c665d48385f33871177e63760e545fe5e59ad0ba0a4dca2a117a3c',1795000000);
INSERT INTO migrations VALUES(12,'0012_device_keys.sql',X'8d2683ea071a15091c89917902e0f99bdeb88f4a1a3f259b18e531f3803ea1f9',1795000000);
INSERT INTO migrations VALUES(13,'0013_delta_coding.sql',X'822d32dcb57d154643592a7bf62953bf19c05112881fe4f4b0225e062e7b81c0',1795000000);
CREATE TABLE objects (
	sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
	size INTEGER NOT NULL CHECK (size >= 0),
	stored_at INTEGER NOT NULL,
	kept_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO objects VALUES(X'0101010101010101010101010101010101010101010101010101010101010101',100,1795000000,1795086400);
INSERT INTO objects VALUES(X'0202020202020202020202020202020202020202020202020202020202020202',50,1795000000,1795086400);
CREATE TABLE policies (
	name TEXT NOT NULL,
	version INTEGER NOT NULL CHECK (version > 0),
	sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
	text BLOB NOT NULL,
	published_at INTEGER NOT NULL,
	published_by TEXT NOT NULL,
	PRIMARY KEY (name, version)
) STRICT;
INSERT INTO policies VALUES('base',1,X'0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d',X'7b2261223a317d',1795000000,'token:k1');
INSERT INTO policies VALUES('base',2,X'0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e',X'7b2261223a327d',1795000000,'token:k1');
CREATE TABLE policy_assignments (
	policy TEXT PRIMARY KEY,
	kind INTEGER NOT NULL CHECK (kind IN (0, 1, 2)),
	name TEXT NOT NULL,
	assigned_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO policy_assignments VALUES('base',1,'sales',1795000000);
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
INSERT INTO release_components VALUES(1,'system','disk',4096,X'0707070707070707070707070707070707070707070707070707070707070707',X'0808080808080808080808080808080808080808080808080808080808080808',X'0101010101010101010101010101010101010101010101010101010101010101',100,NULL,0);
CREATE TABLE release_models (
	release INTEGER NOT NULL REFERENCES releases (number),
	model TEXT NOT NULL,
	PRIMARY KEY (release, model)
) STRICT, WITHOUT ROWID;
INSERT INTO release_models VALUES(1,'compact');
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
INSERT INTO releases VALUES(1,'phone','1.0',1,1,X'7b7d',X'0202020202020202020202020202020202020202020202020202020202020202',100,1795000000,'token:k1',NULL,NULL);
INSERT INTO releases VALUES(2,'phone','0.9',1,1,X'7b2278223a317d',X'0606060606060606060606060606060606060606060606060606060606060606',100,1795000000,'token:k1',1795000000,'bad');
CREATE TABLE rollouts (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	release INTEGER NOT NULL REFERENCES releases (number),
	kind INTEGER NOT NULL CHECK (kind IN (0, 1, 2)),
	name TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	created_by TEXT NOT NULL
) STRICT;
INSERT INTO rollouts VALUES(1,1,0,'',1795000000,'token:k1');
INSERT INTO rollouts VALUES(2,1,1,'sales',1795000000,'token:k1');
CREATE TABLE targets (
	dir TEXT NOT NULL,  -- releases/<product>/<version>, policies/<name>
	name TEXT NOT NULL, -- system.zst, 3.json
	sha256 BLOB NOT NULL REFERENCES objects (sha256),
	size INTEGER NOT NULL,
	PRIMARY KEY (dir, name)
) STRICT, WITHOUT ROWID;
INSERT INTO targets VALUES('releases/phone/1.0','release.json',X'0202020202020202020202020202020202020202020202020202020202020202',50);
INSERT INTO targets VALUES('releases/phone/1.0','system.zst',X'0101010101010101010101010101010101010101010101010101010101010101',100);
CREATE TABLE ticket_groups (
	ticket INTEGER NOT NULL REFERENCES tickets (number) ON DELETE CASCADE,
	name TEXT NOT NULL,
	PRIMARY KEY (ticket, name)
) STRICT, WITHOUT ROWID;
INSERT INTO ticket_groups VALUES(1,'sales');
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
INSERT INTO tickets VALUES(1,X'0909090909090909090909090909090909090909090909090909090909090909',0,'',0,1795000000,'token:k1',1795000100,1795000000,'07000000070000000700000007000000',NULL);
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
INSERT INTO tokens VALUES(1,X'0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f','ci',33,1795000000,'console',0,1795000000,NULL);
INSERT INTO tokens VALUES(2,X'1010101010101010101010101010101010101010101010101010101010101010','old',1,1795000000,'console',1795000000,0,1795000000);
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
INSERT INTO tuf_files VALUES(1,'root',1,1795000009,1795000000,X'0404040404040404040404040404040404040404040404040404040404040404',X'7b227369676e6564223ac3a97d');
INSERT INTO tuf_files VALUES(1,'releases.phone',7,1795000009,1795000000,X'0505050505050505050505050505050505050505050505050505050505050505',X'72');
CREATE TABLE uploads (
	id TEXT PRIMARY KEY,
	sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
	size INTEGER NOT NULL CHECK (size >= 0),
	owner INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	done INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1))
) STRICT, WITHOUT ROWID;
INSERT INTO uploads VALUES('00000000000000000000000000000001',X'0303030303030303030303030303030303030303030303030303030303030303',10,1,1795000000,1795086400,0);
INSERT INTO uploads VALUES('00000000000000000000000000000002',X'0101010101010101010101010101010101010101010101010101010101010101',100,1,1795000000,1795086400,1);
CREATE TABLE IF NOT EXISTS "proposals" (
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
INSERT INTO proposals VALUES(1,0,'phone','9.0',X'7b2270726f64756374223a2270686f6e65227d',X'7b227369676e617475726573223a5b5d2c227369676e6564223a7b7d7d',1795000000,'token:k1',1795604800);
INSERT INTO proposals VALUES(2,1,'base','3',X'7b226e616d65223a2262617365227d',X'7b227369676e617475726573223a5b5d2c227369676e6564223a7b7d7d',1795000000,'token:k1',1795604800);
CREATE TABLE former_keys (
	number INTEGER PRIMARY KEY, -- in the order of rotations
	identity BLOB NOT NULL UNIQUE CHECK (length(identity) = 32),
	device INTEGER NOT NULL REFERENCES devices (number),
	replaced_at INTEGER NOT NULL
) STRICT;
INSERT INTO former_keys VALUES(1,X'0909090909090909090909090909090909090909090909090909090909090909',1,1795000100);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('releases',2);
INSERT INTO sqlite_sequence VALUES('rollouts',2);
INSERT INTO sqlite_sequence VALUES('tickets',1);
INSERT INTO sqlite_sequence VALUES('devices',1);
INSERT INTO sqlite_sequence VALUES('tokens',2);
INSERT INTO sqlite_sequence VALUES('proposals',2);
CREATE TRIGGER audit_rows_stay BEFORE DELETE ON audit
BEGIN SELECT raise(ABORT, 'audit rows are never removed'); END;
CREATE TRIGGER audit_rows_are_final BEFORE UPDATE ON audit
BEGIN SELECT raise(ABORT, 'audit rows are never changed'); END;
CREATE INDEX uploads_by_owner ON uploads (owner);
CREATE INDEX uploads_by_sha256 ON uploads (sha256);
CREATE INDEX targets_by_sha256 ON targets (sha256);
CREATE INDEX rollouts_by_release ON rollouts (release);
CREATE INDEX devices_by_state ON devices (state);
CREATE INDEX devices_by_wanted ON devices (wanted);
CREATE INDEX devices_by_applied ON devices (applied);
CREATE INDEX devices_by_delivered ON devices (delivered);
CREATE INDEX device_groups_by_name ON device_groups (name, device);
CREATE INDEX grants_by_state ON grants (rollout, state);
CREATE INDEX policy_assignments_by_target ON policy_assignments (kind, name);
CREATE INDEX device_policies_by_name ON device_policies (name, wanted, delivered, applied);
CREATE INDEX deltas_by_state ON deltas (state);
CREATE INDEX deltas_by_sha256 ON deltas (sha256);
CREATE INDEX former_keys_by_device ON former_keys (device, number);
COMMIT;
PRAGMA user_version = 13;
