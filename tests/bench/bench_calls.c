/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

extern char **environ;

#define FOUR(text) text text text text
/* No NUL behind them. */
const char small_input[SMALL_SIZE] = FOUR(FOUR(FOUR(FOUR("work"))));

/* ---- One call ---- */

double time_floor(const char *const *argv)
{
	static const char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", NULL};
	struct floor_output *output = malloc(sizeof(*output));
	int64_t begun = floor_now_us();
	int code = output ? floor_call(argv, environment, small_input, SMALL_SIZE, output)
			  : -ENOMEM;
	double us = (double)(floor_now_us() - begun);

	if (code)
		fail(argv[0], strerror(-code));
	if (output->status || output->size < SMALL_SIZE)
		fail(argv[0], "it does not answer as the hook should");
	free(output);
	return us;
}

double time_exec(struct hookbox *box, const char *const *argv)
{
	const struct hookbox_call call = {
		.size = sizeof(call),
		.argv = argv,
		.stdin_data = small_input,
		.stdin_size = SMALL_SIZE,
	};
	struct hookbox_result *result;
	struct hookbox_error error;
	int64_t begun = floor_now_us();
	double us;

	if (hookbox_exec(box, "bench", &call, &result, &error))
		fail(argv[0], error.message);
	us = (double)(floor_now_us() - begun);
	if (result->end != HOOKBOX_EXITED || result->status || result->out_size < SMALL_SIZE)
		fail(argv[0], result->message ? result->message : result->err);
	hookbox_result_free(result);
	return us;
}

struct hookbox *open_box(const char *config)
{
	const char *const dirs[] = {options.plugin_dir, NULL};
	const struct hookbox_options asked = {
		.size = sizeof(asked),
		.config_text = config,
		.plugin_dirs = dirs,
	};
	struct hookbox_error error;
	struct hookbox *box = hookbox_open(&asked, &error);

	if (!box)
		fail("hookbox_open", error.message);
	return box;
}

/* ---- Samples of many ---- */

void samples_add(struct samples *samples, double value)
{
	if (samples->n == samples->room) {
		samples->room = samples->room ? 2 * samples->room : 64;
		samples->values = reallocarray(samples->values, samples->room, sizeof(double));
		if (!samples->values)
			fail("samples", strerror(ENOMEM));
	}
	samples->values[samples->n++] = value;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double samples_quantile(struct samples *samples, double quantile)
{
	size_t i = (size_t)(quantile * (double)samples->n);

	if (!samples->n)
		return 0;
	qsort(samples->values, samples->n, sizeof(double), compare);
	return samples->values[i < samples->n ? i : samples->n - 1];
}

void samples_free(struct samples *samples)
{
	free(samples->values);
	*samples = (struct samples){0};
}

/* ---- A process of the benchmark's own ---- */

static char **child_argv(const char *be)
{
	const struct {
		const char *name, *value;
	} handed_on[] = {
		{"--hook", options.hook},	    {"--plugin-dir", options.plugin_dir},
		{"--docker", options.docker},	    {"--container", options.container},
		{"--kubectl", options.kubectl},	    {"--kubeconfig", options.kubeconfig},
		{"--pod", options.pod},		    {"--vm-port", options.vm_port},
		{"--vm-key", options.vm_key},	    {"--vm-host-key", options.vm_host_key},
		{"--image", options.image},	    {"--be", be},
	};
	char **argv = calloc(2 * N_ELEMENTS(handed_on) + 2, sizeof(*argv));
	size_t n = 0;

	if (!argv)
		fail("a child", strerror(ENOMEM));
	argv[n++] = (char *)"/proc/self/exe";
	for (size_t i = 0; i < N_ELEMENTS(handed_on); i++) {
		if (!handed_on[i].value)
			continue;
		argv[n++] = (char *)handed_on[i].name;
		argv[n++] = (char *)handed_on[i].value;
	}
	return argv;
}

size_t child_figures(const char *be, struct figure *figures, size_t most)
{
	static struct floor_output output;
	char **argv = child_argv(be);
	char *line, *rest = output.bytes;
	size_t n = 0;

	if (floor_call((const char *const *)argv, (const char *const *)environ, "", 0, &output) ||
	    output.status)
		fail(be, "the child process failed; see bench --be");
	free(argv);
	output.bytes[output.size < sizeof(output.bytes) ? output.size
							 : sizeof(output.bytes) - 1] = '\0';
	while (n < most && (line = strsep(&rest, "\n")))
		if (sscanf(line, "%31s %lf", figures[n].name, &figures[n].value) == 2)
			n++;
	return n;
}

double figure_find(const struct figure *figures, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(figures[i].name, name))
			return figures[i].value;
	return -1;
}
