/* SPDX-License-Identifier: MIT */
/* Asking the engine: what the extensions need, which may block. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "docker.h"

/* ---- Removing a container ---- */

enum removal { GONE, GOING, STAYS };

static enum removal remove_once(const struct docker_cli *cli, const struct backend_command *command,
				int64_t timeout_ms, char error[SANDBOX_ERROR_SIZE])
{
	struct sandbox_command_result result;
	enum removal removal = STAYS;

	if (backend_command_run(cli->table, command, timeout_ms, &result, error))
		return STAYS;
	if (backend_result_is_good(&result))
		removal = GONE;
	else if (strcasestr(result.err, "no such container"))
		removal = GONE;
	else if (strstr(result.err, "already in progress"))
		removal = GOING;
	if (removal != GONE)
		snprintf(error, SANDBOX_ERROR_SIZE, "the container was not removed: %.*s",
			 (int)strcspn(result.err, "\r\n"),
			 result.timed_out ? "the engine did not answer in time" : result.err);
	cli->table->run_done(cli->table, &result);
	return removal;
}

int docker_remove(const struct docker_cli *cli, const char *container, int64_t timeout_ms,
		  char error[SANDBOX_ERROR_SIZE])
{
	const struct timespec pause = {.tv_nsec = 50 * 1000000};
	int64_t deadline = backend_now_ms() + timeout_ms;
	struct backend_command command;
	enum removal removal;

	backend_command_init(&command);
	command.failed = docker_args_remove(cli, container, &command.sink, error) != 0;
	while ((removal = remove_once(cli, &command, deadline - backend_now_ms(), error)) ==
		       GOING &&
	       backend_now_ms() < deadline)
		nanosleep(&pause, NULL);
	backend_command_free(&command);
	return removal == GONE ? 0 : -EIO;
}

/* ---- Listing containers ---- */

/*
 * Each line is "ID LABELS": docker prints "KEY=VALUE,KEY=VALUE", podman "map[KEY:VALUE KEY:VALUE]",
 * and no way to ask for one label is common to both.
 */
static void report_boxes(char *lines, const struct sandbox_box_list_sink *sink)
{
	static const char key[] = "hookbox.owner";
	char *rest = NULL;

	for (char *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *owner = strstr(line, key);

		line[strcspn(line, " ")] = '\0';
		if (!owner)
			continue;
		owner += strlen(key);
		owner += *owner == '=' || *owner == ':';
		owner[strcspn(owner, ",] ")] = '\0';
		sink->box(sink, line, owner);
	}
}

static int take_list(const struct sandbox_command_result *result,
		     const struct sandbox_box_list_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	char *lines;

	if (result->timed_out || result->signaled || result->status) {
		snprintf(error, SANDBOX_ERROR_SIZE, "the engine does not list its containers: %.*s",
			 (int)strcspn(result->err, "\r\n"),
			 result->timed_out ? "it did not answer in time" : result->err);
		return -EIO;
	}
	lines = strdup(result->out);
	if (!lines) {
		snprintf(error, SANDBOX_ERROR_SIZE, "out of memory");
		return -ENOMEM;
	}
	report_boxes(lines, sink);
	free(lines);
	return 0;
}

int docker_list(const struct docker_cli *cli, int64_t timeout_ms,
		const struct sandbox_box_list_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	struct sandbox_command_result result;
	struct backend_command command;
	struct backend_args args;
	int code;

	backend_command_init(&command);
	args = docker_args_begin(cli, &command.sink);
	backend_arg(&args, "ps");
	backend_arg(&args, "--all");
	backend_arg(&args, "--no-trunc");
	backend_arg(&args, "--filter=label=hookbox.owner");
	backend_arg(&args, "--format={{.ID}} {{.Labels}}");
	code = backend_args_end(&args, error);
	if (!code)
		code = backend_command_run(cli->table, &command, timeout_ms, &result, error);
	if (!code) {
		code = take_list(&result, sink, error);
		cli->table->run_done(cli->table, &result);
	}
	backend_command_free(&command);
	return code;
}

/* ---- Probing ---- */

struct docker_probe docker_probe_begin(const struct docker_cli *cli,
				       const struct docker_place *place, int64_t timeout_ms,
				       const struct sandbox_probe_sink *sink)
{
	return (struct docker_probe){cli, place, sink, backend_now_ms() + timeout_ms};
}

int64_t docker_probe_left_ms(const struct docker_probe *probe)
{
	return probe->deadline_ms - backend_now_ms();
}

void docker_probe_report_failure(const struct docker_probe *probe,
				 const struct docker_failure *failure, bool tolerable)
{
	backend_report(probe->sink, tolerable ? SANDBOX_PROBE_WARNING : SANDBOX_PROBE_FAILED,
		       failure->advice, "%s", failure->what);
}

/* What a finished command's result says, put as classify would get it. */
static void judge_result(const struct docker_probe *probe,
			 const struct sandbox_command_result *result,
			 struct docker_failure *failure)
{
	const size_t edge = 4096;
	/* Where there is nothing to show, `inspect` shows an empty line. */
	size_t out_size = strspn(result->out, "\n") == result->out_size ? 0 : result->out_size;
	size_t err_cut = result->err_size < edge ? 0 : result->err_size - edge;
	const struct sandbox_process_end end = {
		.size = sizeof(end),
		.signaled = result->signaled,
		.status = result->status,
		.stdout_head = result->out,
		.stdout_head_size = out_size < edge ? out_size : edge,
		.stderr_tail = result->err + err_cut,
		.stderr_tail_size = result->err_size - err_cut,
		.stdout_total = out_size,
		.stderr_total = result->err_size,
	};

	if (result->timed_out) {
		snprintf(failure->what, sizeof(failure->what), "the engine did not answer in time");
		snprintf(failure->advice, sizeof(failure->advice), "look into the engine's log");
	} else if (!docker_find_failure(probe->place, &end, failure)) {
		snprintf(failure->what, sizeof(failure->what), "the CLI ended with status %d%s%.*s",
			 result->status, result->err_size ? ": " : "",
			 (int)strcspn(result->err, "\r\n"), result->err);
		snprintf(failure->advice, sizeof(failure->advice),
			 "run the same with the CLI by hand");
	}
}

bool docker_probe_run(const struct docker_probe *probe, const struct backend_command *command,
		      struct docker_failure *failure, int *status)
{
	const struct sandbox_host *table = probe->cli->table;
	struct sandbox_command_result result;
	char error[SANDBOX_ERROR_SIZE] = "";
	bool well;

	*failure = (struct docker_failure){0};
	*status = -1;
	if (backend_command_run(probe->cli->table, command, docker_probe_left_ms(probe), &result,
				error)) {
		snprintf(failure->what, sizeof(failure->what), "%.600s", error);
		snprintf(failure->advice, sizeof(failure->advice),
			 "install the docker CLI, or set docker_path");
		return false;
	}
	well = backend_result_is_good(&result);
	if (!well)
		judge_result(probe, &result, failure);
	if (!result.timed_out && !result.signaled)
		*status = result.status;
	table->run_done(table, &result);
	return well;
}

/* The first line that `CLI --version` prints, or NULL with a failure reported. */
static char *cli_version(const struct docker_probe *probe)
{
	const struct sandbox_host *table = probe->cli->table;
	struct sandbox_command_result result;
	struct backend_command command;
	char error[SANDBOX_ERROR_SIZE] = "";
	char *version = NULL;

	backend_command_init(&command);
	command.sink.arg(&command.sink, probe->cli->path);
	command.sink.arg(&command.sink, "--version");
	if (backend_command_run(probe->cli->table, &command, docker_probe_left_ms(probe), &result,
				error)) {
		backend_report(probe->sink, SANDBOX_PROBE_FAILED,
			       "install the docker CLI, or set docker_path", "%s", error);
	} else {
		if (backend_result_is_good(&result))
			version = strndup(result.out, strcspn(result.out, "\r\n"));
		if (!version)
			backend_report(probe->sink, SANDBOX_PROBE_FAILED,
				       "set docker_path to a docker CLI", "\"%s --version\" fails",
				       probe->cli->path);
		table->run_done(table, &result);
	}
	backend_command_free(&command);
	return version;
}

bool docker_probe_engine(const struct docker_probe *probe)
{
	struct docker_failure failure;
	struct backend_command command;
	struct backend_args args;
	char *version = cli_version(probe);
	int status;
	bool answers;

	if (!version)
		return false;
	backend_report(probe->sink, SANDBOX_PROBE_OK, NULL, "%s", version);
	free(version);
	backend_command_init(&command);
	args = docker_args_begin(probe->cli, &command.sink);
	backend_arg(&args, "ps");
	backend_arg(&args, "--quiet");
	answers = docker_probe_run(probe, &command, &failure, &status);
	if (answers)
		backend_report(probe->sink, SANDBOX_PROBE_OK, NULL, "the engine answers");
	else
		docker_probe_report_failure(probe, &failure, false);
	backend_command_free(&command);
	return answers;
}
