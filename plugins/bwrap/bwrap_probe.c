/* SPDX-License-Identifier: MIT */
/* What `hookbox doctor` asks of bwrap_run. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bwrap.h"

struct probe {
	const struct bwrap_run *run;
	const struct sandbox_probe_sink *sink;
	int64_t deadline_ms;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t left_ms(const struct probe *probe)
{
	int64_t left = probe->deadline_ms - now_ms();

	return left > 1 ? left : 1;
}

static void report(const struct probe *probe, uint32_t status, const char *remedy,
		   const char *format, ...) __attribute__((format(printf, 4, 5)));

static void report(const struct probe *probe, uint32_t status, const char *remedy,
		   const char *format, ...)
{
	char what[SANDBOX_ERROR_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	probe->sink->finding(probe->sink, status, what, remedy);
}

/* ---- A plan of our own, collected to be run ---- */

struct words {
	char **v;
	size_t n;
	bool failed;
};

static void words_add(struct words *words, const char *word)
{
	char **v = realloc(words->v, (words->n + 2) * sizeof(*v));

	if (v)
		words->v = v;
	else
		words->failed = true;
	if (!v || !(v[words->n] = strdup(word))) {
		words->failed = true;
		return;
	}
	v[++words->n] = NULL;
}

static void words_free(struct words *words)
{
	for (size_t i = 0; i < words->n; i++)
		free(words->v[i]);
	free(words->v);
}

struct collected {
	struct words argv, env;
};

static void collect_arg(const struct sandbox_plan_sink *sink, const char *arg)
{
	words_add(&((struct collected *)sink->host_data)->argv, arg);
}

static void collect_env(const struct sandbox_plan_sink *sink, const char *assignment)
{
	words_add(&((struct collected *)sink->host_data)->env, assignment);
}

/* Makes a box as a call would have it, with a command in it. */
static int run_in_box(const struct probe *probe, const char *const *command,
		      struct sandbox_command_result *result, char error[SANDBOX_ERROR_SIZE])
{
	static const char *const none[] = {NULL};
	struct collected collected = {0};
	const struct sandbox_plan_sink sink = {
		.size = sizeof(sink),
		.host_data = &collected,
		.arg = collect_arg,
		.env = collect_env,
	};
	const struct sandbox_plan_request request = {
		.size = sizeof(request),
		.purpose = SANDBOX_PURPOSE_CALL,
		.call_id = "probe",
		.argv = command,
		.env = none,
		.labels = none,
	};
	int code = bwrap_plan(probe->run, &request, &sink, error);

	if (!code && (collected.argv.failed || collected.env.failed)) {
		snprintf(error, SANDBOX_ERROR_SIZE, "out of memory");
		code = -1;
	}
	if (!code) {
		const struct sandbox_command run = {
			.size = sizeof(run),
			.argv = (const char *const *)collected.argv.v,
			.env = (const char *const *)collected.env.v,
			.timeout_ms = left_ms(probe),
		};

		code = probe->run->host->run(probe->run->host, &run, result, error);
	}
	words_free(&collected.argv);
	words_free(&collected.env);
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
		report(probe, SANDBOX_PROBE_FAILED, "install bubblewrap, or set bwrap_path", "%s",
		       error);
		return false;
	}
	good = !result.timed_out && !result.signaled && !result.status;
	if (good)
		report(probe, SANDBOX_PROBE_OK, NULL, "%s: %.*s", probe->run->bwrap_path,
		       (int)strcspn(result.out, "\r\n"), result.out);
	else
		report(probe, SANDBOX_PROBE_FAILED, "set bwrap_path to a bwrap that works",
		       "%s --version fails: %.*s", probe->run->bwrap_path,
		       (int)strcspn(result.err, "\r\n"), result.err);
	host->run_done(host, &result);
	return good;
}

static void report_box(const struct probe *probe, const struct sandbox_command_result *result)
{
	struct bwrap_failure failure;

	if (!result->timed_out && !result->signaled && !result->status)
		report(probe, SANDBOX_PROBE_OK, NULL,
		       "a sandbox with these settings starts, and has sh");
	else if (result->timed_out)
		report(probe, SANDBOX_PROBE_FAILED, "see what keeps bwrap waiting",
		       "no sandbox came up in time");
	else if (!bwrap_explain(probe->run, result->err, result->err_size, &failure))
		report(probe, SANDBOX_PROBE_FAILED, "see what the sandbox's sh lacks",
		       "sh in the sandbox ends with %d: %.*s", result->status,
		       (int)strcspn(result->err, "\r\n"), result->err);
	else
		/* Without sh, calls still run where the sandbox says shell = none. */
		report(probe,
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
		report(probe, SANDBOX_PROBE_FAILED, "correct that", "%s", error);
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
		.deadline_ms = now_ms() + timeout_ms,
	};

	if (probe_version(&probe))
		probe_box(&probe);
}
