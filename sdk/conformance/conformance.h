/* SPDX-License-Identifier: MIT */
/*
 * The conformance kit: what every sandbox must do, whatever its backend, checked from outside
 * through the public API.
 */
#ifndef HOOKBOX_CONFORMANCE_H
#define HOOKBOX_CONFORMANCE_H

#include <stdbool.h>
#include <stdio.h>

#include "hookbox.h"

struct conformance_options {
	size_t size;			/* sizeof(struct conformance_options) */
	bool tap;			/* TAP version 13 instead of plain lines */
	bool full;			/* everything: all 256 exit codes, more of each */
	FILE *out;
	const char *plugin_file;	/* to check as well, or NULL */
	/* The way that calls must go, one of call_way_names (sandbox.h); NULL: any. */
	const char *way;
};

/*
 * Runs every check on the sandbox of that name and prints one line for each. Returns how many
 * failed, or a negative errno value when nothing could be checked.
 */
int conformance_run(struct hookbox *box, const char *sandbox,
		    const struct conformance_options *options);

#endif
