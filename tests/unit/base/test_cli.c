#include "tests/support/unit.h"
#include "tests/support/capture.h"
#include "base/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

static const char *server;
static bool verbose;
static uint64_t number;
static struct cli_list labels;
static char said[200];

static bool remember(int argc, char **argv, struct err *e)
{
	snprintf(said, sizeof(said), "server=%s verbose=%d number=%d labels=%zu",
		 server ? server : "-", verbose, (int)number, labels.n);
	for (int i = 0; i < argc; i++)
		snprintf(said + strlen(said), sizeof(said) - strlen(said), " [%s]", argv[i]);
	return argv[argc] == NULL;
}

static bool complain(int argc, char **argv, struct err *e)
{
	return err_set(e, E_NOT_FOUND, "no such release");
}

static const struct cli_opt publish_opts[] = {
	{ "server", 's', "URL", "server to publish to", CLI_STRING, &server },
	{ "number", 'n', "N", "how many", CLI_UINT, &number },
	{ "label", 0, "TEXT", "what's said: often", CLI_LIST, &labels },
	{ 0 },
};
static const struct cli_opt general_opts[] = {
	{ "verbose", 'v', NULL, "say more", CLI_FLAG, &verbose },
	{ 0 },
};
static const struct cli_command commands[] = {
	{ "publish", "DIR", "sign and upload a release", publish_opts, 1, 2, remember,
	  .long_help = "First paragraph.\n\n  example\n\n.second" },
	{ "release list", "", "list releases", NULL, 0, 0, remember },
	{ "release show", "NAME", "show one", NULL, 1, 1, complain },
	{ "secret", "", "for tests", NULL, 0, -1, remember, .hidden = true },
	{ 0 },
};
static const struct cli_program program = { "prog", "does things", general_opts, commands,
					    "/etc/prog.conf" };

static const struct cli_command only[] = {
	{ "", "[FILE]", "", publish_opts, 0, 1, remember },
	{ 0 },
};
static const struct cli_program simple = { "simple", "does one thing", general_opts, only,
					   NULL };

struct call {
	const struct cli_program *program;
	char line[200]; /* words parted by blanks */
	int status;
};

static void make_call(void *ctx)
{
	struct call *call = ctx;
	char *argv[20] = { NULL }, *rest = call->line;
	int argc = 0;

	while (argc < 19 && (argv[argc] = strsep(&rest, " ")))
		argc++;
	call->status = cli_main(call->program, argc, argv);
}

static int run(const struct cli_program *p, const char *line, struct capture *c)
{
	struct call call = { .program = p };

	server = NULL;
	verbose = false;
	number = 0;
	free(labels.v);
	labels = (struct cli_list){ 0 };
	said[0] = 0;
	snprintf(call.line, sizeof(call.line), "%s", line);
	capture(c, make_call, &call);
	return call.status;
}

static void options_may_stand_anywhere(void **state)
{
	static const struct {
		const char *line, *said;
	} rows[] = {
		{ "prog publish d", "server=- verbose=0 number=0 labels=0 [d]" },
		{ "prog -s u publish d -v", "server=u verbose=1 number=0 labels=0 [d]" },
		{ "prog --server u publish --verbose d",
		  "server=u verbose=1 number=0 labels=0 [d]" },
		{ "prog publish -vsu --number=5 d",
		  "server=u verbose=1 number=5 labels=0 [d]" },
		{ "prog publish -v -n 7 -s=u d", "server==u verbose=1 number=7 labels=0 [d]" },
		{ "prog publish --label a d --label=b",
		  "server=- verbose=0 number=0 labels=2 [d]" },
		{ "prog publish -- -v -", "server=- verbose=0 number=0 labels=0 [-v] [-]" },
		{ "prog publish --server= d", "server= verbose=0 number=0 labels=0 [d]" },
		{ "prog --server publish publish d",
		  "server=publish verbose=0 number=0 labels=0 [d]" },
		{ "prog release -v list", "server=- verbose=1 number=0 labels=0" },
		{ "prog secret a b", "server=- verbose=0 number=0 labels=0 [a] [b]" },
	};
	struct capture c;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(run(&program, rows[i].line, &c), 0);
		assert_string_equal(said, rows[i].said);
		assert_string_equal(c.err, "");
	}
}

static void mistakes_are_explained(void **state)
{
	static const struct {
		const char *line, *error;
	} rows[] = {
		{ "prog", "no command given" },
		{ "prog frob", "unknown command \"frob\"" },
		{ "prog publsh d", "unknown command \"publsh d\"; did you mean \"publish\"?" },
		{ "prog nonsense", "unknown command \"nonsense\"" },
		{ "prog release", "release: which of list, show?" },
		{ "prog release lst",
		  "unknown command \"release lst\"; did you mean \"release list\"?" },
		{ "prog publish", "publish needs DIR" },
		{ "prog publish a b c", "one argument too many: \"c\"" },
		{ "prog release list x", "one argument too many: \"x\"" },
		{ "prog publish --sever u d",
		  "unknown option --sever; did you mean --server?" },
		{ "prog publish --zzz d", "unknown option --zzz" },
		{ "prog publish -x d", "unknown option -x" },
		{ "prog release list -s u", "unknown option -s" },
		{ "prog publish d --server", "--server wants a value: URL" },
		{ "prog publish d -s", "-s wants a value: URL" },
		{ "prog publish d --verbose=1", "--verbose takes no value" },
		{ "prog publish d -n x", "--number=x: wants a whole number" },
		{ "prog publish d -n 99999999999999999999",
		  "--number=99999999999999999999: wants a whole number" },
		{ "prog help publsh", "unknown command \"publsh\"; did you mean \"publish\"?" },
		{ "prog publsh --help",
		  "unknown command \"publsh\"; did you mean \"publish\"?" },
		{ "prog release lst --help",
		  "unknown command \"release lst\"; did you mean \"release list\"?" },
		{ "prog help release lst",
		  "unknown command \"release lst\"; did you mean \"release list\"?" },
		{ "prog --version=1", "--version takes no value" },
		{ "prog publish --help=1 d", "--help takes no value" },
		{ "prog --verbos", "unknown option --verbos; did you mean --verbose?" },
		{ "prog --helpp", "unknown option --helpp; did you mean --help?" },
		{ "prog -x", "unknown option -x" },
		{ "prog -v", "no command given" },
		{ "prog completion", "completion for bash or zsh" },
		{ "prog completion tcsh", "completion for bash or zsh, not for tcsh" },
	};
	struct capture c;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char wanted[300];

		assert_int_equal(run(&program, rows[i].line, &c), 64);
		snprintf(wanted, sizeof(wanted), "prog: %s\n  hint: see --help\n",
			 rows[i].error);
		assert_string_equal(c.err, wanted);
		assert_string_equal(c.out, "");
		assert_string_equal(said, "");
	}
}

static void a_failing_command_sets_the_exit_status(void **state)
{
	struct capture c;

	assert_int_equal(run(&program, "prog release show x", &c), 66);
	assert_string_equal(c.err, "prog: no such release\n"
				   "  hint: check the name; list what there is\n");
}

static void help_is_made_from_the_table(void **state)
{
	struct capture c;

	assert_int_equal(run(&program, "prog --help", &c), 0);
	assert_non_null(strstr(c.out, "usage: prog COMMAND"));
	assert_non_null(strstr(c.out, "  release show NAME         show one\n"));
	assert_non_null(strstr(c.out, "  -v, --verbose             say more\n"));
	assert_non_null(strstr(c.out, "/etc/prog.conf"));
	assert_non_null(strstr(c.out, "\"prog completion bash|zsh\"\n"));
	assert_null(strstr(c.out, "secret"));
	assert_int_equal(run(&program, "prog publish -h", &c), 0);
	assert_non_null(strstr(c.out, "usage: prog publish [OPTIONS] DIR\n"));
	assert_non_null(strstr(c.out, "  -s, --server=URL          server to publish to\n"));
	assert_non_null(strstr(c.out, "general options:\n"));
	assert_int_equal(run(&program, "prog help release list", &c), 0);
	assert_non_null(strstr(c.out, "usage: prog release list [OPTIONS]\n"));
	assert_int_equal(run(&program, "prog help", &c), 0);
	assert_non_null(strstr(c.out, "usage: prog COMMAND"));
	assert_int_equal(run(&program, "prog help --help", &c), 0);
	assert_non_null(strstr(c.out, "usage: prog COMMAND"));
	assert_int_equal(run(&program, "prog completion -h", &c), 0);
	assert_non_null(strstr(c.out, "usage: prog COMMAND"));
	assert_int_equal(run(&simple, "simple --help", &c), 0);
	assert_non_null(strstr(c.out, "usage: simple [OPTIONS] [FILE]\n\ndoes one thing\n"));
	const char *options = strstr(c.out, "options:\n");
	assert_non_null(options);
	assert_null(strstr(options + 1, "options:\n"));
	assert_int_equal(run(&program, "prog --version", &c), 0);
	assert_string_equal(c.out, "prog " VALISE_VERSION "\n");
}

static void a_word_that_begins_several_commands_has_a_help_of_these(void **state)
{
	static const char *const lines[] = { "prog release --help", "prog -h release",
					     "prog help release" };
	struct capture c;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(run(&program, lines[i], &c), 0);
		assert_string_equal(c.out,
				    "usage: prog release COMMAND [OPTIONS] [ARGUMENTS]\n"
				    "\n"
				    "commands:\n"
				    "  release list              list releases\n"
				    "  release show NAME         show one\n"
				    "\n"
				    "\"prog help release COMMAND\" tells more about one.\n");
		assert_string_equal(c.err, "");
	}
}

static void a_program_without_commands_takes_words(void **state)
{
	struct capture c;

	assert_int_equal(run(&simple, "simple", &c), 0);
	assert_string_equal(said, "server=- verbose=0 number=0 labels=0");
	assert_int_equal(run(&simple, "simple -v help", &c), 0);
	assert_string_equal(said, "server=- verbose=1 number=0 labels=0 [help]");
	assert_int_equal(run(&simple, "simple a b", &c), 64);
}

static void the_manual_page_escapes_what_troff_would_read(void **state)
{
	struct capture c;

	assert_int_equal(run(&program, "prog --man", &c), 0);
	assert_memory_equal(c.out, ".TH \"PROG\" 1 ", 13);
	assert_non_null(strstr(c.out, ".SS \"publish DIR\"\n"));
	assert_non_null(strstr(c.out, "\n.nf\n  example\n"));
	assert_non_null(strstr(c.out, "\n\\&.second\n"));
	assert_non_null(strstr(c.out, "\\fB\\-s\\fR, \\fB\\-\\-server\\fR=\\fIURL\\fR\n"));
	assert_non_null(strstr(c.out, ".TP\n66\nnot_found, gone\n"));
	assert_null(strstr(c.out, "secret"));
}

static void both_shells_get_a_completion(void **state)
{
	struct capture c;

	assert_int_equal(run(&program, "prog completion bash", &c), 0);
	assert_non_null(strstr(c.out, "complete -o default -F _prog prog\n"));
	assert_non_null(strstr(c.out, "words_next=\" list show\""));
	assert_non_null(strstr(c.out, "words_next=\" publish release help completion\""));
	assert_int_equal(run(&program, "prog completion zsh", &c), 0);
	assert_memory_equal(c.out, "#compdef prog\n", 14);
	assert_non_null(strstr(c.out, " '--label:what'\\''s said\\: often'"));
	assert_int_equal(run(&simple, "simple completion bash", &c), 0);
	assert_non_null(strstr(c.out, "--server"));
}

/* bash itself says what it would offer. */
static void bash_completes_words_and_options(void **state)
{
	static const struct {
		const char *words, *offers;
	} rows[] = {
		{ "prog ''", "publish release help completion\n" },
		{ "prog release ''", "list show\n" },
		{ "prog -s rel publish --s", "--server\n" },
		{ "prog release list --v", "--verbose --version\n" },
		{ "prog pub", "publish\n" },
	};
	int dir = tmpdir_fd(state);
	struct capture c;

	assert_int_equal(run(&program, "prog completion bash", &c), 0);
	write_file_at(dir, "c.bash", c.out, strlen(c.out));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char script[5000], got[200];

		snprintf(script, sizeof(script),
			 "cd '%s' && bash -c \"source ./c.bash; COMP_WORDS=(%s); "
			 "COMP_CWORD=\\$((\\${#COMP_WORDS[@]} - 1)); _prog; "
			 "echo \\${COMPREPLY[@]}\" >got",
			 tmpdir_path(state), rows[i].words);
		assert_int_equal(system(script), 0);
		got[read_back_at(dir, "got", got, sizeof(got) - 1)] = 0;
		assert_string_equal(got, rows[i].offers);
	}
}

static bool open_a_file(int argc, char **argv, struct err *e)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	number = (uint64_t)fd;
	close(fd);
	return write(STDOUT_FILENO, "x", 1) < 0 && errno == EBADF;
}

/* Or else what is printed would go into it. */
static void no_file_gets_the_number_of_a_closed_standard_descriptor(void **state)
{
	static const struct cli_command opener[] = {
		{ "", "", "", NULL, 0, 0, open_a_file },
		{ 0 },
	};
	static const struct cli_program p = { "opener", "", NULL, opener, NULL };
	char *argv[] = { (char *)"opener", NULL };
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		for (int fd = 0; fd < 3; fd++)
			close(fd);
		_exit(cli_main(&p, 1, argv) == 0 && number > 2 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static bool json;
static bool wants_json(void)
{
	return json;
}

static bool complain_oddly(int argc, char **argv, struct err *e)
{
	err_set(e, E_NOT_FOUND, "no \"%s\"", argv[0]);
	return err_hint(e, "a \\ and a \"");
}

static void errors_are_json_where_that_was_asked_for(void **state)
{
	static const struct cli_command one[] = {
		{ "", "WORD", "", NULL, 1, 1, complain_oddly },
		{ 0 },
	};
	struct cli_program p = { "prog", "", NULL, one, NULL, .wants_json = wants_json };
	struct capture c;

	json = true;
	assert_int_equal(run(&p, "prog a\\b\nc\xff\xc2\x9b", &c), 66);
	assert_string_equal(c.err,
			    "{\"code\":\"not_found\",\"message\":\"no \\\"a\\\\b?c???\\\"\","
			    "\"hint\":\"a \\\\ and a \\\"\"}\n");
	assert_int_equal(run(&p, "prog", &c), 64);
	assert_string_equal(c.err, "{\"code\":\"usage\",\"message\":\"needs WORD\","
				   "\"hint\":\"see --help\"}\n");
	json = false;
	assert_int_equal(run(&p, "prog x", &c), 66);
	assert_string_equal(c.err, "prog: no \"x\"\n  hint: a \\ and a \"\n");
}

static void no_memory_is_an_error(void **state)
{
	struct capture c;

	FAULT_EACH(n, FAULT_ALLOC) {
		int status = run(&program, "prog publish --label a --label b d", &c);

		assert_true(status == 0 || status == err_exit(E_NOMEM));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_may_stand_anywhere),
		cmocka_unit_test(mistakes_are_explained),
		cmocka_unit_test(a_failing_command_sets_the_exit_status),
		cmocka_unit_test(help_is_made_from_the_table),
		cmocka_unit_test(a_word_that_begins_several_commands_has_a_help_of_these),
		cmocka_unit_test(a_program_without_commands_takes_words),
		cmocka_unit_test(the_manual_page_escapes_what_troff_would_read),
		cmocka_unit_test(both_shells_get_a_completion),
		TMPDIR_TEST(bash_completes_words_and_options),
		cmocka_unit_test(no_file_gets_the_number_of_a_closed_standard_descriptor),
		cmocka_unit_test(errors_are_json_where_that_was_asked_for),
		cmocka_unit_test(no_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
