/* SPDX-License-Identifier: MIT */
/*
 * kubectl_exec in parts. kubectl_exec.c: what is planned, pure. kubectl_failure.c: telling
 * kubectl's failures from the command's. kubectl_log.c: its own lines in the command's stderr.
 * kubectl_pod.c: finding a pod. kubectl_probe.c: what doctor asks.
 */
#ifndef PLUGINS_KUBECTL_H
#define PLUGINS_KUBECTL_H

#include <stdbool.h>
#include <stddef.h>

#include "../common/backend.h"

struct kubectl_exec {
	const char *pod;
	const char *selector;
	const char *namespace;
	const char *container;
	const char *kubeconfig;
	const char *context;
	const char *kubectl_path;
	struct sandbox_list extra_args;
	int64_t request_timeout;
	const struct sandbox_host *host;
};

/* ---- Planning (kubectl_exec.c) ---- */

/* kubectl and the options that say which cluster, who, and which namespace. */
struct backend_args kubectl_args_begin(const struct kubectl_exec *exec,
				       const struct sandbox_plan_sink *sink);
/* The bound on a request that is no stream. */
void kubectl_arg_timeout(struct backend_args *args, const struct kubectl_exec *exec);
int kubectl_plan(const void *instance, const struct sandbox_plan_request *request,
		 const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE]);
/* A name as Kubernetes has them for pods: DNS-1123, so none can be taken for an option. */
bool kubectl_name_is_valid(const char *name, size_t max, bool dots);

/* ---- Lines of kubectl's own (kubectl_log.c) ---- */

/* The number behind it is the command's exit code. */
#define KUBECTL_LAST_WORD "command terminated with exit code "

size_t kubectl_find_own_line(const void *instance, const char *text, size_t n, int64_t pid,
			     size_t *length);

/* ---- Failures (kubectl_failure.c) ---- */

struct kubectl_failure {
	uint32_t end;		/* SANDBOX_END_NOT_STARTED or _LOST */
	int error_number;	/* as in a verdict */
	char what[640];		/* what went wrong ... */
	const char *advice;	/* ... and what to do */
};

/* What kubectl's last words mean. */
void kubectl_explain(const char *said, size_t size, struct kubectl_failure *failure);
void kubectl_classify(const void *instance, const struct sandbox_process_end *end,
		      struct sandbox_verdict *verdict);

/* ---- Asking the cluster (kubectl_pod.c), all [any, blocking] ---- */

/*
 * Runs it: true when it exited with 0; else `failure` says why. `result` is to be given to
 * run_done() in both cases.
 */
bool kubectl_command_run(const struct kubectl_exec *exec, const struct backend_command *command,
			 int64_t timeout_ms, struct sandbox_command_result *result,
			 struct kubectl_failure *failure);
int kubectl_find(void *instance, const struct sandbox_box_request *request,
		 const struct sandbox_text_sink *id, char error[SANDBOX_ERROR_SIZE]);

/* kubectl_probe.c */
void kubectl_probe(void *instance, int64_t timeout_ms, const struct sandbox_probe_sink *sink);

#endif
