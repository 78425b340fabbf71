/* SPDX-License-Identifier: MIT */
/*
 * hookbox.h - run exec hooks and commands in sandboxes.
 *
 *	struct hookbox_error err;
 *	struct hookbox *box = hookbox_open(&(struct hookbox_options){.size = sizeof(...),
 *					   .config_path = "hooks.ini"}, &err);
 *	struct hookbox_decision *decision;
 *	hookbox_emit(box, &event, &decision, &err);
 *	if (decision->verdict == HOOKBOX_DENY) ...
 *	hookbox_decision_free(decision);
 *	hookbox_close(box);
 *
 * Return values. Functions that can fail return 0 or a negative errno value (or NULL), and fill
 * the caller's struct hookbox_error, which may be NULL. How a *call* ended is no such failure: it
 * is in the result. Who guards something with hooks must take a failing hookbox_emit() or
 * hookbox_run() for a deny.
 *
 * Ownership. What is passed in is lent for the call. Results belong to the caller, who frees them
 * with the function named beside them; they stay valid after hookbox_close().
 *
 * Threads. Functions tagged [any] may be called by any number of threads at once on one host. The
 * library touches no signal handler, no signal mask beyond the calling thread's, and not the
 * subreaper flag. It waits only for processes it started: an embedder that reaps foreign children
 * (waitpid(-1)) or ignores SIGCHLD makes calls end as HOOKBOX_LOST.
 *
 * Sizes. Structs that the caller makes begin with their size (sizeof): a newer library reads an
 * older caller's struct. Structs that the library makes may grow at their end.
 */
#ifndef HOOKBOX_H
#define HOOKBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HOOKBOX_API __attribute__((visibility("default")))

struct hookbox;
struct hookbox_cancel;
struct sandbox_plugin_v1;

/* One sentence about what failed, where, and what to do. */
struct hookbox_error {
	int code;			/* negative errno value; 0: none */
	char message[1024];
};

/* [any] The library's version, such as "0.1.0". Since 0.1. */
HOOKBOX_API const char *hookbox_version(void);

/*
 * ---- Open and close ----
 */
struct hookbox_options {
	size_t size;
	/*
	 * The INI file, or NULL to look for it: $HOOKBOX_CONFIG, then hookbox/hookbox.ini in
	 * $XDG_CONFIG_HOME (or ~/.config), then in /etc (or the build's sysconfdir). Never the
	 * working directory.
	 */
	const char *config_path;
	/* The configuration itself, instead of a file; relative paths in it are refused. */
	const char *config_text;
	/* Searched for plugins before all other directories; NULL-terminated, or NULL. */
	const char *const *plugin_dirs;
	/* Takes one line for the operator; NULL: warnings and errors go to stderr. [any] */
	void (*log)(void *log_data, int level, const char *message);
	void *log_data;
	/* Descriptors that the program itself brings, instead of .so files; NULL-terminated, or
	 * NULL. They must outlive the host. A name that a plugin directory or hookbox itself also
	 * has is an error unless it is in replace_plugins. */
	const struct sandbox_plugin_v1 *const *plugins;
	/* As `plugins`, but each replaces whatever else has its name. */
	const struct sandbox_plugin_v1 *const *replace_plugins;
	/* For a program that ends after one event or call: `pool` in the configuration is checked,
	 * but no box is made ahead, which such a program would only wait for. */
	bool no_pools;
};

/*
 * Reads the configuration, loads the plugins it names, and makes its sandboxes. Starts nothing.
 * NULL with *error filled when anything in it is wrong. Since 0.1.
 */
HOOKBOX_API struct hookbox *hookbox_open(const struct hookbox_options *options,
					 struct hookbox_error *error);

/*
 * Ends the host, and with it the boxes that wait in its pools and the channels to those that stay.
 * No call may be running in it. [blocking] NULL is ignored. Since 0.1.
 *
 * A process that was forked from the host's has its calls, without pools and channels: these are
 * the parent's, and hookbox_close() in the child leaves them alone.
 */
HOOKBOX_API void hookbox_close(struct hookbox *box);

/*
 * ---- Calls ----
 */

/* How a call ended. There is no "unknown": a call whose end is not known is HOOKBOX_LOST. */
enum hookbox_end {
	HOOKBOX_EXITED = 1,		/* the command exited with `status` */
	HOOKBOX_SIGNALED = 2,		/* signal `status` ended it */
	HOOKBOX_TIMED_OUT = 3,		/* its time was up, it was ended */
	HOOKBOX_CANCELLED = 4,		/* the caller cancelled it, it was ended */
	HOOKBOX_OUTPUT_LIMIT = 5,	/* it wrote more than its limit, it was ended */
	HOOKBOX_NOT_STARTED = 6,	/* command or backend missing: see `error_number`,
					 * `message` */
	HOOKBOX_LOST = 7,		/* the way to it broke: see `message` */
};

/* How sure it is that nothing of the call still runs. */
enum hookbox_cleanup {
	HOOKBOX_CLEANUP_UNKNOWN = 0,	/* not sure: see `cleanup_reason` */
	HOOKBOX_CLEANUP_SWEPT = 1,	/* process group and all that bears the call's mark are
					 * gone */
	HOOKBOX_CLEANUP_PROVEN = 2,	/* the box itself is gone, or the agent in it saw the last
					 * descendant go, or nothing was ever started */
};

/* Drop and count stdout beyond its limit, instead of ending the call. (stderr always is.) */
#define HOOKBOX_DROP_OUTPUT (1u << 0)

struct hookbox_call {
	size_t size;
	const char *const *argv;	/* NULL-terminated, never empty */
	/* NAME=value, or NAME to pass on the variable of this process (ignored if it has none).
	 * NAME is [A-Za-z_][A-Za-z0-9_]*. NULL-terminated, or NULL. */
	const char *const *env;
	const char *workdir;		/* absolute, in the box; NULL: the sandbox's own */
	const void *stdin_data;		/* bytes for stdin, or NULL */
	size_t stdin_size;
	bool use_stdin_fd;		/* stdin comes from stdin_fd instead of stdin_data */
	int stdin_fd;
	/* Output goes to stdout_fd and stderr_fd as it comes, instead of into the result. A reader
	 * that is slow holds the command back, never the deadline; one that is gone ends the
	 * call. */
	bool use_output_fds;
	int stdout_fd;
	int stderr_fd;
	/* Output goes to this function as it comes, instead of into the result. Called by the
	 * thread that runs the call; must not block. Nonzero ends the call as cancelled; what comes
	 * until it has ended is handed on as well. */
	int (*sink)(void *sink_data, int stream, const void *bytes, size_t n);
	void *sink_data;
	int64_t timeout_ms;		/* 0: the sandbox's timeout_ms; negative: none */
	uint64_t stdout_limit;		/* bytes; 0: the sandbox's, else 8 MiB (none when
					 * streaming) */
	uint64_t stderr_limit;		/* bytes; 0: the sandbox's, else 1 MiB (none when
					 * streaming) */
	struct hookbox_cancel *cancel;	/* or NULL */
	unsigned flags;			/* HOOKBOX_DROP_OUTPUT */
};

struct hookbox_result {
	enum hookbox_end end;
	int status;			/* exit code or signal number */
	int error_number;		/* NOT_STARTED: ENOENT (no such command), EACCES (not
					 * executable), ENOTDIR (no such workdir) ...; 0: it was the
					 * backend that failed */
	char *message;			/* NULL, or one sentence: why it ended other than by
					 * itself */
	enum hookbox_cleanup cleanup;
	char *cleanup_reason;		/* NULL, or why cleanup is UNKNOWN */
	char *out;			/* stdout, with a NUL behind it that out_size does not
					 * count */
	size_t out_size;
	char *err;			/* stderr, likewise */
	size_t err_size;
	uint64_t out_total;		/* bytes the command wrote, kept, passed on or dropped */
	uint64_t err_total;
	uint64_t out_dropped;		/* of these, dropped for the limit */
	uint64_t err_dropped;
	bool truncated;			/* output ended early: a process that held it was cut off */
	uint64_t duration_us;		/* from the call to this result */
	uint64_t start_us;		/* of these, until the process was started */
	char *call_id;
};

/*
 * [any] Runs one command in the sandbox of that name ("direct" needs no section), and returns when
 * it has ended and nothing of it is left, or cleanup says otherwise. 0 with *result set, however
 * the call ended; negative when the request itself is wrong. Since 0.1.
 */
HOOKBOX_API int hookbox_exec(struct hookbox *box, const char *sandbox,
			     const struct hookbox_call *call, struct hookbox_result **result,
			     struct hookbox_error *error);

/* Frees a result. NULL is ignored. Since 0.1. */
HOOKBOX_API void hookbox_result_free(struct hookbox_result *result);

/* [any] "exited", "signaled", "timed out", ... for an enum hookbox_end. Since 0.1. */
HOOKBOX_API const char *hookbox_end_name(enum hookbox_end end);

/* [any] "unknown", "swept", "proven". Since 0.1. */
HOOKBOX_API const char *hookbox_cleanup_name(enum hookbox_cleanup cleanup);

/*
 * ---- Cancel ----
 * A cancel object may serve any number of calls; once fired, it stays so, and calls that begin
 * with it end at once as cancelled.
 */
HOOKBOX_API struct hookbox_cancel *hookbox_cancel_new(void);	/* NULL: no memory or descriptor */
/* [any, also in a signal handler] Since 0.1. */
HOOKBOX_API void hookbox_cancel_fire(struct hookbox_cancel *cancel);
/* No call may be using it. NULL is ignored. Since 0.1. */
HOOKBOX_API void hookbox_cancel_free(struct hookbox_cancel *cancel);

/*
 * ---- Hooks ----
 */
enum hookbox_verdict {
	HOOKBOX_ALLOW = 1,
	HOOKBOX_DENY = 2,
	HOOKBOX_ENFORCED = 3,		/* not allowed as it was; the hook has dealt with it: go
					 * on */
};

/* Why a hook's answer is what it is: "answer" is its own word, all others are failures. */
enum hookbox_cause {
	HOOKBOX_CAUSE_ANSWER = 1,	/* the hook said so */
	HOOKBOX_CAUSE_NOT_GATING = 2,	/* observe mode or an eval hook: never denies */
	HOOKBOX_CAUSE_EXIT = 3,		/* nonzero exit code */
	HOOKBOX_CAUSE_SIGNAL = 4,
	HOOKBOX_CAUSE_TIMEOUT = 5,
	HOOKBOX_CAUSE_CANCELLED = 6,
	HOOKBOX_CAUSE_OUTPUT_LIMIT = 7,
	HOOKBOX_CAUSE_NOT_STARTED = 8,
	HOOKBOX_CAUSE_LOST = 9,
	HOOKBOX_CAUSE_BAD_ANSWER = 10,	/* exit 0 without one valid JSON object that holds
					 * "allow" */
};

struct hookbox_event {
	size_t size;
	const char *type;		/* provider, tool, session, eval */
	const char *phase;		/* before_call ...; NULL for eval */
	/* The request as a JSON object: {"request": ..., "response": ..., "event": ...}; "hook" and
	 * "phase" are added when missing and must agree when there. For eval any JSON object,
	 * handed on as it is. */
	const char *json;
	size_t json_size;
	struct hookbox_cancel *cancel;	/* or NULL */
};

/* What one hook said. */
struct hookbox_hook_outcome {
	char *hook;			/* its name in the config */
	enum hookbox_verdict verdict;
	enum hookbox_cause cause;
	bool loosened;			/* it failed, and on_error made that an allow */
	char *reason;			/* NULL, or one sentence */
	char *metadata;			/* NULL, or a JSON object */
	bool ack;
	struct hookbox_result *result;	/* how its call ended, with its stdout and stderr */
};

struct hookbox_decision {
	enum hookbox_verdict verdict;	/* DENY if any gating hook denied, else ENFORCED if any
					 * did */
	const char *hook;		/* the hook that decided it; NULL when all allowed */
	const char *reason;		/* its reason, or NULL */
	const char *metadata;		/* its metadata, or NULL */
	size_t n_outcomes;		/* in config order; hooks after the first deny did not
					 * run */
	struct hookbox_hook_outcome *outcomes;
};

/* [any] Runs every hook that listens to the event, in config order; the first deny ends it. An
 * event no hook listens to is allowed. Since 0.1. */
HOOKBOX_API int hookbox_emit(struct hookbox *box, const struct hookbox_event *event,
			     struct hookbox_decision **decision, struct hookbox_error *error);

/* [any] Runs one hook. event->type may be NULL (the hook's own); event->phase may be NULL when the
 * hook has only one. Since 0.1. */
HOOKBOX_API int hookbox_run(struct hookbox *box, const char *hook,
			    const struct hookbox_event *event, struct hookbox_decision **decision,
			    struct hookbox_error *error);

/* Frees a decision with its outcomes and results. NULL is ignored. Since 0.1. */
HOOKBOX_API void hookbox_decision_free(struct hookbox_decision *decision);

/* [any] "allow", "deny", "enforced". Since 0.1. */
HOOKBOX_API const char *hookbox_verdict_name(enum hookbox_verdict verdict);

/* [any] "answer", "exit", "timeout", "bad_answer" ...: the words of on_error. Since 0.1. */
HOOKBOX_API const char *hookbox_cause_name(enum hookbox_cause cause);

#ifdef __cplusplus
}
#endif

#endif
