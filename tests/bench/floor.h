/* SPDX-License-Identifier: MIT */
/* F: what one process with pipes costs on this machine, with nothing around it. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <stddef.h>
#include <stdint.h>

struct floor_output {
	char bytes[65536]; /* of stdout; more is read and dropped */
	size_t size;
	int status; /* as of waitid(): the exit code, or minus the signal */
};

/* Runs argv[0], a path, with these bytes as its stdin. 0, or a negative errno value. */
int floor_call(const char *const *argv, const char *const *env, const void *input,
	       size_t input_size, struct floor_output *output);

int64_t floor_now_us(void);

/* Sorts the samples and returns the one in the middle. */
double floor_median(double *samples, size_t n);

#endif
