/* SPDX-License-Identifier: MIT */
/*
 * The spawn engine: the only place that starts a process. It starts one, feeds its stdin, reads
 * its output, and returns when it has been waited for and its process group is gone.
 */
#ifndef CORE_SPAWN_H
#define CORE_SPAWN_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "error.h"
#include "program.h"

/* One output stream (index 0 is stdout, 1 is stderr). */
struct spawn_stream {
	/*
	 * Takes what the process wrote. Returns 0 to go on, or SPAWN_STOP_*: LIMIT and CANCEL end
	 * the process, DONE gives it done_grace_ms to end by itself. Afterwards it is still called
	 * while output is drained; the first reason to stop counts, also when the process has ended
	 * since.
	 */
	int (*consume)(void *data, const char *bytes, size_t n);
	void *data;
	/* Where `relay` goes, -1 for nowhere. The consumer adds to *relay; the engine writes it
	 * out, never waiting for it and never changing its flags, and stops reading the process
	 * while more than 64 KiB wait. What waits when the process ends has until the deadline. A
	 * broken out_fd cancels, and what comes after it is dropped. */
	int out_fd;
	struct buf *relay;	/* required when out_fd >= 0 */
};

enum { SPAWN_STOP_LIMIT = 1, SPAWN_STOP_CANCEL = 2, SPAWN_STOP_DONE = 3 };

struct spawn_request {
	const char *const *argv;	/* argv[0]: a path, or a name searched in `path` */
	const char *const *env;		/* the whole environment, NAME=value */
	const char *path;		/* the PATH to search; NULL: this process's own */
	const char *cwd;		/* or NULL */
	const void *before_stdin;	/* goes in first */
	size_t before_stdin_size;
	const void *stdin_data;		/* then this */
	size_t stdin_size;
	int stdin_fd;			/* then what can be read from here; -1: nothing */
	bool keep_stdin;		/* stdin is a pipe, even with nothing of these */
	struct spawn_stream stream[2];
	int64_t deadline_us;		/* monotonic; CLOCK_NEVER for none */
	int64_t grace_ms;		/* between TERM and KILL */
	int64_t done_grace_ms;		/* after SPAWN_STOP_DONE */
	int cancel_fd;			/* readable: end the process; -1: none. Never read from. */
};

/* What tells what a process started from what was there before. */
struct spawn_since {
	pid_t pid;		/* what it started has later pids; 0: that is not sure */
	uint64_t ticks;		/* and start times from here on, as process_start_time() has them */
};

/* Why the engine stopped watching. */
enum spawn_end {
	SPAWN_EXITED = 1,	/* status: exit code */
	SPAWN_SIGNALED,		/* status: signal */
	SPAWN_TIMED_OUT,
	SPAWN_CANCELLED,
	SPAWN_OUTPUT_LIMIT,
	SPAWN_NOT_STARTED,	/* error_number, message */
	SPAWN_LOST,		/* somebody else reaped it, or the engine failed: message */
};

struct spawn_result {
	enum spawn_end end;
	int status;
	int error_number;
	char message[1024];
	bool killed;		/* the engine sent it a signal */
	bool truncated;		/* a stream was still open 500 ms after the end, and was cut off */
	bool group_gone;	/* no process of its group is left */
	pid_t pid;		/* of the process; 0 when none was started */
	struct spawn_since since; /* for leftover_kill() */
	int64_t started_us;	/* monotonic */
};

/*
 * [any] Runs it to its end; always fills *result. TERM goes to the process group at the deadline,
 * at a cancel and at a stop; KILL after the grace to what is left of it, and only then the process
 * is reaped. When it ends by itself what is left of its group is killed before it is reaped. A
 * stdin_fd that cannot be read ends it as SPAWN_LOST: half an input must not look like a whole one.
 * SIGPIPE cannot reach the caller.
 */
void spawn_run(const struct spawn_request *request, struct spawn_result *result);

/*
 * [any] Runs a command of the host's own (an end command, a plugin's host->run) with its output
 * kept up to `limit` bytes of each stream. The capture begins zeroed.
 */
struct spawn_capture {
	struct spawn_result result;
	struct buf out;
	struct buf err;
	uint64_t out_total;
	uint64_t err_total;
};

struct spawn_command {
	const char *const *argv;
	const char *const *env;		/* the whole environment */
	const char *cwd;
	const void *stdin_data;
	size_t stdin_size;
	int64_t timeout_ms;
	size_t limit;			/* further output is dropped */
	const struct hookbox_cancel *cancel; /* may be NULL */
};

void spawn_run_captured(const struct spawn_command *command, struct spawn_capture *capture);
void spawn_capture_free(struct spawn_capture *capture);

/* [any] Keeps SIGPIPE from this thread while it writes to what others may close. */
struct pipe_guard {
	sigset_t old;
	bool pending;	/* it was pending before */
};

void pipe_guard_set(struct pipe_guard *guard);
void pipe_guard_release(struct pipe_guard *guard);

/*
 * What a call leaves behind on the host: processes whose environment holds "HOOKBOX_CALL=" and the
 * mark. (leftover.c)
 */
#define SPAWN_MARK PROGRAM_MARK

/*
 * [any] Kills every process (but this one) whose environment has SPAWN_MARK=mark (or, with
 * `prefix`, a value that begins with it), until none is left. A mark is at most 1000 bytes. With
 * since.pid > 0 only processes that can have been created after that pid was are looked at, which
 * makes it cheap when there are none. Returns 0: none is left that can be seen; else negative errno
 * with a sentence (one that cannot be killed, one of this user that was made since and hides its
 * environment, a /proc that cannot be read).
 */
int leftover_kill(const char *mark, bool prefix, struct spawn_since since,
		  struct hookbox_error *error);
/* [any] What is started from now on, without a pid to begin at. */
struct spawn_since spawn_since_now(void);

/* Has the process group a member that is no zombie? True as well when /proc cannot be read. */
bool process_group_runs(pid_t group);

/* A process's start time in clock ticks since boot, 0 when there is no such process. */
#define PROCESS_START_UNKNOWN UINT64_MAX	/* there is no descriptor to look with */
uint64_t process_start_time(pid_t pid);

#endif
