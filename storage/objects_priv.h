/* storage/objects_priv.h - the steps from a complete, verified file to an object. */
#ifndef VALISE_STORAGE_OBJECTS_PRIV_H
#define VALISE_STORAGE_OBJECTS_PRIV_H

#include "storage/objects.h"
#include "storage/store_priv.h"

/* "ab" and the other 62 digits. */
struct object_path {
	char dir[3], name[63];
};
void object_path(struct object_path *ret, const uint8_t sha256[static SHA256_SIZE]);

/* The path from objects/. */
enum { OBJECT_NAME_SIZE = 2 + 1 + 62 + 1 };
void object_name(char ret[static OBJECT_NAME_SIZE], const uint8_t sha256[static SHA256_SIZE]);

/* Fine when it is gone already.  Not durable by itself: after a power cut the file may be back, and
 * is collected, or found damaged, again. */
bool object_file_remove(struct store *s, const uint8_t sha256[static SHA256_SIZE],
			struct err *e) MUST_USE;

/* A new empty file in uploads/, locked until its descriptor is closed, so that a sweep by
 * another process leaves it alone. */
enum { TEMP_NAME_SIZE = 4 + 32 + 1 };
bool temp_make(struct store *s, char name[static TEMP_NAME_SIZE], int *ret_fd,
	       struct err *e) MUST_USE;

/* Gives uploads/NAME (closed for writing, synced, mode 0444) its place among the objects; durable when it
 * returns.  The name in uploads/ is gone afterwards.  Call under objects_lock; the row is next. */
bool object_place(struct store *s, const char *name, const uint8_t sha256[static SHA256_SIZE],
		  struct err *e) MUST_USE;

/* The row, inside a write; guards the object. */
bool object_row_put(struct db *db, const uint8_t sha256[static SHA256_SIZE], uint64_t size,
		    int64_t now_s, struct err *e) MUST_USE;
bool object_row_exists(struct db *db, const uint8_t sha256[static SHA256_SIZE], bool *ret,
		       struct err *e) MUST_USE;
/* The row and the file. */
bool object_is_stored(struct store *s, struct db *db, const uint8_t sha256[static SHA256_SIZE],
		      bool *ret, struct err *e) MUST_USE;

#endif
