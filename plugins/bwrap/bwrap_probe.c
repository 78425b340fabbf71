/* SPDX-License-Identifier: MIT */
/* What `hookbox doctor` asks of bwrap_run. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bwrap.h"

struct probe {
	const struct bwrap_run *run;
	const struct sandbox_probe_sink *sink;
	int64_t deadline_ms;
};

static int64_t left_ms(const struct probe *probe)
{
	int64_t left = probe->deadline_ms - backend_now_ms();

	return left > 1 ? left : 1;
}

/* Makes a box as a call would have it, with a command in it. */
static int run_in_box(const struct probe *probe, const char *const *argv,
		      struct sandbox_command_result *result, char error[SANDBOX_ERROR_SIZE])
{
	const struct sandbox_plan_request request = backend_probe_request(argv, NULL);
	struct backend_command command;
	int code;

	backend_command_init(&command);
	code = bwrap_plan(probe->run, &request, &command.sink, error);
	if (!code)
		code = backend_command_run(probe->run->host, &command, left_ms(probe), result,
					   error);
	backend_command_free(&command);
	return code;
}

/* ---- Findings ---- */

static bool probe_version(const struct probe *probe)
{
	const struct sandbox_host *host = probe->run->host;
	const char *const argv[] = {probe->run->bwrap_path, "--version", NULL};
	const struct sandbox_command command = {
		.size = sizeof(command),
		.argv = argv,
		.timeout_ms = left_ms(probe),
	};
	struct sandbox_command_result result = {.size = sizeof(result)};
	char error[SANDBOX_ERROR_SIZE] = "";
	bool good;

	if (host->run(host, &command, &result, error)) {
		backend_report(probe->sink, SANDBOX_PROBE_FAILED,
			       "install bubblewrap, or set bwrap_path", "%s", error);
		return false;
	}
	good = backend_result_is_good(&result);
	if (good)
		backend_report(probe->sink, SANDBOX_PROBE_OK, NULL, "%s: %.*s",
			       probe->run->bwrap_path, (int)strcspn(result.out, "\r\n"),
			       result.out);
	else
		backend_report(probe->sink, SANDBOX_PROBE_FAILED,
			       "set bwrap_path to a bwrap that works", "%s --version fails: %.*s",
			       probe->run->bwrap_path, (int)strcspn(result.err, "\r\n"),
			       result.err);
	host->run_done(host, &result);
	return good;
}

static void report_box(const struct probe *probe, const struct sandbox_command_result *result)
{
	struct bwrap_failure failure;

	if (backend_result_is_good(result))
		backend_report(probe->sink, SANDBOX_PROBE_OK, NULL,
			       "a sandbox with these settings starts, and has sh");
	else if (result->timed_out)
		backend_report(probe->sink, SANDBOX_PROBE_FAILED, "see what keeps bwrap waiting",
			       "no sandbox came up in time");
	else if (!bwrap_explain(probe->run, result->err, result->err_size, &failure))
		backend_report(probe->sink, SANDBOX_PROBE_FAILED, "see what the sandbox's sh lacks",
			       "sh in the sandbox ends with %d: %.*s", result->status,
			       (int)strcspn(result->err, "\r\n"), result->err);
	else
		/* Without sh, calls still run where the sandbox says shell = none. */
		backend_report(probe->sink,
			       failure.error_number == ENOENT ? SANDBOX_PROBE_WARNING
							      : SANDBOX_PROBE_FAILED,
			       failure.advice, "%s", failure.what);
}

static void probe_box(const struct probe *probe)
{
	static const char *const command[] = {"sh", "-c", ":", NULL};
	const struct sandbox_host *host = probe->run->host;
	struct sandbox_command_result result = {.size = sizeof(result)};
	char error[SANDBOX_ERROR_SIZE] = "";

	if (run_in_box(probe, command, &result, error)) {
		backend_report(probe->sink, SANDBOX_PROBE_FAILED, "correct that", "%s", error);
		return;
	}
	report_box(probe, &result);
	host->run_done(host, &result);
}

void bwrap_probe(void *instance, int64_t timeout_ms, const struct sandbox_probe_sink *sink)
{
	const struct probe probe = {
		.run = instance,
		.sink = sink,
		.deadline_ms = backend_now_ms() + timeout_ms,
	};

	if (probe_version(&probe))
		probe_box(&probe);
}
