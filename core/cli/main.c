/* SPDX-License-Identifier: MIT */
/* Finds the command, runs it, and sees to it that its output arrives. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "near.h"
#include "plugin.h"

static const struct cli_command *const commands[] = {
	&cmd_run, &cmd_emit, &cmd_exec,
	&cmd_plugins_list, &cmd_plugins_info, &cmd_plugins_check,
	&cmd_config_check, &cmd_config_show, &cmd_doctor,
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

/*
 * A descriptor that is closed would be taken by the next file opened. Closed stdin is empty, closed
 * stderr swallows; closed stdout takes nothing, so that writing to it fails.
 */
static void hold_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
}

/* Those of the commands whose name begins with the word (all for NULL). */
static void print_commands(FILE *out, const char *word)
{
	size_t n = word ? strlen(word) : 0;

	fputs("Commands:\n", out);
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (!word || (!strncmp(commands[i]->name, word, n) && commands[i]->name[n] == ' '))
			fprintf(out, "  %-15s %s\n", commands[i]->name, commands[i]->summary);
}

static int print_overview(const char *word)
{
	fputs("Usage: hookbox COMMAND [OPTION]... [ARGUMENT]...\n"
	      "Runs an AI agent's hooks and commands in sandboxes.\n\n", stdout);
	print_commands(stdout, word);
	fputs("\nhookbox COMMAND --help says more, and so does hookbox(1).\n", stdout);
	return CLI_OK;
}

static int unknown_command(struct cli *cli, const char *word)
{
	const char *names[N_COMMANDS + 1] = {NULL};
	struct hookbox_error error = {0};

	for (size_t i = 0; i < N_COMMANDS; i++)
		names[i] = commands[i]->name;
	near_error(&error, -EINVAL, word, names, "\"%s\" is no command", word);
	return cli_fail(cli, CLI_USAGE, "%s", error.message);
}

/* The command's name is one word or two. `taken` is how many of the arguments it is. */
static const struct cli_command *find_command(char **words, int n, int *taken)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		const char *name = commands[i]->name;
		size_t first = strcspn(name, " ");

		if (strlen(words[0]) != first || strncmp(words[0], name, first))
			continue;
		*taken = name[first] ? 2 : 1;
		if (!name[first] || (n > 1 && !strcmp(words[1], name + first + 1)))
			return commands[i];
	}
	return NULL;
}

static bool is_group(const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i < N_COMMANDS; i++)
		if (!strncmp(commands[i]->name, word, n) && commands[i]->name[n] == ' ')
			return true;
	return false;
}

/* For `hookbox plugins` and `hookbox plugins --help`. */
static int run_group(struct cli *cli, char **words, int n)
{
	char name[64];

	if (n > 1 && (!strcmp(words[1], "--help") || !strcmp(words[1], "-h")))
		return print_overview(words[0]);
	if (n == 1)
		return cli_fail(cli, CLI_USAGE, "what is to be done with the %s is missing",
				words[0]);
	snprintf(name, sizeof(name), "%s %s", words[0], words[1]);
	return unknown_command(cli, name);
}

/* A failure's line on stdout, for programs that do not look at the exit code. */
static void print_failure(struct cli *cli, int status)
{
	_cleanup_buf_ struct buf json = {0};

	if (!cli->error.message[0])
		return;
	if (cli->command->decides) {
		json_put_open(&json, NULL, '{');
		json_put_verdict(&json, HOOKBOX_DENY, cli->error.message, NULL);
		json_put_text(&json, "cause", "hookbox");
		json_put_close(&json, '}');
	} else if (cli->json && status == CLI_FAILED) {
		json_put_error(&json, cli->error.message);
	} else {
		return;
	}
	cli_print(cli, &json);
}

static int run_command(struct cli *cli, char **words, int n)
{
	int taken = 0;
	int status;

	cli->command = find_command(words, n, &taken);
	if (!cli->command)
		return is_group(words[0]) ? run_group(cli, words, n) :
					    unknown_command(cli, words[0]);
	cli->argv = words + taken - 1;
	cli->argc = n - taken + 1;
	optind = 0;
	status = cli->command->run(cli);
	print_failure(cli, status);
	return status;
}

/* What plugin_inspect() starts: loads the file, which may end this process, and describes it. */
static int inspect_plugin(const char *path)
{
	const struct sandbox_plugin_v1 *plugin;
	_cleanup_free_ char *json = NULL;
	struct hookbox_error error = {0};

	if (plugin_load(path, &plugin, &error) < 0 || plugin_describe(plugin, &json, &error) < 0) {
		fprintf(stderr, "%s\n", error.message);
		return CLI_NO;
	}
	puts(json);
	return CLI_OK;
}

enum { OPT_INSPECT_PLUGIN = CLI_OPT_OWN };

/* Options may stand in front of the command, too. */
static int run_main(struct cli *cli)
{
	static const struct option options[] = {
		CLI_OPTIONS,
		{"inspect-plugin", required_argument, NULL, OPT_INSPECT_PLUGIN},
		{0},
	};

	switch (cli_option(cli, "+:" CLI_LETTERS, options)) {
	case '?':
		return cli->status;
	case 'h':
		return print_overview(NULL);
	case OPT_INSPECT_PLUGIN:
		return inspect_plugin(optarg);
	}
	if (optind == cli->argc)
		return cli_fail(cli, CLI_USAGE, "the command is missing");
	strv_free(&cli->operands);
	return run_command(cli, cli->argv + optind, cli->argc - optind);
}

int main(int argc, char **argv)
{
	struct cli cli = {.argc = argc, .argv = argv};
	int status;

	hold_standard_streams();
	status = cli_close_stdout(&cli, run_main(&cli));
	strv_free(&cli.plugin_dirs);
	strv_free(&cli.operands);
	return status;
}
