/* storage/tokens.h - API tokens of administrators and CI: `vt_` and 43 base64url characters, of which
 * only the SHA-256 is stored. */
#ifndef VALISE_STORAGE_TOKENS_H
#define VALISE_STORAGE_TOKENS_H

#include "storage/store.h"
#include "proto/api.h"

/* Scopes are the token bits of enum api_scope (proto/api.h); they are stored and never change.
 * SCOPE_ADMIN has all (scope_allows). */
enum { TOKEN_TEXT_SIZE = 3 + 43 + 1 };
#define TOKENS_TTL_MAX_S (INT64_C(10) * 366 * 86400)

/* Whether a token with these scopes may do what one of `wanted` may (0: any token may). */
bool scope_allows(unsigned have, unsigned wanted);

struct token {
	int64_t number; /* shown as k<number>; the actor is "token:k<number>" */
	char name[LIMIT_NAME + 1];
	unsigned scopes;
	int64_t created_at, expires_at, last_used_at,
		revoked_at; /* last_used_at: memory counts */
	char created_by[LIMIT_TEXT + 1];
};

/* The text is told this once; wipe it after use.  Names need not be unique.  ttl_s 0: never expires.
 * E_FORMAT. */
bool tokens_create(struct store *s, const char *name, unsigned scopes, int64_t ttl_s,
		   const char *actor, struct token *ret, char ret_text[static TOKEN_TEXT_SIZE],
		   struct err *e) MUST_USE;

/* Who is asking: one indexed read, no write; notes the use in memory (tokens_flush writes, as
 * devices_flush does; the step is an hour).
 * E_AUTH: no such token, expired or revoked; the text does not tell which. */
bool tokens_check(struct store *s, const char *text, size_t n, struct token *ret,
		  struct err *e) MUST_USE;
bool tokens_flush(struct store *s, bool all, struct err *e) MUST_USE;

bool tokens_revoke(struct store *s, int64_t number, const char *actor,
		   struct err *e) MUST_USE; /* E_NOT_FOUND */

struct token_page {
	struct token *items;
	size_t n;
	bool more;
};
bool tokens_list(struct store *s, int64_t after, size_t limit, struct token_page *ret,
		 struct err *e) MUST_USE;
void token_page_done(struct token_page *p);

#endif
