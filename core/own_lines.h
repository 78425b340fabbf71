/* SPDX-License-Identifier: MIT */
/*
 * Lines that a CLI writes of its own into the stderr that the command's passes through: taken out
 * of the stream as the backend's find_own_line() says.
 */
#ifndef CORE_OWN_LINES_H
#define CORE_OWN_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "plugin.h"

struct own_lines {
	const struct sandbox_plugin_v1 *plugin;
	const void *instance;
	struct buf hold;	/* what may be such a line, but is not whole yet */
	/* Takes what is none; its nonzero return is handed on. */
	int (*emit)(void *data, const char *bytes, size_t n);
	void *data;
};

/* `pid` leads the CLI's process group. */
int own_lines_feed(struct own_lines *lines, const char *bytes, size_t n, int64_t pid);
/* No more will come: what was held goes on; classify() tells whose it is. */
int own_lines_finish(struct own_lines *lines);

#endif
