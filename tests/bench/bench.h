/* SPDX-License-Identifier: MIT */
/* What the parts of the benchmark share. bench.c: one call at a time. bench_load.c: many, and large. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>

#include "floor.h"
#include "hookbox.h"

extern struct bench_options {
	int runs;
	bool json;
	bool endless;		/* be the child whose memory is measured */
	const char *hook;	/* the static hook on this machine */
	const char *plugin_dir;
	const char *docker;	/* path of the CLI; NULL: no engine */
	const char *no_engine;	/* why not */
	const char *image;	/* has /hook */
	const char *container;	/* has /hook */
} options;

extern const char *const environment[];
extern char input[1024];	/* of the hook */

void fail(const char *what, const char *why) __attribute__((noreturn));
/* One result: a time, what it is compared to, and the ratio that is aimed at (0: none). */
void print_result(const char *name, double us, const char *base, double base_us, double bar);
struct hookbox *open_box(const char *config);

/* Calls through one channel, 1 to 256 at once, against as many processes of this machine. */
void measure_load(void);
/* 64 MB in and out through a channel, against the CLI by hand. */
void measure_stream(void);

#endif
