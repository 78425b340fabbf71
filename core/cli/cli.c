/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "plugin.h"

/*
 * ---- Saying things ----
 */
int cli_fail(struct cli *cli, int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(cli->error.message, sizeof(cli->error.message), format, args);
	va_end(args);
	fprintf(stderr, "hookbox: %s", cli->error.message);
	if (status == CLI_USAGE)
		fprintf(stderr, " (see hookbox%s%s --help)", cli->command ? " " : "",
			cli->command ? cli->command->name : "");
	fputc('\n', stderr);
	return status;
}

void cli_warn(const char *format, ...)
{
	va_list args;

	fputs("hookbox: warning: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

bool cli_columns(void)
{
	return isatty(STDOUT_FILENO);
}

const char *cli_colour(const char *code)
{
	const char *terminal = getenv("TERM");
	const char *no_colour = getenv("NO_COLOR");

	if (!cli_columns() || (no_colour && *no_colour) || !terminal || !strcmp(terminal, "dumb"))
		return "";
	return code;
}

int cli_print(struct cli *cli, const struct buf *text)
{
	if (text->failed)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	/* A failure stays in the stream's error flag, for cli_close_stdout(). */
	fwrite(text->size ? text->data : "", 1, text->size, stdout);
	fputc('\n', stdout);
	return CLI_OK;
}

int cli_close_stdout(struct cli *cli, int status)
{
	bool failed = ferror(stdout);
	int cause = 0;

	if (fclose(stdout)) {
		failed = true;
		cause = errno;
	}
	if (!failed)
		return status;
	if (cause == EPIPE)
		return CLI_SIGNAL + SIGPIPE;
	return cli_fail(cli, CLI_FAILED, "stdout cannot be written%s%s", cause ? ": " : "",
			cause ? strerror(cause) : "");
}

/*
 * ---- Options ----
 */
static void print_help(const struct cli_command *command)
{
	printf("Usage: hookbox %s [OPTION]...%s%s\n%s.\n\n%s", command->name,
	       *command->usage ? " " : "", command->usage, command->summary, command->help);
	fputs("  -c, --config FILE     the configuration, instead of $HOOKBOX_CONFIG,\n"
	      "                        ~/.config/hookbox/hookbox.ini,\n"
	      "                        " HOOKBOX_SYSCONF_DIR "/hookbox.ini\n"
	      "      --plugin-dir DIR  look for backends here first; may be repeated\n"
	      "      --json            print JSON\n"
	      "  -h, --help            print this\n"
	      "      --version         print the version\n",
	      stdout);
}

/* A relative one is meant from here, whatever directory it is used in. */
static int add_plugin_dir(struct cli *cli, const char *dir)
{
	_cleanup_free_ char *absolute = realpath(dir, NULL);

	if (!absolute)
		return cli_fail(cli, CLI_USAGE, "--plugin-dir %s: %s", dir, strerror(errno));
	strv_add_owned(&cli->plugin_dirs, take_pointer(absolute));
	return CLI_OK;
}

/* Which option getopt_long() does not like. */
static const char *bad_option(const struct cli *cli, char letter[3])
{
	if (optopt > 0 && optopt < 256 && strncmp(cli->argv[optind - 1], "--", 2)) {
		letter[0] = '-';
		letter[1] = (char)optopt;
		letter[2] = '\0';
		return letter;
	}
	return cli->argv[optind - 1];
}

static int end_options(struct cli *cli, int status)
{
	cli->status = status;
	return '?';
}

/* Takes care of an option of every command. 0: go on; else what cli_option() returns. */
static int common_option(struct cli *cli, int option)
{
	char letter[3];

	switch (option) {
	case 1:
		strv_add(&cli->operands, optarg);
		return 0;
	case 'c':
		cli->config_path = optarg;
		return 0;
	case CLI_OPT_PLUGIN_DIR:
		return add_plugin_dir(cli, optarg) ? end_options(cli, CLI_USAGE) : 0;
	case CLI_OPT_JSON:
		cli->json = true;
		return 0;
	case 'h':
		if (!cli->command)
			return option;
		print_help(cli->command);
		return end_options(cli, CLI_OK);
	case CLI_OPT_VERSION:
		printf("hookbox %s\n", hookbox_version());
		return end_options(cli, CLI_OK);
	case ':':
		return end_options(cli, cli_fail(cli, CLI_USAGE, "%s needs a value",
						 bad_option(cli, letter)));
	case '?':
		return end_options(cli, cli_fail(cli, CLI_USAGE, "\"%s\" is no option here",
						 bad_option(cli, letter)));
	}
	return option;
}

int cli_option(struct cli *cli, const char *letters, const struct option *options)
{
	int option;

	opterr = 0;
	for (;;) {
		option = getopt_long(cli->argc, cli->argv, letters, options, NULL);
		if (option == -1)
			break;
		option = common_option(cli, option);
		if (option)
			return option;
	}
	for (int i = optind; i < cli->argc; i++)
		strv_add(&cli->operands, cli->argv[i]);
	if (cli->operands.failed || cli->plugin_dirs.failed)
		return end_options(cli, cli_fail(cli, CLI_FAILED, "out of memory"));
	return -1;
}

int cli_no_options(struct cli *cli)
{
	static const struct option options[] = {CLI_OPTIONS, {0}};

	return cli_option(cli, "-:" CLI_LETTERS, options) == -1 ? 0 : '?';
}

bool cli_operands(struct cli *cli, size_t least, size_t most, const char *what)
{
	if (cli->operands.n < least)
		cli->status = cli_fail(cli, CLI_USAGE, "%s is missing", what);
	else if (cli->operands.n > most)
		cli->status = cli_fail(cli, CLI_USAGE, "\"%s\" is one argument too many",
				       cli->operands.v[most]);
	else
		return true;
	return false;
}

/*
 * ---- What commands work with ----
 */
/* Whoever sits at a terminal also sees what takes its time. */
static void log_line(void *data, int level, const char *message)
{
	if (level <= (isatty(STDERR_FILENO) ? SANDBOX_LOG_INFO : SANDBOX_LOG_WARNING))
		fprintf(stderr, "hookbox: %s\n", message);
}

struct hookbox *cli_open(struct cli *cli, const char *plugin_dir, struct hookbox_error *error)
{
	_cleanup_strv_ struct strv dirs = {0};
	struct hookbox_options options = {
		.size = sizeof(options),
		.config_path = cli->config_path,
		.log = log_line,
		.no_pools = cli->command->ends_soon,
	};

	if (plugin_dir)
		strv_add(&dirs, plugin_dir);
	for (size_t i = 0; i < cli->plugin_dirs.n; i++)
		strv_add(&dirs, cli->plugin_dirs.v[i]);
	if (dirs.failed) {
		error_no_memory(error);
		return NULL;
	}
	options.plugin_dirs = strv_view(&dirs);
	return hookbox_open(&options, error);
}

struct hookbox *cli_open_or_fail(struct cli *cli)
{
	struct hookbox_error error = {0};
	struct hookbox *box = cli_open(cli, NULL, &error);

	if (!box)
		cli_fail(cli, CLI_FAILED, "%s", error.message);
	return box;
}

int cli_plugin_dirs(struct cli *cli, struct strv *dirs, struct hookbox_error *error)
{
	_cleanup_free_ char *found = NULL;
	struct config *config = NULL;
	const char *path = cli->config_path;
	int r = 0;

	if (!path) {
		r = config_find(&found, error);
		if (r == -ENOENT && !getenv("HOOKBOX_CONFIG"))
			r = 0;
		path = found;
	}
	if (!r && path)
		r = config_load(path, &config, error);
	if (!r)
		r = plugin_dirs_list(strv_view(&cli->plugin_dirs),
				     config ? strv_view(&config->plugin_path) : NULL, dirs, error);
	if (config)
		config_free(config);
	return r;
}

/* A handler has nothing but static storage. Written once, before the handler is there. */
static struct hookbox_cancel *signal_cancel;
static volatile sig_atomic_t signal_caught;

static void catch_signal(int signo)
{
	if (!signal_caught)
		signal_caught = signo;
	hookbox_cancel_fire(signal_cancel);
}

struct hookbox_cancel *cli_catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction catch = {.sa_handler = catch_signal, .sa_flags = SA_RESTART};
	struct sigaction old;

	signal_cancel = hookbox_cancel_new();
	if (!signal_cancel)
		return NULL;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaddset(&catch.sa_mask, signals[i]);
		/* nohup and background jobs of a shell ignore some: that stays so. */
		if (!sigaction(signals[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &catch, NULL);
	}
	return signal_cancel;
}

int cli_caught_signal(void)
{
	return signal_caught;
}
