/* SPDX-License-Identifier: MIT */
/* hookbox exec: one command in a sandbox, as if it ran here. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "plugin.h"

struct exec {
	const char *sandbox;
	struct strv env;
	struct hookbox_call call;
};

enum { OPT_SANDBOX = CLI_OPT_OWN, OPT_ENV, OPT_WORKDIR, OPT_TIMEOUT };

static int set_timeout(struct cli *cli, struct exec *exec, const char *text)
{
	if (param_parse_duration(text, &exec->call.timeout_ms) < 0)
		return cli_fail(cli, CLI_USAGE,
				"--timeout %s is no time: write a number with ms, s, m or h", text);
	if (!exec->call.timeout_ms)
		exec->call.timeout_ms = -1;
	return CLI_OK;
}

static int take_option(struct cli *cli, struct exec *exec, int option)
{
	switch (option) {
	case OPT_SANDBOX:
		exec->sandbox = optarg;
		return CLI_OK;
	case OPT_ENV:
		if (!env_entry_ok(optarg))
			return cli_fail(cli, CLI_USAGE,
					"--env %.*s is no name: use letters, digits and _",
					(int)strcspn(optarg, "="), optarg);
		strv_add(&exec->env, optarg);
		return CLI_OK;
	case OPT_WORKDIR:
		if (*optarg != '/')
			return cli_fail(cli, CLI_USAGE, "--workdir %s is not absolute", optarg);
		exec->call.workdir = optarg;
		return CLI_OK;
	default:
		return set_timeout(cli, exec, optarg);
	}
}

static int parse(struct cli *cli, struct exec *exec)
{
	static const struct option options[] = {
		CLI_OPTIONS,
		{"sandbox", required_argument, NULL, OPT_SANDBOX},
		{"env", required_argument, NULL, OPT_ENV},
		{"workdir", required_argument, NULL, OPT_WORKDIR},
		{"timeout", required_argument, NULL, OPT_TIMEOUT},
		{0},
	};
	int option;

	while ((option = cli_option(cli, "+:" CLI_LETTERS, options)) != -1) {
		if (option == '?')
			return '?';
		cli->status = take_option(cli, exec, option);
		if (cli->status)
			return '?';
	}
	if (!cli_operands(cli, 1, (size_t)-1, "the command to run"))
		return '?';
	if (exec->sandbox)
		return 0;
	cli->status = cli_fail(cli, CLI_USAGE, "--sandbox is missing");
	return '?';
}

/* Nobody but a signal cancels a call from here: without one an output took no more. */
static int broken_output_status(struct cli *cli)
{
	struct pollfd fds[2] = {{.fd = STDOUT_FILENO}, {.fd = STDERR_FILENO}};

	/* The writing end of a pipe without reader has this set, asked for or not. */
	if (poll(fds, 2, 0) > 0 && (fds[0].revents | fds[1].revents) & POLLERR)
		return CLI_SIGNAL + SIGPIPE;
	return cli_fail(cli, CLI_FAILED, "the output cannot be written and the call was ended; see "
			"that stdout and stderr are open and their disk is not full");
}

static int not_started_status(const struct hookbox_result *result)
{
	switch (result->error_number) {
	case ENOENT:
		return CLI_NO_COMMAND;
	case EACCES:
		return CLI_NOT_EXECUTABLE;
	}
	return CLI_FAILED;
}

/* Says what there is to say about how the call ended, and gives the exit code. */
static int judge(struct cli *cli, const struct hookbox_result *result)
{
	const char *message = result->message ? result->message : hookbox_end_name(result->end);

	switch (result->end) {
	case HOOKBOX_EXITED:
		return result->status;
	case HOOKBOX_SIGNALED:
		return CLI_SIGNAL + result->status;
	case HOOKBOX_TIMED_OUT:
		return cli_fail(cli, CLI_TIMEOUT, "%s", message);
	case HOOKBOX_CANCELLED:
		if (cli_caught_signal())
			return CLI_SIGNAL + cli_caught_signal();
		return broken_output_status(cli);
	case HOOKBOX_NOT_STARTED:
		return cli_fail(cli, not_started_status(result), "%s", message);
	case HOOKBOX_OUTPUT_LIMIT:
	case HOOKBOX_LOST:
		break;
	}
	return cli_fail(cli, CLI_FAILED, "%s", message);
}

static int report(struct cli *cli, const struct hookbox_result *result)
{
	_cleanup_buf_ struct buf json = {0};
	int status = judge(cli, result);

	if (result->cleanup == HOOKBOX_CLEANUP_UNKNOWN)
		cli_warn("something of the call may still run: %s",
			 result->cleanup_reason ? result->cleanup_reason : "no reason given");
	if (result->truncated)
		cli_warn("output ended early: a process that held it was cut off");
	/* The result says it all: there is no error besides. */
	cli->error = (struct hookbox_error){0};
	if (!cli->json)
		return status;
	json_put_open(&json, NULL, '{');
	json_put_result(&json, result, true);
	json_put_close(&json, '}');
	return cli_print(cli, &json) ? CLI_FAILED : status;
}

static int run_call(struct cli *cli, struct exec *exec)
{
	_cleanup_result_ struct hookbox_result *result = NULL;
	struct hookbox_cancel *cancel = cli_catch_signals();
	_cleanup_box_ struct hookbox *box = cli_open_or_fail(cli);
	struct hookbox_error error = {0};

	if (!box)
		return CLI_FAILED;
	exec->call.size = sizeof(exec->call);
	exec->call.argv = strv_view(&cli->operands);
	exec->call.env = strv_view(&exec->env);
	exec->call.cancel = cancel;
	exec->call.use_stdin_fd = true;
	exec->call.stdin_fd = STDIN_FILENO;
	exec->call.use_output_fds = !cli->json;
	exec->call.stdout_fd = STDOUT_FILENO;
	exec->call.stderr_fd = STDERR_FILENO;
	if (hookbox_exec(box, exec->sandbox, &exec->call, &result, &error) < 0)
		return cli_fail(cli, CLI_FAILED, "%s", error.message);
	return report(cli, result);
}

static int run_exec(struct cli *cli)
{
	struct exec exec = {0};
	int status = parse(cli, &exec) ? cli->status : run_call(cli, &exec);

	strv_free(&exec.env);
	return status;
}

const struct cli_command cmd_exec = {
	.name = "exec",
	.summary = "Runs a command in a sandbox, with this stdin, stdout and stderr",
	.usage = "--sandbox NAME [--] COMMAND [ARGUMENT]...",
	.help = "Exit codes: the command's own; 2 bad usage, 124 its time was up, 125 hookbox or\n"
		"the backend failed, 126 it is not executable, 127 there is no such command,\n"
		"128+N ended by signal N.\n\n"
		"With --json nothing is streamed: stdout is one JSON object with the call's end,\n"
		"its status, stdout, stderr, totals and durations. The exit code is the same.\n\n"
		"      --sandbox NAME    a [sandbox NAME] of the configuration, or direct\n"
		"      --env NAME[=VALUE]\n"
		"                        set a variable for the command, or pass on this\n"
		"                        environment's; may be repeated\n"
		"      --workdir DIR     the command's directory, absolute, in the box\n"
		"      --timeout TIME    a number with ms, s, m or h (plain: ms); 0: none\n",
	.ends_soon = true,
	.run = run_exec,
};
