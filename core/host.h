/* SPDX-License-Identifier: MIT */
/* The host behind the public API: what the CLI may look into. */
#ifndef CORE_HOST_H
#define CORE_HOST_H

#include "config.h"
#include "hookbox.h"
#include "sandbox.h"

/* All lent until hookbox_close(). */
const struct config *host_config(const struct hookbox *box);
/* The sandbox of that name ("direct" always), or NULL. */
struct sandbox *host_sandbox(struct hookbox *box, const char *name);

/*
 * ---- What emit.c and host.c share ----
 */

/* The sandbox that a hook of host_config() runs in. */
struct sandbox *host_hook_sandbox(struct hookbox *box, const struct config_hook *hook);

/*
 * Reads a struct that the caller made, whose first field is its size, into a zeroed one of ours: an
 * older caller's lacks the last fields; what a newer caller has behind ours means nothing here.
 */
int host_read_struct(void *own, size_t own_size, const void *theirs, const char *what,
		     struct hookbox_error *error);

#endif
