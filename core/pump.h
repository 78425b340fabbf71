/* SPDX-License-Identifier: MIT */
/* The one poll loop: feeds a process, reads it, watches its time, and ends it. */
#ifndef CORE_PUMP_H
#define CORE_PUMP_H

#include "process.h"

/* Runs a started process to its end and fills *result. Closes what the process has open. */
void pump_run(const struct spawn_request *request, struct process *process,
	      struct spawn_result *result);

#endif
