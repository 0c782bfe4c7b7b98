/* base/banned.h - functions that may not be used, as compile errors that name them.
 * Included by mk/flags.mk for every file of ours; third-party headers come first.  As in git. */
#ifndef VALISE_BASE_BANNED_H
#define VALISE_BASE_BANNED_H

/* Headers that declare them have to be read before the names are taken away. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BANNED(f) sorry_##f##_is_a_banned_function

#undef strcpy
#define strcpy(x, y) BANNED(strcpy)
#undef strcat
#define strcat(x, y) BANNED(strcat)
#undef strncpy
#define strncpy(x, y, n) BANNED(strncpy)
#undef strncat
#define strncat(x, y, n) BANNED(strncat)
#undef strtok
#define strtok(x, y) BANNED(strtok)
#undef sprintf
#define sprintf(...) BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf)
#undef gets
#define gets(x) BANNED(gets)
#undef atoi
#define atoi(x) BANNED(atoi)
#undef atol
#define atol(x) BANNED(atol)
#undef gmtime
#define gmtime(x) BANNED(gmtime)
#undef localtime
#define localtime(x) BANNED(localtime)
#undef ctime
#define ctime(x) BANNED(ctime)
#undef rand
#define rand() BANNED(rand)
#undef mktemp
#define mktemp(x) BANNED(mktemp)
#undef alloca
#define alloca(x) BANNED(alloca)

#endif
