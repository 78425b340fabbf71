/* SPDX-License-Identifier: MIT */
/*
 * What a command can do to the agent, to its helpers and to other commands: those of its own user and
 * those of another. Called with pids, this program is the command: it prints what it could do to each.
 */
#include "agent_strangers.h"

#include <dirent.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* ---- The command ---- */

static bool can_open(pid_t pid, const char *name, int flags)
{
	char path[64], byte;
	int fd;
	bool can;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, flags | O_CLOEXEC);
	can = fd >= 0 && (flags != O_RDONLY || read(fd, &byte, 1) == 1);
	if (fd >= 0)
		close(fd);
	return can;
}

static bool can_list(pid_t pid, const char *name)
{
	char path[64];
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	directory = opendir(path);
	if (directory)
		closedir(directory);
	return directory;
}

static bool can_follow(pid_t pid, const char *name)
{
	char path[64], target[256];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return readlink(path, target, sizeof(target)) >= 0;
}

static bool can_take_descriptor(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	bool can = fd >= 0 && syscall(SYS_pidfd_getfd, fd, 1, 0) >= 0;

	if (fd >= 0)
		close(fd);
	return can;
}

static bool can_read_memory(pid_t pid)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {(void *)4096, 1};

	return process_vm_readv(pid, &here, 1, &there, 1, 0) >= 0 || errno == EFAULT;
}

static bool can_trace(pid_t pid)
{
	bool can = !ptrace(PTRACE_SEIZE, pid, NULL, NULL);

	if (can) {
		ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
		waitpid(pid, NULL, __WALL);
		ptrace(PTRACE_DETACH, pid, NULL, NULL);
	}
	return can;
}

static void try_all(pid_t pid)
{
	struct rlimit limit;

#define TRY(word, can) fputs((can) ? " " word : "", stdout)
	TRY("environment", can_open(pid, "environ", O_RDONLY));
	TRY("maps", can_open(pid, "maps", O_RDONLY));
	TRY("memory", can_open(pid, "mem", O_RDWR));
	TRY("descriptors", can_list(pid, "fd"));
	TRY("stdout", can_open(pid, "fd/1", O_WRONLY));
	TRY("directory", can_follow(pid, "cwd"));
	TRY("root", can_follow(pid, "root"));
	TRY("file", can_follow(pid, "exe"));
	TRY("take", can_take_descriptor(pid));
	TRY("read", can_read_memory(pid));
	TRY("trace", can_trace(pid));
	TRY("limits", !prlimit(pid, RLIMIT_NOFILE, NULL, &limit));
	TRY("priority", !setpriority(PRIO_PROCESS, (id_t)pid, 10));
	TRY("group", !setpgid(pid, getpgrp()));
	TRY("signal", !kill(pid, 0));
#undef TRY
	puts(" ;");
}

/* ---- The test ---- */

static const char *self;

/* The pids that a command printed: its own, and that of the helper that is its parent. */
struct victim {
	struct agent_host *host;
	uint32_t id;
	int pid, helper;
};

static struct victim begin_victim(struct agent_host *host)
{
	struct victim victim = {
		.host = host,
		.id = host_ask(host, ASK("echo $$ $PPID ready; cat; exit 7", .input_open = true)),
	};

	wait_until_ready(host, victim.id);
	assert_int_equal(sscanf(host_text(&host->calls[victim.id], 0), "%d %d", &victim.pid,
				&victim.helper), 2);
	return victim;
}

/* Nobody spoke in its place. */
static void end_victim(struct victim *victim)
{
	struct host_call *call = &victim->host->calls[victim->id];
	char expected[64];

	call->input_open = false;
	host_wait(victim->host, victim->id);
	snprintf(expected, sizeof(expected), "%d %d ready\n", victim->pid, victim->helper);
	assert_string_equal(host_text(call, 0), expected);
	assert_ended(call, FRAME_EXITED, 7, FRAME_PROVEN);
}

/* What the intruder could do to the agent, the helper and the command: one line for each. */
static const char *intrude(struct agent_host *host, const char *directory,
			   const struct victim *victim, char lines[3][256])
{
	char program[64], pids[3][16];
	const char *const argv[] = {program, pids[0], pids[1], pids[2], NULL};
	struct host_call *call;

	snprintf(program, sizeof(program), "%s/intruder", directory);
	snprintf(pids[0], sizeof(pids[0]), "%u", victim->host->hello.pid);
	snprintf(pids[1], sizeof(pids[1]), "%d", victim->helper);
	snprintf(pids[2], sizeof(pids[2]), "%d", victim->pid);
	call = host_run(host, &(struct ask){.argv = argv, .env = marked_env()});
	assert_ended(call, FRAME_EXITED, 0, FRAME_PROVEN);
	assert_int_equal(sscanf(host_text(call, 0), "%255[^\n]%*c%255[^\n]%*c%255[^\n]", lines[0],
				lines[1], lines[2]), 3);
	return host_text(call, 0);
}

static void test_a_command_of_another_user(void **state)
{
	char directory[] = "/tmp/agent-XXXXXX", lines[3][256] = {""};
	struct agent_host one, other;
	struct victim victim;

	if (!start_as_stranger(&one, directory, become_stranger))
		return;
	share_program(directory, self, "intruder");
	assert_true(start_as_stranger(&other, directory, become_other_stranger));
	victim = begin_victim(&one);
	assert_string_equal(intrude(&other, directory, &victim, lines), " ;\n ;\n ;\n");
	/* Whatever it ends is its own user's. What it started afterwards would stay. */
	host_ask(&other, ASK("kill -9 -1; while :; do :; done"));
	assert_int_equal(host_end(&other), -SIGKILL);
	end_victim(&victim);
	host_stop(&one);
	stop_stranger(directory);
}

/* The agent and its helpers hide from their own user; only signals and the like reach them. */
static void test_a_command_of_the_same_user(void **state)
{
	static const char *const hidden[] = {
		"environment", "maps", "memory", "descriptors", "stdout", "directory", "root",
		"file", "take", "read", "trace", "group",
	};
	char directory[] = "/tmp/agent-XXXXXX", lines[3][256] = {""};
	struct agent_host host;
	struct victim victim;

	if (!start_as_stranger(&host, directory, become_stranger))
		return;
	share_program(directory, self, "intruder");
	victim = begin_victim(&host);
	intrude(&host, directory, &victim, lines);
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		assert_null(strstr(lines[0], hidden[i]));
		assert_null(strstr(lines[1], hidden[i]));
	}
	/* As docs/security.md says. */
	assert_contains(lines[0], "signal");
	assert_contains(lines[1], "signal");
	assert_contains(lines[2], "environment");
	assert_contains(lines[2], "signal");
	end_victim(&victim);
	host_stop(&host);
	stop_stranger(directory);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_command_of_another_user),
		cmocka_unit_test(test_a_command_of_the_same_user),
	};

	for (int i = 1; i < argc; i++)
		try_all((pid_t)atoi(argv[i]));
	if (argc > 1)
		return fflush(stdout);
	signal(SIGPIPE, SIG_IGN);
	self = argv[0];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
