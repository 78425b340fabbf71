/* SPDX-License-Identifier: MIT */
/* What the tests of the spawn engine share: a run that keeps its output, what must not change. */
#ifndef TESTS_SPAWNING_H
#define TESTS_SPAWNING_H

#include "unit.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "buf.h"
#include "cleanup.h"
#include "clock.h"
#include "spawn.h"

struct run;

struct run_stream {
	struct buf kept;
	struct buf relay;
	uint64_t total;
	uint64_t limit;		/* beyond it, `stop` is returned; kept stays below it */
	int stop;
	bool relayed;
};

struct run {
	struct spawn_request request;
	struct spawn_result result;
	struct run_stream stream[2];
};

static const char *const run_env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "MARKER=in the env",
				      NULL};

static inline int run_consume(void *data, const char *bytes, size_t n)
{
	struct run_stream *stream = data;
	uint64_t room = stream->limit - stream->kept.size;

	stream->total += n;
	if (stream->relayed)
		buf_add(&stream->relay, bytes, n);
	else
		buf_add(&stream->kept, bytes, n < room ? n : (size_t)room);
	return stream->total > stream->limit ? stream->stop : 0;
}

/* A request for argv, which must outlive it. It is still to be changed and started. */
static inline void run_prepare(struct run *run, const char *const *argv)
{
	memset(run, 0, sizeof(*run));
	run->request = (struct spawn_request){
		.argv = argv,
		.env = run_env,
		.stdin_fd = -1,
		.deadline_us = CLOCK_NEVER,
		.grace_ms = 2000,
		.cancel_fd = -1,
	};
	for (int i = 0; i < 2; i++) {
		run->stream[i].limit = UINT64_MAX;
		run->request.stream[i] = (struct spawn_stream){
			.consume = run_consume,
			.data = &run->stream[i],
			.out_fd = -1,
		};
	}
}

static inline void run_relay(struct run *run, int stream, int fd)
{
	run->stream[stream].relayed = true;
	run->request.stream[stream].out_fd = fd;
	run->request.stream[stream].relay = &run->stream[stream].relay;
}

static inline void run_start(struct run *run)
{
	spawn_run(&run->request, &run->result);
}

static inline const char *run_out(const struct run *run, int stream)
{
	return run->stream[stream].kept.data ? run->stream[stream].kept.data : "";
}

static inline void run_free(struct run *run)
{
	for (int i = 0; i < 2; i++) {
		buf_free(&run->stream[i].kept);
		buf_free(&run->stream[i].relay);
	}
}

#define _cleanup_run_ __attribute__((cleanup(run_free)))
#define SH(script) ((const char *const[]){"/bin/sh", "-c", (script), NULL})

#define assert_exited(run, code)                                                                   \
	do {                                                                                       \
		assert_string_equal((run)->result.message, "");                                    \
		assert_int_equal((run)->result.end, SPAWN_EXITED);                                 \
		assert_int_equal((run)->result.status, (code));                                    \
		assert_true((run)->result.group_gone);                                             \
	} while (0)

static inline void sleep_ms(long ms)
{
	const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&pause, NULL);
}

/* Waits until a condition holds; the test fails when it does not in 20 s. */
#define wait_until(condition)                                                                      \
	do {                                                                                       \
		for (int _i = 0; !(condition) && _i < 20000; _i++)                                 \
			sleep_ms(1);                                                               \
		assert_true(condition);                                                            \
	} while (0)

static inline bool is_running(pid_t pid)
{
	return process_start_time(pid) != 0;
}

/* A mark that no other run of these tests has, behind `before`. Lent until eight more were made. */
static inline const char *mark_text(const char *before, const char *name)
{
	static char texts[8][128];
	static unsigned int next;
	char *text = texts[next++ % 8];

	snprintf(text, sizeof(texts[0]), "%stest-%d-%s", before, (int)getpid(), name);
	return text;
}

static inline int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* What a library must not change. */
struct surroundings {
	int fds;
	sigset_t mask;
	struct sigaction pipe, child;
};

static inline struct surroundings surroundings_now(void)
{
	struct surroundings now = {.fds = count_fds()};

	pthread_sigmask(SIG_BLOCK, NULL, &now.mask);
	sigaction(SIGPIPE, NULL, &now.pipe);
	sigaction(SIGCHLD, NULL, &now.child);
	return now;
}

static inline int surroundings_setup(void **state)
{
	static struct surroundings before;

	before = surroundings_now();
	*state = &before;
	return 0;
}

static inline int surroundings_check(void **state)
{
	const struct surroundings *before = *state;
	struct surroundings now = surroundings_now();
	sigset_t pending;

	assert_int_equal(now.fds, before->fds);
	for (int signo = 1; signo < 65; signo++)
		assert_int_equal(sigismember(&now.mask, signo), sigismember(&before->mask, signo));
	assert_ptr_equal(now.pipe.sa_handler, before->pipe.sa_handler);
	assert_ptr_equal(now.child.sa_handler, before->child.sa_handler);
	sigpending(&pending);
	assert_false(sigismember(&pending, SIGPIPE));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);	/* no child is left */
	assert_int_equal(errno, ECHILD);
	return 0;
}

#define engine_test(function)                                                                      \
	cmocka_unit_test_setup_teardown(function, surroundings_setup, surroundings_check)

#endif
