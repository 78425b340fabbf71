/* SPDX-License-Identifier: MIT */
/*
 * What host, CLI and agent take. Each figure comes from a process of its own, so that nothing else
 * was ever in its memory.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define STREAM_SIZE (64u << 20)
#define OUTPUT_LIMIT (8u << 20)		/* the default one */
#define FIGURES_MOST 16

/* ---- Looking into /proc ---- */

/* The number behind a name in a file of a process; -1: there is none. */
static long proc_number(const char *pid, const char *file, const char *name)
{
	char path[64], line[256];
	long number = -1;
	FILE *stream;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, file);
	stream = fopen(path, "re");
	while (stream && number < 0 && fgets(line, sizeof(line), stream))
		if (!strncmp(line, name, strlen(name)))
			number = atol(line + strlen(name));
	if (stream)
		fclose(stream);
	return number;
}

static bool proc_has(const char *pid, const char *file, const char *text)
{
	char path[64], line[1024];
	bool found = false;
	FILE *stream;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, file);
	stream = fopen(path, "re");
	while (stream && !found && fgets(line, sizeof(line), stream))
		found = strstr(line, text);
	if (stream)
		fclose(stream);
	return found;
}

static long memory_of(const char *pid, enum memory what)
{
	switch (what) {
	case MEMORY_NOW:
		return proc_number(pid, "status", "VmRSS:");
	case MEMORY_MOST:
		return proc_number(pid, "status", "VmHWM:");
	case MEMORY_SHARE:
		return proc_number(pid, "smaps_rollup", "Pss:");
	}
	return -1;
}

/* The sum of all processes that are `ours`. */
static long memory_of_all(bool (*ours)(const char *pid), enum memory what)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	long sum = -1;

	while (proc && (entry = readdir(proc))) {
		long kib;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !ours(entry->d_name))
			continue;
		kib = memory_of(entry->d_name, what);
		if (kib >= 0)
			sum = (sum < 0 ? 0 : sum) + kib;
	}
	if (proc)
		closedir(proc);
	return sum;
}

static bool is_child(const char *pid)
{
	return proc_number(pid, "status", "PPid:") == getpid();
}

/* The agent and its helpers bear its name; a container's processes bear its id. */
static bool is_agent(const char *pid)
{
	return proc_has(pid, "comm", "hookbox-agent") && proc_has(pid, "cgroup", options.container);
}

long memory_of_self(enum memory what)
{
	return memory_of("self", what);
}

long memory_of_children(enum memory what)
{
	return memory_of_all(is_child, what);
}

long memory_of_agent(enum memory what)
{
	return options.container ? memory_of_all(is_agent, what) : -1;
}

/* ---- Output without end, kept up to the limit and dropped beyond it until the time is up ---- */

void be_endless(void)
{
	const char *const once[] = {options.hook, NULL};
	const char *const argv[] = {options.hook, "--endless", NULL};
	const struct hookbox_call call = {
		.size = sizeof(call),
		.argv = argv,
		.timeout_ms = 500,
		.flags = HOOKBOX_DROP_OUTPUT,
	};
	struct hookbox *box = backend_open(DIRECT, NULL);
	struct hookbox_result *result;
	struct hookbox_error error;
	long before;

	time_exec(box, once);
	before = memory_of_self(MEMORY_NOW);
	if (hookbox_exec(box, "bench", &call, &result, &error))
		fail("endless", error.message);
	if (result->end != HOOKBOX_TIMED_OUT || result->out_size != OUTPUT_LIMIT ||
	    result->out_total < 4ull * OUTPUT_LIMIT)
		fail("endless", "the output was not without end");
	printf("host_growth %ld\n", memory_of_self(MEMORY_MOST) - before);
	hookbox_result_free(result);
	hookbox_close(box);
}

/* ---- A sandbox that waits for the next call ---- */

void be_idle(void)
{
	static const enum backend kept[] = {DOCKER_EXEC, KUBECTL_EXEC, SMOLBSD_SSH};

	printf("host %ld\n", memory_of_self(MEMORY_NOW));
	for (size_t i = 0; i < N_ELEMENTS(kept); i++) {
		const char *const argv[] = {backend_hook(kept[i]), NULL};
		struct hookbox *box;

		if (backend_problem(kept[i]))
			continue;
		box = backend_open(kept[i], NULL);
		time_exec(box, argv);
		printf("%s.cli %ld\n", backend_mode(kept[i]), memory_of_children(MEMORY_NOW));
		if (kept[i] == DOCKER_EXEC)
			printf("%s.agent %ld\n", backend_mode(kept[i]),
			       memory_of_agent(MEMORY_SHARE));
		hookbox_close(box);
	}
}

/* ---- 64 MB through a channel, which nobody keeps ---- */

static int count(void *data, int stream, const void *bytes, size_t n)
{
	size_t *total = data;

	if (stream == STDOUT_FILENO)
		*total += n;
	return 0;
}

/* A file full of holes takes no memory. */
static int large_file(void)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, STREAM_SIZE))
		fail("a large file", strerror(errno));
	return fd;
}

static void stream_once(struct hookbox *box)
{
	static const char *const argv[] = {"cat", NULL};
	size_t total = 0;
	const struct hookbox_call call = {
		.size = sizeof(call),
		.argv = argv,
		.use_stdin_fd = true,
		.stdin_fd = large_file(),
		.sink = count,
		.sink_data = &total,
	};
	struct hookbox_result *result;
	struct hookbox_error error;

	if (hookbox_exec(box, "bench", &call, &result, &error))
		fail("streaming", error.message);
	if (result->end != HOOKBOX_EXITED || result->status || total != STREAM_SIZE)
		fail("streaming", result->message ? result->message : "it did not come back whole");
	hookbox_result_free(result);
	close(call.stdin_fd);
}

void be_streaming(void)
{
	const char *const argv[] = {backend_hook(DOCKER_EXEC), NULL};
	struct hookbox *box = backend_open(DOCKER_EXEC, NULL);
	long host, cli, agent;

	time_exec(box, argv);
	host = memory_of_self(MEMORY_NOW);
	cli = memory_of_children(MEMORY_NOW);
	agent = memory_of_agent(MEMORY_NOW);
	stream_once(box);
	printf("host_growth %ld\n", memory_of_self(MEMORY_MOST) - host);
	printf("cli_growth %ld\n", memory_of_children(MEMORY_MOST) - cli);
	if (agent >= 0)
		printf("agent_growth %ld\n", memory_of_agent(MEMORY_MOST) - agent);
	hookbox_close(box);
}

/* ---- Results ---- */

static const struct {
	const char *child, *figure;
	enum backend backend;		/* that is needed */
	const char *id, *title;
	double bar;
} memories[] = {
	{"idle", "host", DIRECT, "memory.host", "a host that has done nothing"},
	{"idle", "docker_exec.cli", DOCKER_EXEC, "memory.docker_exec.cli", "docker exec, idle"},
	{"idle", "docker_exec.agent", DOCKER_EXEC, "memory.docker_exec.agent", "the agent, idle"},
	{"idle", "kubectl_exec.cli", KUBECTL_EXEC, "memory.kubectl_exec.cli", "kubectl exec, idle"},
	{"idle", "smolbsd_ssh.cli", SMOLBSD_SSH, "memory.smolbsd_ssh.cli", "ssh, idle"},
	{"endless", "host_growth", DIRECT, "memory.endless.host",
	 "endless output, limit 8 MiB: host +", 10 * 1024},
	{"streaming", "host_growth", DOCKER_EXEC, "memory.stream.host",
	 "64 MB through a channel: host +", 4 * 1024},
	{"streaming", "agent_growth", DOCKER_EXEC, "memory.stream.agent",
	 "64 MB through a channel: agent +", 4 * 1024},
	{"streaming", "cli_growth", DOCKER_EXEC, "memory.stream.cli",
	 "64 MB through a channel: CLI +"},
};

void measure_memory(void)
{
	struct figure figures[FIGURES_MOST];
	const char *child = "";
	size_t n = 0;

	for (size_t i = 0; i < N_ELEMENTS(memories); i++) {
		const char *problem = backend_problem(memories[i].backend);
		double value;

		if (problem) {
			report_skip(memories[i].id, problem);
			continue;
		}
		if (strcmp(child, memories[i].child)) {
			child = memories[i].child;
			n = child_figures(child, figures, FIGURES_MOST);
		}
		value = figure_find(figures, n, memories[i].figure);
		if (value < 0)
			report_skip(memories[i].id, "it cannot be seen from here");
		else
			report_row(&(struct row){
				.id = memories[i].id,
				.title = memories[i].title,
				.unit = "KiB",
				.value = value,
				.n = 1,
				.bar = memories[i].bar,
			});
	}
}
