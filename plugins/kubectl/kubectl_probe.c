/* SPDX-License-Identifier: MIT */
/* What `hookbox doctor` asks: kubectl, the cluster, the right to exec, the pod and its shell. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kubectl.h"

struct probe {
	struct kubectl_exec *exec;
	const struct sandbox_probe_sink *sink;
	int64_t deadline_ms;
	char text[256];		/* the first line of the last command's output */
	char version[64];	/* kubectl's, if that was its output */
};

/* The value of "gitVersion", which looks like "v1.30.2". */
static void keep_version(struct probe *probe, const char *json)
{
	static const char key[] = "\"gitVersion\": \"";
	const char *value = strstr(json, key);

	if (value)
		snprintf(probe->version, sizeof(probe->version), "%.*s",
			 (int)strcspn(value + strlen(key), "\"\r\n"), value + strlen(key));
}

/* Runs a command to its end and frees it; a failure is reported. */
static bool take_step(struct probe *probe, struct backend_command *command)
{
	struct sandbox_command_result result;
	struct kubectl_failure failure;
	bool well = kubectl_command_run(probe->exec, command, probe->deadline_ms - backend_now_ms(),
					&result, &failure);

	if (well) {
		snprintf(probe->text, sizeof(probe->text), "%.*s",
			 (int)strcspn(result.out, "\r\n"), result.out);
		keep_version(probe, result.out);
	} else if (!strncmp(result.out ? result.out : "", "no", 2)) {
		backend_report(probe->sink, SANDBOX_PROBE_FAILED,
			       "grant it the right to create pods/exec in the namespace",
			       "the kubeconfig's account may not exec into pods");
	} else {
		backend_report(probe->sink, SANDBOX_PROBE_FAILED, failure.advice, "%s",
			       failure.what);
	}
	probe->exec->host->run_done(probe->exec->host, &result);
	backend_command_free(command);
	return well;
}

static bool ask(struct probe *probe, const char *const *words)
{
	struct backend_command command;
	struct backend_args args;

	backend_command_init(&command);
	args = kubectl_args_begin(probe->exec, &command.sink);
	kubectl_arg_timeout(&args, probe->exec);
	for (; *words; words++)
		backend_arg(&args, "%s", *words);
	command.failed |= args.failed;
	return take_step(probe, &command);
}

/* Runs a shell in the pod as a call would. */
static bool enter(struct probe *probe, const char *pod)
{
	static const char *const argv[] = {"sh", "-c", BACKEND_CAN_SWEEP " || echo bare", NULL};
	const struct sandbox_plan_request request = backend_probe_request(argv, pod);
	char error[SANDBOX_ERROR_SIZE] = "";
	struct backend_command command;

	backend_command_init(&command);
	command.failed |= kubectl_plan(probe->exec, &request, &command.sink, error) != 0;
	return take_step(probe, &command);
}

static void keep_text(const struct sandbox_text_sink *sink, const char *text)
{
	snprintf(sink->host_data, 254, "%s", text);
}

static bool find(struct probe *probe, char pod[254])
{
	const struct sandbox_text_sink id = {
		.size = sizeof(id), .host_data = pod, .text = keep_text,
	};
	const int64_t left = probe->deadline_ms - backend_now_ms();
	const struct sandbox_box_request request = {
		.size = sizeof(request), .timeout_ms = left > 0 ? left : 1,
	};
	char error[SANDBOX_ERROR_SIZE] = "";

	if (!kubectl_find(probe->exec, &request, &id, error))
		return true;
	backend_report(probe->sink, SANDBOX_PROBE_FAILED, NULL, "%s", error);
	return false;
}

void kubectl_probe(void *instance, int64_t timeout_ms, const struct sandbox_probe_sink *sink)
{
	struct probe probe = {
		.exec = instance,
		.sink = sink,
		.deadline_ms = backend_now_ms() + timeout_ms,
	};
	static const char *const version[] = {"version", "--client", "--output=json", NULL};
	static const char *const right[] = {"auth", "can-i", "create", "pods", "--subresource=exec",
					    NULL};
	char pod[254];

	if (!ask(&probe, version))
		return;
	backend_report(probe.sink, SANDBOX_PROBE_OK, NULL, "kubectl %s is there", probe.version);
	if (!ask(&probe, right))
		return;
	backend_report(probe.sink, SANDBOX_PROBE_OK, NULL,
		       "the cluster answers, and lets this account exec");
	if (!find(&probe, pod) || !enter(&probe, pod))
		return;
	if (probe.text[0])
		backend_report(
			probe.sink, SANDBOX_PROBE_WARNING,
			"install grep there and mount /proc, or what calls leave is not found",
			"the pod %s has no grep or no readable /proc", pod);
	else
		backend_report(probe.sink, SANDBOX_PROBE_OK, NULL,
			       "commands start in the pod %s, and it has sh", pod);
}
