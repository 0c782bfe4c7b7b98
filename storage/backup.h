/* storage/backup.h - copies of a store, made while it serves, and bringing them back.
 *
 * A backup is a directory:
 *	valise.db      the database as of one moment (SQLite online backup)
 *	objects/...    every object that database knows: hard links on the same file system, else copies
 *	keys/          the online keys, only when asked for: then the backup is a secret
 *	backup         text, written last: its presence means the backup is complete
 *
 * `backup` is lines "key value": format 1, schema, created, database (SHA-256), objects, bytes, keys (files).
 * Open uploads are not in a backup: their clients start anew. */
#ifndef VALISE_STORAGE_BACKUP_H
#define VALISE_STORAGE_BACKUP_H

#include "storage/store.h"

struct backup_report {
	uint64_t objects, bytes; /* objects and their sizes */
	uint64_t linked;         /* of these, hard links */
	uint64_t keys;           /* key files */
	unsigned schema;
	int64_t created_at;
};

/* Writes a backup into `dir`, which is made and must be empty (E_EXISTS).  Publishing and
 * check-ins go on meanwhile; garbage collection waits.  Broken off: remove the directory.
 *	E_CORRUPT: an object has another size than it should, or is no file.  (Bytes are read only where
 *	they are copied; a restore reads all.) */
bool backup_make(struct store *s, const char *dir, bool with_keys, struct backup_report *ret,
		 struct err *e) MUST_USE;

/* Makes a state directory from a backup: verifies the database (hash, integrity) and the hash of
 * every object while copying.  `state_dir` is made and must be empty (E_EXISTS).  Broken off at any
 * point, store_open refuses the directory; remove it and restore again.
 *	E_CORRUPT: names what is damaged.  E_FORMAT: not a complete backup.  E_UNSUPPORTED: newer schema. */
bool backup_restore(const char *dir, const char *state_dir, struct backup_report *ret,
		    struct err *e) MUST_USE;

#endif
