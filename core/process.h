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
/* Closes every descriptor that is still open. */
void process_close(struct process *process);

#endif
