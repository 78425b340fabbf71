/* SPDX-License-Identifier: MIT */
/* Prints F: floor [--runs N] [--pause US] COMMAND [ARG...] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "floor.h"

extern char **environ;

int main(int argc, char **argv)
{
	static struct floor_output output;
	static char input[1024];
	int runs = 1000, pause_us = 0, first = 1;
	double *samples;

	for (; first + 2 < argc && argv[first][0] == '-'; first += 2)
		if (!strcmp(argv[first], "--runs"))
			runs = atoi(argv[first + 1]);
		else if (!strcmp(argv[first], "--pause"))
			pause_us = atoi(argv[first + 1]);
		else
			break;
	if (runs < 1 || first >= argc || argv[first][0] == '-') {
		fprintf(stderr, "usage: floor [--runs N] [--pause US] COMMAND [ARG...]\n");
		return 2;
	}
	samples = calloc((size_t)runs, sizeof(*samples));
	memset(input, 'x', sizeof(input));
	for (int i = 0; samples && i < runs; i++) {
		int64_t begun;
		int code;

		usleep((useconds_t)pause_us);
		begun = floor_now_us();
		code = floor_call((const char *const *)argv + first,
				  (const char *const *)environ, input, sizeof(input), &output);

		samples[i] = (double)(floor_now_us() - begun);
		if (code || output.status) {
			fprintf(stderr, "floor: \"%s\" fails: %s\n", argv[first],
				code ? strerror(-code) : "it does not exit with 0");
			return 1;
		}
	}
	printf("%.1f us, the median of %d\n", samples ? floor_median(samples, (size_t)runs) : 0,
	       runs);
	free(samples);
	return 0;
}
