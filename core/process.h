/* SPDX-License-Identifier: MIT */
/* Starting one process with pipes to its three standard streams. */
#ifndef CORE_PROCESS_H
#define CORE_PROCESS_H

#include "spawn.h"

struct process {
	pid_t pid;		/* leads a process group of its own */
	int pidfd;
	int in;			/* our ends, non-blocking; -1 when closed */
	int out[2];
};

/*
 * Starts what the request says. 0, or negative with result->end, error_number and message set:
 * what is missing (directory, command) is told apart.
 */
int process_start(const struct spawn_request *request, struct process *process,
		  struct spawn_result *result);
/* Waits until the group of a process that was reaped has no member; false: it still has after 2
 * s. */
bool process_group_ends(pid_t group);

/* How a process ended. */
struct process_fate {
	bool started;			/* there was one */
	bool exited;			/* with `status` */
	int status;
	bool killed;			/* we sent it a signal */
	bool group_gone;		/* no process of its group is left */
};

/* [any, blocking] Waits until it has ended, and leaves it to be reaped. False: not in that time. */
bool process_wait(const struct process *process, int timeout_ms);
/*
 * [any, blocking] Closes its stdin and gives it so long to end by itself; then ends it with its
 * group, and reaps it. Says how in *fate, which may be NULL, and closes every descriptor.
 */
void process_end(struct process *process, int patience_ms, struct process_fate *fate);
/* Closes every descriptor that is still open. */
void process_close(struct process *process);

#endif
