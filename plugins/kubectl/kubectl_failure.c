/* SPDX-License-Identifier: MIT */
/*
 * Telling kubectl's failures from the command's. kubectl exits with the command's own code and says
 * "command terminated with exit code N" on stderr; its own failures are exit code 1 and some other
 * sentence. So a code without that line is never the command's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kubectl.h"

#define TEXT_SIZE 4096

static const char terminated[] = KUBECTL_LAST_WORD;

/* What kubectl said, as a string; where its last sentence begins. */
struct said {
	char text[TEXT_SIZE + 1];
	const char *line;
};

/* "E1128 13:18:09.000000    1234 file.go:1] ..." */
static bool is_log_line(const char *line)
{
	return strchr("IWEF", line[0]) && line[0] && strspn(line + 1, "0123456789") == 4 &&
	       line[5] == ' ';
}

/* How kubectl begins what it has to say of itself. */
static bool is_own_line(const char *line)
{
	static const char *const beginnings[] = {
		"error: ",
		"Error: ",
		"Error from server",
		"Error in configuration",
		"Unable to connect to the server",
		"The connection to the server ",
		KUBECTL_LAST_WORD,
	};

	for (size_t i = 0; i < N_ELEMENTS(beginnings); i++)
		if (!strncmp(line, beginnings[i], strlen(beginnings[i])))
			return true;
	return false;
}

static void load(struct said *said, const char *bytes, size_t size)
{
	bool own = false;
	char *line, *next;

	if (size > TEXT_SIZE) {
		bytes += size - TEXT_SIZE;
		size = TEXT_SIZE;
	}
	if (size)
		memcpy(said->text, bytes, size);
	for (size_t i = 0; i < size; i++)
		if (!said->text[i])
			said->text[i] = ' ';
	said->text[size] = '\0';
	said->line = said->text + size;
	for (line = said->text; line && *line; line = next) {
		next = strchr(line, '\n');
		next = next ? next + 1 : NULL;
		/* Nothing that is in front of a mark of the host's can be kubectl's last word. */
		if (*line == '\036' || is_own_line(line) ||
		    (!own && !is_log_line(line) && line[strspn(line, "\r\n")])) {
			own = *line != '\036' && is_own_line(line);
			said->line = *line == '\036' ? said->text + size : line;
		}
	}
}

static const char may_not[] = "grant the account the rights to get (with selector: to list) pods "
			      "and to create pods/exec there";

/* The first sentence found decides. */
static const struct meaning {
	const char *sentence;
	const char *advice;
	uint32_t end;
	int error_number;
} meanings[] = {
	{"(Unauthorized)", "renew the credentials in the kubeconfig"},
	{"provide credentials", "renew the credentials in the kubeconfig"},
	{"(Forbidden)", may_not},
	{"forbidden", may_not},
	{"error dialing backend", "see that the kubelet of the pod's node runs"},
	{"pods \"", "create it, or correct pod and namespace"},
	{"namespaces \"", "create it, or correct namespace"},
	{"container not found", "correct container, or wait until it runs"},
	{"is not valid for pod", "correct container"},
	{" not found in pod ", "correct container"},
	{"completed pod", "start a pod that goes on running, or correct pod"},
	{"does not have a host assigned", "wait until the pod is scheduled"},
	{"Error in configuration: context was not found", "correct context, or the kubeconfig"},
	{"Error in configuration", "correct the kubeconfig"},
	{"does not exist", "correct context, or the kubeconfig"},
	{"error loading config file", "correct the kubeconfig"},
	{"invalid configuration", "correct the kubeconfig"},
	{"no configuration has been provided", "set kubeconfig"},
	{"error: stat ", "correct kubeconfig: there is no such file"},
	{"certificate", "correct the certificates in the kubeconfig"},
	{"x509", "correct the certificates in the kubeconfig"},
	{"unknown flag", "correct extra_args, or install a newer kubectl"},
	{"invalid argument", "correct extra_args"},
	{"connection reset", "see that the pod still runs", SANDBOX_END_LOST},
	{"EOF", "see that the pod still runs", SANDBOX_END_LOST},
	{"was refused", "start the cluster, or correct the server in the kubeconfig"},
	{"connection refused", "start the cluster, or correct the server in the kubeconfig"},
	{"no such host", "correct the server in the kubeconfig"},
	{"Unable to connect to the server", "see that the cluster's API server can be reached"},
	{"TLS handshake timeout", "see that the cluster's API server can be reached"},
	{"dial tcp", "see that the cluster's API server can be reached"},
	{"exec: \"sh\"", "use a container that has a POSIX sh, or set shell = none", 0, ENOENT},
	{"executable file not found", "check the command's name and PATH there", 0, ENOENT},
	{"no such file or directory: unknown", "check the command's name", 0, ENOENT},
	{"permission denied: unknown", "chmod +x the command", 0, EACCES},
	{"unable to upgrade connection",
	 "see that the API server and its proxies let exec through"},
	{"timed out waiting for the condition", "wait until the pod runs"},
	{"Error from server", "look into what the API server says"},
	{"lost connection", "see that the pod still runs", SANDBOX_END_LOST},
	{"", "see with kubectl that the pod still runs", SANDBOX_END_LOST},
};

static void copy_line(const char *line, char *copy, size_t size)
{
	if (!strncmp(line, "error: ", 7))
		line += 7;
	backend_copy_text(copy, size, line, strcspn(line, "\r\n"));
}

static void explain_line(const char *line, struct kubectl_failure *failure)
{
	const struct meaning *meaning = meanings;

	while (!strstr(line, meaning->sentence))
		meaning++;
	failure->end = meaning->end ? meaning->end : SANDBOX_END_NOT_STARTED;
	failure->error_number = meaning->error_number;
	failure->advice = meaning->advice;
	copy_line(line, failure->what, sizeof(failure->what));
	if (!failure->what[0])
		snprintf(failure->what, sizeof(failure->what),
			 "kubectl failed and did not say why");
}

void kubectl_explain(const char *text, size_t size, struct kubectl_failure *failure)
{
	struct said said;

	load(&said, text, size);
	explain_line(said.line, failure);
}

/* kubectl's word for how the command ended, and how many bytes of stderr it takes. */
static bool find_command_end(const struct said *said, int status, size_t *size)
{
	/* The command's own last line may be without a newline. */
	const char *line = strstr(said->line, terminated);
	char *end;

	if (!line || strtol(line + strlen(terminated), &end, 10) != status)
		return false;
	*size = strlen(line);
	end += strspn(end, "\r\n");
	while (is_log_line(end))
		end += strcspn(end, "\n") + (end[strcspn(end, "\n")] == '\n');
	return !*end;
}

/*
 * Kubelets with dockershim tell of what cannot be started as if it had run: with an exit code, and
 * the sentence as its output.
 */
static bool find_start_failure(const struct sandbox_process_end *end,
			       struct kubectl_failure *failure)
{
	static const char beginning[] = "OCI runtime exec failed: ";
	struct said said;

	if (end->status != 126 && end->status != 127)
		return false;
	load(&said, end->stdout_head, end->stdout_head_size);
	if (end->stdout_total != end->stdout_head_size ||
	    strncmp(said.text, beginning, strlen(beginning)))
		return false;
	explain_line(said.text, failure);
	return failure->error_number != 0;
}

static void set_message(struct sandbox_verdict *verdict, const struct kubectl_failure *failure)
{
	snprintf(verdict->message, sizeof(verdict->message), "%s; %s", failure->what,
		 failure->advice);
}

void kubectl_classify(const void *instance, const struct sandbox_process_end *end,
		      struct sandbox_verdict *verdict)
{
	struct kubectl_failure failure = {0};
	struct said said;

	if (!end->signaled && !end->status)
		return;
	load(&said, end->stderr_tail, end->stderr_tail_size);
	if (!end->signaled && find_command_end(&said, end->status, &verdict->drop_stderr_tail)) {
		if (find_start_failure(end, &failure)) {
			verdict->end = failure.end;
			verdict->error_number = failure.error_number;
			verdict->drop_stdout = true;
			set_message(verdict, &failure);
		}
		return;
	}
	if (end->signaled) {
		failure.end = SANDBOX_END_LOST;
		failure.advice = "see who sent it (short memory?), and run it again";
		snprintf(failure.what, sizeof(failure.what),
			 "signal %d ended kubectl before it told how the command ended",
			 end->status);
	} else {
		explain_line(said.line, &failure);
	}
	/* Where something came out, something had been started. */
	verdict->end = end->stdout_total ? SANDBOX_END_LOST : failure.end;
	verdict->error_number = verdict->end == SANDBOX_END_LOST ? 0 : failure.error_number;
	verdict->drop_stderr_tail = is_own_line(said.line) ? strlen(said.line) : 0;
	set_message(verdict, &failure);
}
