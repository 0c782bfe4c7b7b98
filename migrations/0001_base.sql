-- Numbers that rise, and the audit log.
--
-- counters.marks is the clock of plans: every change to what devices shall run takes the next
-- number (see marks in 0005), and a device planned before that number is planned again.
CREATE TABLE counters (
	name TEXT PRIMARY KEY,
	value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counters VALUES ('marks', 0);

-- Rows are chained by hashes (storage/audit.h); the triggers keep our own code from slipping, the
-- chain shows what somebody with the file in hand did.
CREATE TABLE audit (
	n INTEGER PRIMARY KEY,
	at INTEGER NOT NULL,
	actor TEXT NOT NULL,
	verb TEXT NOT NULL,
	subject TEXT NOT NULL,
	detail TEXT NOT NULL,
	hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER audit_rows_stay BEFORE DELETE ON audit
BEGIN SELECT raise(ABORT, 'audit rows are never removed'); END;
CREATE TRIGGER audit_rows_are_final BEFORE UPDATE ON audit
BEGIN SELECT raise(ABORT, 'audit rows are never changed'); END;
