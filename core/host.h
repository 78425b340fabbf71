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
struct plugin_registry *host_registry(struct hookbox *box);

#endif
