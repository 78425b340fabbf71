/* SPDX-License-Identifier: MIT */
/* bwrap_run: a fresh bubblewrap sandbox for every call. */
#ifndef PLUGINS_BWRAP_H
#define PLUGINS_BWRAP_H

#include "../common/backend.h"

/* Whom hookbox becomes for a call when root starts it: nobody. */
#define BWRAP_NOBODY 65534u

struct bwrap_run {
	const char *rootfs;
	struct sandbox_mount_list binds;
	struct sandbox_list tmpfs;
	const char *network;
	const char *hostname;
	uint64_t uid;
	bool uid_set;
	uint64_t gid;
	bool gid_set;
	bool new_session;
	const char *seccomp;
	uint64_t memory;
	uint64_t pids_limit;
	struct sandbox_list extra_args;
	const char *bwrap_path;
	const struct sandbox_host *host;
	bool is_root;		/* hookbox runs as root, which a box must not */
};

/* What went wrong before a command ran, in words that say what to do. */
struct bwrap_failure {
	int error_number;	/* of the command's start; 0: the sandbox could not be made */
	char what[512];
	char advice[480];
};

/* [once, per instance] and [any, pure], as in the plugin's descriptor. */
int bwrap_open(void *instance, const struct sandbox_host *host, char error[SANDBOX_ERROR_SIZE]);
int bwrap_plan(const void *instance, const struct sandbox_plan_request *request,
	       const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE]);
void bwrap_classify(const void *instance, const struct sandbox_process_end *end,
		    struct sandbox_verdict *verdict);

/*
 * [any, pure] Is this text what a program said that could not make the sandbox or start the command
 * in it? Then `failure` is filled. `text` has n bytes and a NUL.
 */
bool bwrap_explain(const struct bwrap_run *run, const char *text, size_t n,
		   struct bwrap_failure *failure);

/*
 * [any, pure] The path of a program: as it is with a slash, else searched in PATH. Returns a string
 * to free(), or NULL: no such program, or out of memory.
 */
char *bwrap_find_program(const char *name);

/* [any, blocking] As sandbox.probe/1 has it. */
void bwrap_probe(void *instance, int64_t timeout_ms, const struct sandbox_probe_sink *sink);

#endif
