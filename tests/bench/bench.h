/* SPDX-License-Identifier: MIT */
/* What the parts of the benchmark share. bench.c: one call at a time. bench_load.c: many, and large.
 * bench_pool.c: boxes that wait. bench_far.c: backends that are far away. */
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
	bool bwrap;		/* bubblewrap makes sandboxes here */
	const char *kubectl;	/* path of the CLI; NULL: no cluster */
	const char *kubeconfig;	/* "--kubeconfig=PATH" */
	const char *pod;	/* has /hook, and is a container of this machine */
	int vm_port;		/* 0: no VM */
	const char *vm_key;
	const char *vm_host_key;
	double vm_floor;	/* F in the VM, which has /tmp/hook */
} options;

extern const char *const environment[];
extern char input[1024];	/* of the hook */

void fail(const char *what, const char *why) __attribute__((noreturn));
/* One result: a time, what it is compared to, and the ratio that is aimed at (0: none). */
void print_result(const char *name, double us, const char *base, double base_us, double bar);
void print_skip(const char *name, const char *why);
struct hookbox *open_box(const char *config);

struct samples {
	double *base;
	double *ours;
	size_t n;
};

/* At least three of each. */
struct samples samples_new(int n);
void samples_free(struct samples *samples);

/* One call, in microseconds, which must answer as the hook does. */
double time_floor(const char *const *argv);
double time_exec(struct hookbox *box, const char *sandbox, const char *const *argv);

/* With a channel to the container, which the first call has opened. */
struct hookbox *open_channel(void);

/* Calls that find a full pool, and how fast one fills. (bench_pool.c) */
void measure_docker_pools(void);
void measure_bwrap_pools(void);

/* Calls through one channel, 1 to 256 at once, against as many processes of this machine. */
void measure_load(void);
/* Through a channel to a pod, and to a VM, against an open stream to the same place. (bench_far.c) */
void measure_kubectl(void);
void measure_vm(void);

/* 64 MB in and out through a channel, against the CLI by hand. */
void measure_stream(void);

#endif
