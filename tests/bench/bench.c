/* SPDX-License-Identifier: MIT */
/*
 * Measures hookbox against the floor, interleaved in one run, and prints medians and their ratios.
 * It judges nothing: a ratio above its bar on a noisy machine is for people to look at.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define MIB (1024 * 1024)

const char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", NULL};

struct bench_options options = {
	.runs = 1000,
	.hook = "tests/bench/hook",
	.plugin_dir = "plugins/.libs",
	.no_engine = "no image and container were given",
};

void fail(const char *what, const char *why)
{
	fprintf(stderr, "bench: %s: %s\n", what, why);
	exit(1);
}

/* ---- Printing ---- */

static int n_printed;

static void print_us(double us)
{
	if (us < 10000)
		printf("%8.1f us", us);
	else
		printf("%8.1f ms", us / 1000);
}

/* One result: a time, what it is compared to, and the ratio that is aimed at (0: none). */
void print_result(const char *name, double us, const char *base, double base_us, double bar)
{
	if (options.json) {
		printf("%s\n  \"%s\": {\"us\": %.1f", n_printed++ ? "," : "{", name, us);
		if (bar)
			printf(", \"base\": \"%s\", \"base_us\": %.1f, \"ratio\": %.3f, \"bar\": "
			       "%.2f",
			       base, base_us, us / base_us, bar);
		printf("}");
		return;
	}
	printf("%-22s", name);
	print_us(us);
	if (bar) {
		printf("   %6.3f x %s (", us / base_us, base);
		print_us(base_us);
		printf("), bar %.2f", bar);
	}
	printf("\n");
	fflush(stdout);
}

void print_skip(const char *name, const char *why)
{
	if (options.json)
		printf("%s\n  \"%s\": {\"skipped\": \"%s\"}", n_printed++ ? "," : "{", name, why);
	else
		printf("%-14s SKIPPED: %s\n", name, why);
}

static void print_memory(long peak_kb, long growth_kb, long limit_kb)
{
	if (options.json)
		printf("%s\n  \"memory\": {\"peak_kb\": %ld, \"growth_kb\": %ld, \"bar_kb\": %ld}",
		       n_printed++ ? "," : "{", peak_kb, growth_kb, limit_kb + 2048);
	else
		printf("%-14s %7.2f MiB more than before the call, bar %.2f (whole process %.2f "
		       "MiB)\n",
		       "peak memory", (double)growth_kb / 1024, (double)(limit_kb + 2048) / 1024,
		       (double)peak_kb / 1024);
}

/* ---- One call, either way ---- */

char input[1024];

double time_floor(const char *const *argv)
{
	static struct floor_output output;
	int64_t begun = floor_now_us();
	int code = floor_call(argv, environment, input, sizeof(input), &output);
	double us = (double)(floor_now_us() - begun);

	if (code)
		fail(argv[0], strerror(-code));
	if (output.status || output.size < 1024)
		fail(argv[0], "it does not answer as the hook should");
	return us;
}

double time_exec(struct hookbox *box, const char *sandbox, const char *const *argv)
{
	const struct hookbox_call call = {
		.size = sizeof(call),
		.argv = argv,
		.stdin_data = input,
		.stdin_size = sizeof(input),
	};
	struct hookbox_result *result;
	struct hookbox_error error;
	int64_t begun = floor_now_us();
	double us;

	if (hookbox_exec(box, sandbox, &call, &result, &error))
		fail(sandbox, error.message);
	us = (double)(floor_now_us() - begun);
	if (result->end != HOOKBOX_EXITED || result->status || result->out_size < 1024)
		fail(sandbox, result->message ? result->message : result->err);
	hookbox_result_free(result);
	return us;
}

struct hookbox *open_box(const char *config)
{
	const char *const dirs[] = {options.plugin_dir, NULL};
	struct hookbox_options asked = {
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

struct samples samples_new(int n)
{
	struct samples samples = {.n = n < 3 ? 3 : (size_t)n};

	samples.base = calloc(samples.n, sizeof(double));
	samples.ours = calloc(samples.n, sizeof(double));
	if (!samples.base || !samples.ours)
		fail("samples", strerror(ENOMEM));
	return samples;
}

void samples_free(struct samples *samples)
{
	free(samples->base);
	free(samples->ours);
}

/* Takes turns, and which of the two begins takes turns as well. */
static void interleave(struct samples *samples, const char *const *base_argv, struct hookbox *box,
		       const char *sandbox, const char *const *argv)
{
	time_floor(base_argv);
	time_exec(box, sandbox, argv);
	for (size_t i = 0; i < samples->n; i++) {
		if (i % 2)
			samples->base[i] = time_floor(base_argv);
		samples->ours[i] = time_exec(box, sandbox, argv);
		if (i % 2 == 0)
			samples->base[i] = time_floor(base_argv);
	}
}

/* ---- What is measured ---- */

/* Gives F, in microseconds. */
static double measure_direct(void)
{
	const char *const argv[] = {options.hook, NULL};
	struct samples samples = samples_new(options.runs);
	struct hookbox *box = open_box("[sandbox bench]\nmode = direct\n");
	double f;

	interleave(&samples, argv, box, "bench", argv);
	hookbox_close(box);
	f = floor_median(samples.base, samples.n);
	print_result("floor", f, NULL, 0, 0);
	print_result("direct", floor_median(samples.ours, samples.n), "F", f, 1.15);
	samples_free(&samples);
	return f;
}

/* 100 hooks in 20 sandboxes, half of them direct. */
static char *large_config(void)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	if (!file)
		fail("config", strerror(errno));
	for (int i = 0; i < 20; i++)
		fprintf(file,
			i % 2 ? "[sandbox box_%d]\nmode = docker_run\nimage = image_%d\nmemory = "
				"256m\n"
			      : "[sandbox box_%d]\nmode = direct\nenv = NUMBER=%d\n",
			i, i);
	for (int i = 0; i < 100; i++)
		fprintf(file,
			"[hook hook_%d]\nhook = provider\nphases = before_call\nmode = filter\n"
			"command = /hooks/hook_%d\nargs = --number\n    %d\ntimeout_ms = 3000\n"
			"sandbox = box_%d\n",
			i, i, i, i % 20);
	fclose(file);
	return text;
}

static void measure_open(double f)
{
	struct samples samples = samples_new(options.runs / 5);
	char *config = large_config();

	hookbox_close(open_box(config));
	for (size_t i = 0; i < samples.n; i++) {
		int64_t begun = floor_now_us();
		struct hookbox *box = open_box(config);

		samples.ours[i] = (double)(floor_now_us() - begun);
		hookbox_close(box);
	}
	free(config);
	print_result("open", floor_median(samples.ours, samples.n), "F", f, 20);
	samples_free(&samples);
}

static void measure_docker(const char *mode, const char *key, const char *value,
			   const char *const *base_argv, int runs)
{
	static const char *const argv[] = {"/hook", NULL};
	struct samples samples = samples_new(runs);
	char config[512], base[64];
	struct hookbox *box;
	double base_us;

	snprintf(config, sizeof(config), "[sandbox bench]\nmode = %s\n%s = %s\ndocker_path = %s\nagent = off\n",
		 mode, key, value, options.docker);
	box = open_box(config);
	interleave(&samples, base_argv, box, "bench", argv);
	hookbox_close(box);
	base_us = floor_median(samples.base, samples.n);
	snprintf(base, sizeof(base), "%s by hand", mode);
	print_result(mode, floor_median(samples.ours, samples.n), base, base_us, 1.05);
	samples_free(&samples);
}

/* Against the floor on this machine: a kept box is entered once, by the first call. */
static void measure_channel(void)
{
	static const char *const argv[] = {"/hook", NULL};
	const char *const base_argv[] = {options.hook, NULL};
	struct samples samples = samples_new(options.runs);
	struct hookbox *box = open_channel();

	interleave(&samples, base_argv, box, "bench", argv);
	hookbox_close(box);
	print_result("docker_exec, channel", floor_median(samples.ours, samples.n), "F",
		     floor_median(samples.base, samples.n), 2.5);
	samples_free(&samples);
}

/* The same container options as hookbox's defaults: what is compared is hookbox, not Docker. */
static void measure_engine(void)
{
	const char *const exec_argv[] = {
		options.docker, "exec", "--interactive", "--", options.container, "/hook", NULL};
	const char *const run_argv[] = {
		options.docker,
		"run",
		"--rm",
		"--interactive",
		"--log-driver=none",
		"--pull=never",
		"--init",
		"--network=none",
		"--cap-drop=ALL",
		"--security-opt=no-new-privileges",
		"--memory=536870912",
		"--memory-swap=536870912",
		"--pids-limit=256",
		"--read-only",
		"--tmpfs=/tmp",
		"--entrypoint=",
		"--",
		options.image,
		"/hook",
		NULL,
	};

	if (!options.docker || !options.image || !options.container) {
		print_skip("docker_exec", options.no_engine);
		print_skip("docker_run", options.no_engine);
		return;
	}
	measure_docker("docker_exec", "container", options.container, exec_argv, options.runs / 15);
	measure_channel();
	measure_docker("docker_run", "image", options.image, run_argv, options.runs / 30);
	measure_docker_pools();
	measure_load();
	measure_stream();
}

/* ---- Memory, in a process of its own ---- */

static long status_kb(const char *name)
{
	char line[256];
	long kb = 0;
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			kb = atol(line + strlen(name));
	if (file)
		fclose(file);
	return kb;
}

/* Output without end, kept up to the limit of 8 MiB and dropped beyond it until the time is up. */
static int be_endless(void)
{
	const char *const argv[] = {options.hook, "--endless", NULL};
	const struct hookbox_call call = {
		.size = sizeof(call),
		.argv = argv,
		.timeout_ms = 500,
		.flags = HOOKBOX_DROP_OUTPUT,
	};
	struct hookbox *box = open_box("[sandbox bench]\nmode = direct\n");
	struct hookbox_result *result;
	struct hookbox_error error;
	long before;

	time_exec(box, "bench", (const char *const[]){options.hook, NULL});
	before = status_kb("VmRSS:");
	if (hookbox_exec(box, "bench", &call, &result, &error))
		fail("endless", error.message);
	if (result->end != HOOKBOX_TIMED_OUT || result->out_size != 8 * MIB ||
	    result->out_total < 32ull * MIB)
		fail("endless", "the output was not without end");
	printf("%ld %ld\n", status_kb("VmHWM:"), status_kb("VmHWM:") - before);
	hookbox_result_free(result);
	hookbox_close(box);
	return 0;
}

static void measure_memory(void)
{
	const char *const argv[] = {"/proc/self/exe", "--endless",	  "--hook", options.hook,
				    "--plugin-dir",   options.plugin_dir, NULL};
	static struct floor_output output;
	long peak, growth;

	if (floor_call(argv, (const char *const *)environ, "", 0, &output) || output.status)
		fail("memory", "the child process failed; see bench --endless");
	output.bytes[output.size < sizeof(output.bytes) ? output.size : sizeof(output.bytes) - 1] =
		'\0';
	if (sscanf(output.bytes, "%ld %ld", &peak, &growth) != 2)
		fail("memory", "the child process says nothing");
	print_memory(peak, growth, 8 * 1024);
}

/* ---- The whole ---- */

/* Those that are a text. */
static const struct {
	const char *name;
	const char **text;
} text_options[] = {
	{"hook", &options.hook},
	{"plugin-dir", &options.plugin_dir},
	{"docker", &options.docker},
	{"image", &options.image},
	{"container", &options.container},
	{"no-engine", &options.no_engine},
	{"kubectl", &options.kubectl},
	{"kubeconfig", &options.kubeconfig},
	{"pod", &options.pod},
	{"vm-key", &options.vm_key},
	{"vm-host-key", &options.vm_host_key},
};
#define N_TEXTS (sizeof(text_options) / sizeof(text_options[0]))

enum { OPTION_RUNS = N_TEXTS, OPTION_JSON, OPTION_VM_PORT, OPTION_VM_FLOOR, OPTION_BWRAP,
	OPTION_ENDLESS };

static void take_option(int option)
{
	switch (option) {
	case OPTION_RUNS:
		options.runs = atoi(optarg);
		break;
	case OPTION_JSON:
		options.json = true;
		break;
	case OPTION_VM_PORT:
		options.vm_port = atoi(optarg);
		break;
	case OPTION_VM_FLOOR:
		options.vm_floor = atof(optarg);
		break;
	case OPTION_BWRAP:
		options.bwrap = true;
		break;
	case OPTION_ENDLESS:
		options.endless = true;
		break;
	case '?':
		exit(2);
	default:
		*text_options[option].text = optarg;
	}
}

static void parse_options(int argc, char **argv)
{
	struct option known[N_TEXTS + 7] = {
		[OPTION_RUNS] = {"runs", required_argument, NULL, OPTION_RUNS},
		[OPTION_JSON] = {"json", no_argument, NULL, OPTION_JSON},
		[OPTION_VM_PORT] = {"vm-port", required_argument, NULL, OPTION_VM_PORT},
		[OPTION_VM_FLOOR] = {"vm-floor", required_argument, NULL, OPTION_VM_FLOOR},
		[OPTION_BWRAP] = {"bwrap", no_argument, NULL, OPTION_BWRAP},
		[OPTION_ENDLESS] = {"endless", no_argument, NULL, OPTION_ENDLESS},
	};
	int option;

	for (size_t i = 0; i < N_TEXTS; i++)
		known[i] = (struct option){text_options[i].name, required_argument, NULL, (int)i};
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		take_option(option);
	if (options.runs < 1 || optind < argc)
		fail("usage", "bench [--runs N] [--json] [--hook FILE] [--plugin-dir DIR] "
			      "[--docker CLI --image IMAGE --container NAME | --no-engine WHY]");
}

int main(int argc, char **argv)
{
	double f;

	parse_options(argc, argv);
	options.hook = realpath(options.hook, NULL);
	if (!options.hook)
		fail("the hook", strerror(errno));
	memset(input, 'x', sizeof(input));
	options.plugin_dir = realpath(options.plugin_dir, NULL);
	if (!options.plugin_dir)
		fail("the plugin directory", strerror(errno));
	if (options.endless)
		return be_endless();
	f = measure_direct();
	measure_open(f);
	measure_memory();
	measure_engine();
	if (options.bwrap)
		measure_bwrap_pools();
	else
		print_skip("bwrap_run, pool", "no bubblewrap");
	if (options.kubectl && options.kubeconfig && options.pod)
		measure_kubectl();
	else
		print_skip("kubectl_exec", "no kubectl, or no pod");
	if (options.vm_port && options.vm_key && options.vm_host_key && options.vm_floor > 0)
		measure_vm();
	else
		print_skip("smolbsd_ssh", "no VM");
	if (options.json)
		printf("\n}\n");
	free((char *)options.hook);
	free((char *)options.plugin_dir);
	return 0;
}
