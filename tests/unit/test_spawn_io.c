/* SPDX-License-Identifier: MIT */
/* The spawn engine: what goes in, what comes out, and where it is passed on to. */
#include "spawning.h"
#include "terminal.h"

#include <fcntl.h>
#include <sys/socket.h>

/* Every byte value, in an order that shows what is lost or swapped. */
static char *make_bytes(size_t n)
{
	char *bytes = malloc(n + 1);

	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)(i * 7 + i / 256);
	return bytes;
}

static void assert_same_bytes(const struct buf *got, const char *bytes, size_t n)
{
	assert_int_equal(got->size, n);
	assert_true(!n || !memcmp(got->data, bytes, n));
}

static void test_stdin_of_every_size(void **state)
{
	static const size_t sizes[] = {0, 1, 4095, 65535, 65536, 65537, 10 * 1024 * 1024};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		_cleanup_free_ char *bytes = make_bytes(sizes[i]);
		_cleanup_run_ struct run run;

		run_prepare(&run, (const char *const[]){"cat", NULL});
		run.request.before_stdin = bytes;
		run.request.before_stdin_size = sizes[i] / 3;
		run.request.stdin_data = bytes + sizes[i] / 3;
		run.request.stdin_size = sizes[i] - sizes[i] / 3;
		run_start(&run);
		assert_exited(&run, 0);
		assert_same_bytes(&run.stream[0].kept, bytes, sizes[i]);
	}
}

static void test_no_stdin_is_an_empty_one(void **state)
{
	_cleanup_run_ struct run run;

	run_prepare(&run, SH("cat; echo end"));
	run_start(&run);
	assert_exited(&run, 0);
	assert_string_equal(run_out(&run, 0), "end\n");
}

static void test_both_streams_at_once(void **state)
{
	_cleanup_run_ struct run run;

	run_prepare(&run, SH("head -c 3000000 /dev/zero & head -c 2000001 /dev/zero >&2 & wait"));
	run_start(&run);
	assert_exited(&run, 0);
	assert_int_equal(run.stream[0].total, 3000000);
	assert_int_equal(run.stream[1].total, 2000001);
}

static void test_a_command_need_not_read(void **state)
{
	_cleanup_free_ char *bytes = make_bytes(10 * 1024 * 1024);
	static const char *const scripts[] = {"exit 0", "head -c 1 >/dev/null",
					      "exec <&-; sleep 0.05"};

	for (size_t i = 0; i < sizeof(scripts) / sizeof(*scripts); i++) {
		_cleanup_run_ struct run run;

		run_prepare(&run, SH(scripts[i]));
		run.request.stdin_data = bytes;
		run.request.stdin_size = 10 * 1024 * 1024;
		run_start(&run);
		assert_exited(&run, 0);
	}
}

static void test_a_pending_sigpipe_stays_pending(void **state)
{
	_cleanup_free_ char *bytes = make_bytes(200000);
	_cleanup_run_ struct run run;
	sigset_t pipe, old, pending;
	int signo;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, &old);
	raise(SIGPIPE);
	run_prepare(&run, SH("exit 0"));
	run.request.stdin_data = bytes;
	run.request.stdin_size = 200000;
	run_start(&run);
	sigpending(&pending);
	assert_true(sigismember(&pending, SIGPIPE));
	sigwait(&pipe, &signo);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	assert_exited(&run, 0);
}

/* ---- stdin_fd ---- */

static void assert_source(int fd, const char *expected)
{
	_cleanup_run_ struct run run;

	run_prepare(&run, SH("cat"));
	run.request.before_stdin = "before ";
	run.request.before_stdin_size = 7;
	run.request.stdin_fd = fd;
	run_start(&run);
	assert_exited(&run, 0);
	assert_string_equal(run_out(&run, 0), expected);
	close(fd);
}

static void test_sources_of_every_kind(void **state)
{
	int fds[2];
	FILE *file = tmpfile();

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], "pipe", 4), 4);
	close(fds[1]);
	assert_source(fds[0], "before pipe");

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(write(fds[1], "socket", 6), 6);
	close(fds[1]);
	assert_source(fds[0], "before socket");

	fputs("regular file", file);
	rewind(file);
	assert_source(dup(fileno(file)), "before regular file");
	fclose(file);
	assert_source(open("/dev/null", O_RDONLY | O_CLOEXEC), "before ");
}

static void test_a_large_source(void **state)
{
	enum { SIZE = 5000000 };
	_cleanup_free_ char *bytes = make_bytes(SIZE);
	FILE *file = tmpfile();
	_cleanup_run_ struct run run;

	fwrite(bytes, 1, SIZE, file);
	rewind(file);
	run_prepare(&run, (const char *const[]){"cat", NULL});
	run.request.stdin_fd = fileno(file);
	run_start(&run);
	fclose(file);
	assert_exited(&run, 0);
	assert_same_bytes(&run.stream[0].kept, bytes, SIZE);
}

static void test_an_idle_source_holds_nothing_up(void **state)
{
	_cleanup_run_ struct run run;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	run_prepare(&run, SH("read line; echo \"$line\"; exec <&-; sleep 0.02; exit 6"));
	assert_int_equal(write(fds[1], "a line\n", 7), 7);
	run.request.stdin_fd = fds[0];
	run_start(&run);
	close(fds[0]);
	close(fds[1]);
	assert_exited(&run, 6);
	assert_string_equal(run_out(&run, 0), "a line\n");
}

static void test_half_an_input_is_no_input(void **state)
{
	int sources[] = {open("/", O_RDONLY | O_CLOEXEC), 1000000};

	for (int i = 0; i < 2; i++) {
		_cleanup_run_ struct run run;

		run_prepare(&run, SH("cat"));
		run.request.stdin_fd = sources[i];
		run_start(&run);
		assert_int_equal(run.result.end, SPAWN_LOST);
		assert_contains(run.result.message, "the input cannot be read: ");
		assert_contains(run.result.message, strerror(i ? EBADF : EISDIR));
		assert_true(run.result.killed);
		assert_true(run.result.group_gone);
	}
	close(sources[0]);
}

/* ---- Relays ---- */

struct reader {
	int fd;
	long pause_ms;
	struct buf got;
};

static void *read_slowly(void *data)
{
	struct reader *reader = data;
	char bytes[30000];
	ssize_t n;

	while ((n = read(reader->fd, bytes, sizeof(bytes))) > 0) {
		buf_add(&reader->got, bytes, (size_t)n);
		if (reader->got.size < 300000)
			sleep_ms(reader->pause_ms);
	}
	return NULL;
}

static void relay_through(int fds[2], int second, const char *script)
{
	struct reader reader = {.fd = fds[0], .pause_ms = 3};
	int flags = fcntl(fds[1], F_GETFL);
	_cleanup_run_ struct run run;
	pthread_t thread;

	pthread_create(&thread, NULL, read_slowly, &reader);
	run_prepare(&run, SH(script));
	run_relay(&run, 0, fds[1]);
	if (second >= 0)
		run_relay(&run, 1, second);
	run_start(&run);
	assert_int_equal(fcntl(fds[1], F_GETFL), flags);
	close(fds[1]);
	pthread_join(thread, NULL);
	close(fds[0]);
	assert_exited(&run, 0);
	assert_int_equal(run.stream[0].total + run.stream[1].total, 1500000);
	assert_int_equal(reader.got.size, 1500000);
	buf_free(&reader.got);
}

static void test_a_slow_reader_gets_all(void **state)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	relay_through(fds, -1, "head -c 1500000 /dev/zero");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	relay_through(fds, -1, "head -c 1500000 /dev/zero");
}

static void test_two_streams_into_one_pipe(void **state)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	relay_through(fds, fds[1], "head -c 750000 /dev/zero & head -c 750000 /dev/zero >&2; wait");
}

static void test_a_file_is_appended_to(void **state)
{
	char path[] = "/tmp/test_spawn.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	_cleanup_run_ struct run run;
	char text[32] = "";

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, "first ", 6), 6);
	run_prepare(&run, SH("echo then"));
	run_relay(&run, 0, fd);
	run_start(&run);
	assert_exited(&run, 0);
	assert_int_equal(pread(fd, text, sizeof(text), 0), 11);
	assert_string_equal(text, "first then\n");
	close(fd);
}

static void test_a_reader_that_is_gone_ends_the_call(void **state)
{
	for (int i = 0; i < 2; i++) {
		_cleanup_run_ struct run run;
		int fds[2];

		assert_int_equal(i ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)
				   : pipe2(fds, O_CLOEXEC),
				 0);
		close(fds[0]);
		run_prepare(&run, SH("echo x; exec sleep 100"));
		run_relay(&run, 0, fds[1]);
		run_start(&run);
		close(fds[1]);
		assert_int_equal(run.result.end, SPAWN_CANCELLED);
		assert_true(run.result.group_gone);
	}
}

static void test_output_for_a_reader_that_is_gone_is_dropped(void **state)
{
	_cleanup_run_ struct run run;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	run_prepare(&run, SH("trap '' TERM; exec cat /dev/zero"));
	run.request.grace_ms = 100;
	run_relay(&run, 0, fds[1]);
	run_start(&run);
	close(fds[1]);
	assert_int_equal(run.result.end, SPAWN_CANCELLED);
	assert_true(run.stream[0].relay.capacity < 1024 * 1024);
}

static void make_pipe(int fds[2])
{
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
}

static void make_socket(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void test_a_reader_that_never_reads_does_not_hold_the_deadline(void **state)
{
	static void (*const kinds[])(int fds[2]) = {make_pipe, make_socket, open_terminal};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		_cleanup_run_ struct run run;
		int fds[2];

		kinds[i](fds);
		run_prepare(&run, SH("exec cat /dev/zero"));
		run.request.deadline_us = clock_deadline_us(200);
		run_relay(&run, 0, fds[1]);
		run_start(&run);
		close(fds[0]);
		close(fds[1]);
		assert_int_equal(run.result.end, SPAWN_TIMED_OUT);
		/* No more than the relay and what it goes through hold was taken. */
		assert_true(run.stream[0].total < 1024 * 1024);
		assert_true(run.result.group_gone);
	}
}

static void test_output_that_nobody_takes_is_cut_off_at_the_deadline(void **state)
{
	_cleanup_run_ struct run run;
	int fds[2];

	make_pipe(fds);
	run_prepare(&run, SH("head -c 130000 /dev/zero; exit 3"));
	run.request.deadline_us = clock_deadline_us(300);
	run_relay(&run, 0, fds[1]);
	run_start(&run);
	close(fds[0]);
	close(fds[1]);
	assert_true(run.result.end == SPAWN_EXITED || run.result.end == SPAWN_TIMED_OUT);
	if (run.result.end == SPAWN_EXITED)
		assert_int_equal(run.result.status, 3);
	assert_true(run.result.truncated);
}

static void test_a_waiting_relay_can_be_cancelled(void **state)
{
	_cleanup_run_ struct run run;
	int out[2], cancel[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(cancel, O_CLOEXEC), 0);
	run_prepare(&run, SH("head -c 100000 /dev/zero; echo done >&2"));
	run_relay(&run, 0, out[1]);
	run_relay(&run, 1, cancel[1]); /* the end of the output is the cancel */
	run.request.cancel_fd = cancel[0];
	run_start(&run);
	assert_int_equal(run.result.end, SPAWN_CANCELLED);
	assert_true(run.result.group_gone);
	for (int i = 0; i < 2; i++) {
		close(out[i]);
		close(cancel[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		engine_test(test_stdin_of_every_size),
		engine_test(test_no_stdin_is_an_empty_one),
		engine_test(test_both_streams_at_once),
		engine_test(test_a_command_need_not_read),
		engine_test(test_a_pending_sigpipe_stays_pending),
		engine_test(test_sources_of_every_kind),
		engine_test(test_a_large_source),
		engine_test(test_an_idle_source_holds_nothing_up),
		engine_test(test_half_an_input_is_no_input),
		engine_test(test_a_slow_reader_gets_all),
		engine_test(test_two_streams_into_one_pipe),
		engine_test(test_a_file_is_appended_to),
		engine_test(test_a_reader_that_is_gone_ends_the_call),
		engine_test(test_output_for_a_reader_that_is_gone_is_dropped),
		engine_test(test_a_reader_that_never_reads_does_not_hold_the_deadline),
		engine_test(test_output_that_nobody_takes_is_cut_off_at_the_deadline),
		engine_test(test_a_waiting_relay_can_be_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
