/* SPDX-License-Identifier: MIT */
/* A plan: what a backend says to start, collected from its sink. */
#ifndef CORE_PLAN_H
#define CORE_PLAN_H

#include "buf.h"
#include "error.h"
#include "hookbox/sandbox_plugin.h"
#include "process.h"

struct plan {
	struct strv argv;
	struct strv env;	/* the whole environment of the process to start */
	char *dir;		/* or NULL */
	struct buf before_stdin;
	bool failed;
};

/* Asks plugin->plan. An error is prefixed with the backend's name. */
int plan_make(const struct sandbox_plugin_v1 *plugin, const void *instance,
	      const struct sandbox_plan_request *request, struct plan *plan,
	      struct hookbox_error *error);
/* Asks plugin->plan_end, which must not be NULL. */
int plan_make_end(const struct sandbox_plugin_v1 *plugin, const void *instance,
		  const struct sandbox_end_request *request, struct plan *plan,
		  struct hookbox_error *error);
/* [any] Starts what it says, with a stdin that we hold; as process_start(). */
int plan_start(const struct plan *plan, struct process *process, struct spawn_result *result);
void plan_free(struct plan *plan);

#define _cleanup_plan_ __attribute__((cleanup(plan_free)))

#endif
