#include "admin-cli/ask.h"

#include "admin-cli/opts.h"
#include "admin-cli/private.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool ask_confirm(const char *question, struct err *e)
{
	char answer[16] = "";

	if (opts.yes)
		return true;
	if (!isatty(STDIN_FILENO)) {
		err_set(e, E_USAGE, "this wants a confirmation and there is no terminal: %s",
			question);
		return err_hint(e, "give --yes if that is what you want");
	}
	fprintf(stderr, "%s [y/N] ", question);
	if (!fgets(answer, sizeof(answer), stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
		return err_set(e, E_CANCELLED, "not confirmed");
	return true;
}

bool ask_secret_file(struct secret **ret, const char *path, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;

	if (strcmp(path, "-") == 0)
		return secret_read_fd(ret, STDIN_FILENO, e) || err_wrap(e, "standard input");
	if (!file_open_at(&fd, AT_FDCWD, path, O_RDONLY, 0, e))
		return false;
	return (private_check(fd, "", e) && secret_read_fd(ret, fd, e)) ||
	       err_wrap(e, "%s", path);
}

static bool ask_twice(struct secret **ret, const char *what, struct err *e)
{
	CLEANUP(secret_freep) struct secret *one = NULL;
	CLEANUP(secret_freep) struct secret *two = NULL;
	char prompt[160];

	snprintf(prompt, sizeof(prompt), "New passphrase for %s: ", what);
	if (!secret_ask(&one, prompt, e) || !secret_ask(&two, "The same again: ", e))
		return false;
	if (one->n != two->n || memcmp(one->p, two->p, one->n) != 0)
		return err_set(e, E_USAGE, "the two passphrases differ");
	*ret = TAKE(one);
	return true;
}

static bool check_not_empty(const struct secret *s, struct err *e)
{
	return s->n > 0 || err_set(e, E_USAGE, "the passphrase is empty");
}

bool ask_passphrase(struct secret **ret, const char *what, bool again, struct err *e)
{
	CLEANUP(secret_freep) struct secret *got = NULL;
	const char *path =
		opts.passphrase_file ? opts.passphrase_file : getenv("VALISE_PASSPHRASE_FILE");
	char prompt[160];

	snprintf(prompt, sizeof(prompt), "Passphrase for %s: ", what);
	if (path && *path) {
		if (!ask_secret_file(&got, path, e))
			return err_wrap(e, "passphrase");
	} else if (!isatty(STDIN_FILENO)) {
		err_set(e, E_USAGE, "a passphrase is wanted for %s and there is no terminal",
			what);
		return err_hint(e, "give --passphrase-file or set VALISE_PASSPHRASE_FILE");
	} else if (again ? !ask_twice(&got, what, e) : !secret_ask(&got, prompt, e)) {
		return false;
	}
	if (!check_not_empty(got, e))
		return false;
	*ret = TAKE(got);
	return true;
}
