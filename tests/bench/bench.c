/* SPDX-License-Identifier: MIT */
/*
 * Measures hookbox against the floor, in one run in which all take turns, and says which bars are
 * met. It judges nothing by its exit code: a bar that is missed on a noisy machine is for people to
 * look at.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench.h"

struct bench_options options = {
	.runs = 1000,
	.hook = "tests/bench/hook",
	.plugin_dir = "plugins/.libs",
	.no_engine = "no image and container were given",
};

static const struct {
	const char *name, *title;
	void (*measure)(void);
} subjects[] = {
	{"latency", "One call at a time, 1 KB in and 1 KB out", measure_ways},
	{"pool", "How fast pools fill", measure_pools},
	{"load", "Calls a second", measure_load},
	{"stream", "Large input and output, and a small call beside it", measure_streams},
	{"memory", "Memory", measure_memory},
	{"crowd", "A thousand calls in flight", measure_crowd},
};

static const struct {
	const char *name;
	void (*be)(void);
} children[] = {
	{"endless", be_endless},
	{"idle", be_idle},
	{"streaming", be_streaming},
	{"crowd", be_crowd},
};

void fail(const char *what, const char *why)
{
	fprintf(stderr, "bench: %s: %s\n", what, why);
	exit(1);
}

int bench_rounds(void)
{
	return options.runs < 50 ? 1 : 5;
}

size_t bench_share(int share, size_t least)
{
	size_t n = (size_t)(options.runs / share);

	return n > least ? n : least;
}

/* ---- Options ---- */

static const struct {
	const char *name;
	const char **text;
} text_options[] = {
	{"only", &options.only},
	{"json", &options.json},
	{"be", &options.be},
	{"hook", &options.hook},
	{"plugin-dir", &options.plugin_dir},
	{"bwrap", &options.bwrap},
	{"docker", &options.docker},
	{"no-engine", &options.no_engine},
	{"image", &options.image},
	{"container", &options.container},
	{"kubectl", &options.kubectl},
	{"kubeconfig", &options.kubeconfig},
	{"pod", &options.pod},
	{"ssh-port", &options.ssh_port},
	{"ssh-user", &options.ssh_user},
	{"ssh-key", &options.ssh_key},
	{"ssh-host-key", &options.ssh_host_key},
	{"vm-port", &options.vm_port},
	{"vm-key", &options.vm_key},
	{"vm-host-key", &options.vm_host_key},
};

enum { OPTION_RUNS = N_ELEMENTS(text_options) };

static void parse_options(int argc, char **argv)
{
	struct option known[OPTION_RUNS + 2] = {
		[OPTION_RUNS] = {"runs", required_argument, NULL, OPTION_RUNS},
	};
	int option;

	for (int i = 0; i < OPTION_RUNS; i++)
		known[i] = (struct option){text_options[i].name, required_argument, NULL, i};
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == '?')
			exit(2);
		if (option == OPTION_RUNS)
			options.runs = atoi(optarg);
		else
			*text_options[option].text = optarg;
	}
	if (options.runs < 1 || optind < argc)
		fail("usage", "bench [--runs N] [--only SUBJECT,...] [--json FILE] and what run.sh "
			      "adds");
}

/* Is it one of the words, or are there none? */
static bool is_wanted(const char *name)
{
	size_t length = strlen(name);

	for (const char *word = options.only; word && *word;) {
		size_t n = strcspn(word, ",");

		if (n == length && !strncmp(word, name, n))
			return true;
		word += n + (word[n] == ',');
	}
	return !options.only;
}

static void check_only(void)
{
	size_t n = 0;

	for (size_t i = 0; i < N_ELEMENTS(subjects); i++)
		n += is_wanted(subjects[i].name);
	if (!n)
		fail(options.only, "the subjects are latency, pool, load, stream, memory, crowd");
}

/* A thousand calls take a few descriptors each. */
static void raise_limits(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* ---- The whole ---- */

static int be_child(void)
{
	for (size_t i = 0; i < N_ELEMENTS(children); i++)
		if (!strcmp(children[i].name, options.be)) {
			children[i].be();
			return 0;
		}
	fail(options.be, "there is no such child");
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	options.hook = realpath(options.hook, NULL);
	if (!options.hook)
		fail("the hook", strerror(errno));
	options.plugin_dir = realpath(options.plugin_dir, NULL);
	if (!options.plugin_dir)
		fail("the plugin directory", strerror(errno));
	raise_limits();
	if (options.be)
		return be_child();
	check_only();
	report_begin();
	for (size_t i = 0; i < N_ELEMENTS(subjects); i++)
		if (is_wanted(subjects[i].name)) {
			report_subject(subjects[i].name, subjects[i].title);
			subjects[i].measure();
		}
	report_end();
	free((char *)options.hook);
	free((char *)options.plugin_dir);
	return 0;
}
