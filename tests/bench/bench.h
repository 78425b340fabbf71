/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the benchmark share. Each file has one subject, and a table of what it
 * measures: a new line of the benchmark is a new line of such a table.
 *
 *	bench.c		options, and the list of subjects
 *	bench_calls.c	one call, samples of many, a process of the benchmark's own
 *	bench_report.c	the results: as a table, and as JSON
 *	bench_backends.c the backends: how each is configured, and entered by hand
 *	bench_ways.c	one call at a time, by every way into every backend
 *	bench_pool.c	pools: how a call finds them, how fast they fill
 *	bench_load.c	calls a second, 1 to 256 in flight
 *	bench_stream.c	large input and output, and a small call beside it
 *	bench_memory.c	what host, CLI and agent take
 *	bench_crowd.c	a thousand calls in flight
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdio.h>

#include "floor.h"
#include "hookbox.h"

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))
#define SMALL_SIZE 1024		/* bytes that go into the hook, and at least so many come out */

/* ---- Options (bench.c) ---- */

extern struct bench_options {
	int runs;		/* samples of what is fast; what is slow has fewer */
	const char *only;	/* subjects, with commas in between; NULL: all */
	const char *json;	/* file to write; NULL: none */
	const char *be;		/* the part of a child that this process is; NULL: none */
	const char *hook;	/* the static hook on this machine */
	const char *plugin_dir;
	const char *bwrap;	/* path of the program; NULL: it makes no sandboxes here */
	const char *docker;	/* path of the CLI; NULL: no engine */
	const char *no_engine;	/* why not */
	const char *image;	/* has /hook */
	const char *container;	/* its id; has /hook */
	const char *kubectl;	/* path of the CLI; NULL: no cluster */
	const char *kubeconfig;
	const char *pod;	/* has /hook */
	const char *ssh_port;	/* of an ssh server here; NULL: none */
	const char *ssh_user;
	const char *ssh_key;
	const char *ssh_host_key;
	const char *vm_port;	/* NULL: no VM */
	const char *vm_key;
	const char *vm_host_key;	/* has /tmp/hook and /tmp/floor */
} options;

/* How many turns a subject takes with what it is compared to: one, when few runs are wanted. */
int bench_rounds(void);
/* `runs`, or a part of them, but at least `least`. */
size_t bench_share(int share, size_t least);

void fail(const char *what, const char *why) __attribute__((noreturn));

/* ---- Calls (bench_calls.c) ---- */

extern const char small_input[SMALL_SIZE];

/* One call, in microseconds, which must answer as the hook does. The sandbox is named "bench". */
double time_floor(const char *const *argv);
double time_exec(struct hookbox *box, const char *const *argv);
struct hookbox *open_box(const char *config);

struct samples {
	double *values;
	size_t n, room;
};

void samples_add(struct samples *samples, double value);
/* Sorts them. 0.5: the one in the middle. */
double samples_quantile(struct samples *samples, double quantile);
void samples_free(struct samples *samples);

/*
 * Starts this program anew as the child `be`, and reads the figures that it prints: lines of a name
 * and a number. Its memory is its own.
 */
struct figure {
	char name[32];
	double value;
};
size_t child_figures(const char *be, struct figure *figures, size_t most);
/* The one of that name, or -1. */
double figure_find(const struct figure *figures, size_t n, const char *name);

/* ---- Backends (bench_backends.c) ---- */

/* SSH_HERE is smolbsd_ssh to this machine: what ssh costs where no processor is emulated. */
enum backend { DIRECT, BWRAP_RUN, DOCKER_EXEC, DOCKER_RUN, KUBECTL_EXEC, SMOLBSD_SSH, SSH_HERE };

const char *backend_mode(enum backend backend);
/* NULL, or why it cannot be measured here. */
const char *backend_problem(enum backend backend);
/* The hook's path in its boxes. */
const char *backend_hook(enum backend backend);
/* A host with one sandbox, "bench", of that backend; `settings` are more lines of it. */
struct hookbox *backend_open(enum backend backend, const char *settings);
/* The program that measures the floor in its boxes, if that is not this machine's; else NULL. */
const char *backend_floor(enum backend backend);
/* The same command through the CLI by hand; lent until the next time. */
const char *const *backend_by_hand(enum backend backend, const char *const *argv);

/* ---- Results (bench_report.c) ---- */

/* One line. What is 0 or NULL is not there. */
struct row {
	const char *id;		/* of machines: the subject and what it is, with dots */
	const char *title;	/* of people */
	const char *unit;	/* us, calls/s, MB/s, KiB, boxes/s, calls */
	double value;		/* the median */
	double p90, p99;
	size_t n;		/* samples */
	const char *base;	/* what it is compared to */
	double base_value;
	double floor;		/* F, measured in turns with it */
	double bar;		/* of the ratio, or of the value when there is no base */
	bool at_least;		/* the bar is; else at most */
	const char *line;	/* which line of a plot it is on ... */
	double x;		/* ... and where */
};

void report_begin(void);
void report_subject(const char *name, const char *title);
void report_row(const struct row *row);
/* Something that cannot be measured here. */
void report_skip(const char *id, const char *why);
/* Says on a terminal what is going on. */
void report_progress(const char *what, int turn, int turns);
/* Writes the JSON if it is wanted. */
void report_end(void);

/* ---- Subjects ---- */

void measure_ways(void);
void measure_pools(void);
void measure_load(void);
void measure_streams(void);
void measure_memory(void);
void measure_crowd(void);

/* ---- What the ways ask of pools (bench_pool.c) ---- */

enum pool_use { NO_POOL, POOL_HIT, POOL_SOCKET, POOL_MISS };
/* Are all boxes of a pool reached over a socket, if that is what is measured? */
bool pool_fits(struct hookbox *box, enum pool_use use);
/* Sees to it that the next call finds a box, or none, and nothing else is going on meanwhile. */
void pool_prepare(struct hookbox *box, enum pool_use use);
/* Did it find what it was to find, since the last pool_prepare()? */
bool pool_was_used(struct hookbox *box, enum pool_use use);

/* ---- Children, which print figures ---- */

void be_endless(void);
void be_idle(void);
void be_streaming(void);
void be_crowd(void);

/* ---- Memory of others (bench_memory.c) ---- */

/* KiB of memory: now, the most there was, or now with what processes share counted once. */
enum memory { MEMORY_NOW, MEMORY_MOST, MEMORY_SHARE };
long memory_of_self(enum memory what);
/* Of the CLIs that this process has started. */
long memory_of_children(enum memory what);
/* Of the agent and its helpers in the container; -1: it cannot be seen. */
long memory_of_agent(enum memory what);

#endif
