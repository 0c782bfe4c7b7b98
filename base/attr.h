/* base/attr.h - compiler attributes and scope-end cleanup, used by every file.
 *
 * The ownership idiom of the whole tree:
 *
 *	CLEANUP(fd_closep) int fd = -1;          // closed when the scope ends
 *	CLEANUP(release_freep) struct release *r = NULL;
 *	...
 *	*ret = TAKE(r);                          // hand over: r is NULL afterwards
 *
 * Every free and done function takes NULL and half-built objects. */
#ifndef VALISE_BASE_ATTR_H
#define VALISE_BASE_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_USE __attribute__((warn_unused_result))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* 1 when built with the address sanitizer, which needs more of the system than our code does. */
#if defined(__has_feature)
#define ADDRESS_SANITIZED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZED 1
#else
#define ADDRESS_SANITIZED 0
#endif

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Moves a pointer (or any scalar whose empty value is 0) out of a variable. */
#define TAKE(v)                           \
	({                                \
		__typeof__(v) *_p = &(v); \
		__typeof__(v) _v = *_p;   \
		*_p = 0;                  \
		_v;                       \
	})

/* Moves a descriptor out of a variable; -1 is a descriptor's empty value. */
#define TAKE_FD(v)              \
	({                      \
		int *_p = &(v); \
		int _v = *_p;   \
		*_p = -1;       \
		_v;             \
	})

/* Defines NAMEp(), the scope-end form of NAME(), for pointers of TYPE. */
#define DEFINE_CLEANUP(type, name)           \
	static inline void name##p(type **p) \
	{                                    \
		name(*p);                    \
		*p = NULL;                   \
	}                                    \
	struct name##_cleanup_wants_a_semicolon

#endif
