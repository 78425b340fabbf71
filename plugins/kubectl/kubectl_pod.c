/* SPDX-License-Identifier: MIT */
/* What asks the cluster itself: commands for the host to run, and finding a pod by its labels. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kubectl.h"

/* ---- Commands ---- */

static void fail(struct kubectl_failure *failure, const char *what, const char *advice)
{
	failure->end = SANDBOX_END_NOT_STARTED;
	failure->advice = advice;
	snprintf(failure->what, sizeof(failure->what), "%.600s", what);
}

bool kubectl_command_run(const struct kubectl_exec *exec, const struct backend_command *command,
			 int64_t timeout_ms, struct sandbox_command_result *result,
			 struct kubectl_failure *failure)
{
	char error[SANDBOX_ERROR_SIZE];

	*failure = (struct kubectl_failure){0};
	if (backend_command_run(exec->host, command, timeout_ms, result, error)) {
		fail(failure, error, "install kubectl, or set kubectl_path");
		return false;
	}
	if (result->timed_out)
		fail(failure, "the cluster did not answer in time",
		     "see that its API server can be reached, or raise request_timeout");
	else if (result->signaled)
		fail(failure, "a signal ended kubectl", "see who sent it");
	else if (result->status)
		kubectl_explain(result->err, result->err_size, failure);
	else
		return true;
	return false;
}

/* ---- Finding a pod ---- */

/* One line for each pod: its name, and "Running True" and no more when it can be entered. */
static const char pod_lines[] =
	"--output=jsonpath={range .items[*]}{.metadata.name}{\" \"}{.status.phase}{\" \"}"
	"{.status.conditions[?(@.type==\"Ready\")].status}{\" \"}{.metadata.deletionTimestamp}"
	"{\"\\n\"}{end}";

/* Gives the first ready pod that is not the one known to be gone; false: there is none. */
static bool choose_pod(const char *lines, const char *not_pod, const struct sandbox_text_sink *id,
		       size_t *seen)
{
	static const char ready[] = " Running True ";

	for (*seen = 0; *lines; ++*seen) {
		size_t length = strcspn(lines, "\n"), name = strcspn(lines, " \n");
		char pod[254];

		if (name && name < sizeof(pod) && length == name + strlen(ready) &&
		    !strncmp(lines + name, ready, strlen(ready))) {
			memcpy(pod, lines, name);
			pod[name] = '\0';
			if (kubectl_name_is_valid(pod, sizeof(pod) - 1, true) &&
			    (!not_pod || strcmp(pod, not_pod))) {
				id->text(id, pod);
				return true;
			}
		}
		lines += length + (lines[length] == '\n');
	}
	return false;
}

int kubectl_find(void *instance, const struct sandbox_box_request *request,
		 const struct sandbox_text_sink *id, char error[SANDBOX_ERROR_SIZE])
{
	const struct kubectl_exec *exec = instance;
	struct sandbox_command_result result;
	struct backend_command command;
	struct kubectl_failure failure;
	struct backend_args args;
	size_t seen;
	int code = 0;

	if (exec->pod) {
		id->text(id, exec->pod);
		return 0;
	}
	backend_command_init(&command);
	args = kubectl_args_begin(exec, &command.sink);
	kubectl_arg_timeout(&args, exec);
	backend_arg(&args, "get");
	backend_arg(&args, "pods");
	backend_arg(&args, "--selector=%s", exec->selector);
	backend_arg(&args, "%s", pod_lines);
	command.failed |= args.failed;
	if (!kubectl_command_run(exec, &command, request->timeout_ms, &result, &failure)) {
		snprintf(error, SANDBOX_ERROR_SIZE, "%s; %s", failure.what, failure.advice);
		code = -EIO;
	} else if (!choose_pod(result.out, request->not_box_id, id, &seen)) {
		snprintf(error, SANDBOX_ERROR_SIZE,
			 seen ? "none of the %zu pods with selector %.200s is ready; see why with "
				"kubectl describe pods" :
				"there are %zu pods with selector %.200s; create one, or correct "
				"selector or namespace", seen, exec->selector);
		code = -ENOENT;
	}
	exec->host->run_done(exec->host, &result);
	backend_command_free(&command);
	return code;
}
