/* SPDX-License-Identifier: MIT */
/* The spawn engine: starting, or saying why not; what the process finds; how it ended. */
#include "spawning.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char directory[] = "/tmp/test_spawn.XXXXXX";

static const char *in_directory(const char *name)
{
	static char paths[4][256];
	static int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

static void make_file(const char *name, const char *content, mode_t mode)
{
	FILE *file = fopen(in_directory(name), "w");

	assert_non_null(file);
	fputs(content, file);
	fclose(file);
	assert_int_equal(chmod(in_directory(name), mode), 0);
}

static int make_directory(void **state)
{
	assert_non_null(mkdtemp(directory));
	make_file("plain", "no program\n", 0644);
	make_file("headless", "echo no interpreter is named\n", 0755);
	make_file("lost", "#!/nonexistent/interpreter\n", 0755);
	make_file("script", "#!/bin/sh\necho \"script:$1\"\n", 0755);
	return mkdir(in_directory("bin"), 0755);
}

static int remove_directory(void **state)
{
	const char *const argv[] = {"/bin/rm", "-r", directory, NULL};
	const struct spawn_command command = {.argv = argv, .env = run_env, .timeout_ms = 10000};
	struct spawn_capture capture = {0};

	spawn_run_captured(&command, &capture);
	spawn_capture_free(&capture);
	return capture.result.end != SPAWN_EXITED || capture.result.status;
}

static void test_every_exit_code_is_told(void **state)
{
	static const int codes[] = {0,	 1,   2,   3,	42,  124, 125, 126,
				    127, 128, 129, 137, 143, 254, 255};

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		_cleanup_run_ struct run run;
		char script[32];

		snprintf(script, sizeof(script), "exit %d", codes[i]);
		run_prepare(&run, SH(script));
		run_start(&run);
		assert_exited(&run, codes[i]);
		assert_false(run.result.killed);
		assert_false(run.result.truncated);
	}
}

static void test_a_signal_is_no_exit_code(void **state)
{
	static const int signals[] = {SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGTERM, SIGUSR1};

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		_cleanup_run_ struct run run;
		char script[32];

		snprintf(script, sizeof(script), "kill -%d $$", signals[i]);
		run_prepare(&run, SH(script));
		run_start(&run);
		assert_int_equal(run.result.end, SPAWN_SIGNALED);
		assert_int_equal(run.result.status, signals[i]);
		assert_false(run.result.killed);
		assert_true(run.result.group_gone);
	}
}

static void test_arguments_and_environment_arrive(void **state)
{
	const char *const argv[] = {"/bin/sh", "-c",  "printf '<%s>' \"$@\"; env", "sh", "",
				    "-n",      "a b", "\xff\x01'\"$x\n",	   NULL};
	_cleanup_run_ struct run run;

	run_prepare(&run, argv);
	run_start(&run);
	assert_exited(&run, 0);
	assert_memory_equal(run_out(&run, 0), "<><-n><a b><\xff\x01'\"$x\n>", 20);
	assert_contains(run_out(&run, 0), "MARKER=in the env\n");
	assert_null(strstr(run_out(&run, 0), "CMOCKA"));
}

static void test_directory_and_relative_names(void **state)
{
	static const struct {
		const char *command, *path;
	} ways[] = {{"./script", NULL},
		    {"script", "/nonexistent:."},
		    {"script", "bin:"},
		    {"script", ""}};

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		const char *const argv[] = {ways[i].command, "here", NULL};
		_cleanup_run_ struct run run;

		run_prepare(&run, argv);
		run.request.cwd = directory;
		run.request.path = ways[i].path;
		run_start(&run);
		assert_exited(&run, 0);
		assert_string_equal(run_out(&run, 0), "script:here\n");
	}
}

static void assert_not_started(const char *command, const char *cwd, int number, const char *part)
{
	const char *const argv[] = {command, NULL};
	const char *path = in_directory("bin:/usr/bin:/bin");
	_cleanup_run_ struct run run;

	run_prepare(&run, argv);
	run.request.cwd = cwd;
	run.request.path = path;
	run_start(&run);
	assert_int_equal(run.result.end, SPAWN_NOT_STARTED);
	assert_int_equal(run.result.error_number, number);
	assert_contains(run.result.message, part);
	assert_int_equal(run.result.pid, 0);
}

static void test_what_cannot_start_says_why(void **state)
{
	_cleanup_run_ struct run run;

	assert_not_started("no-such-command", NULL, ENOENT,
			   "no command \"no-such-command\" in PATH");
	assert_not_started("/no/such", NULL, ENOENT, "no command \"/no/such\"; check");
	assert_not_started("./true", directory, ENOENT, "no command \"./true\"");
	assert_not_started("/bin/sh/x", NULL, ENOTDIR, "is a file and no directory");
	assert_not_started("/bin", NULL, EACCES, "is a directory");
	assert_not_started("/dev/null", NULL, EACCES, "is not executable");
	assert_not_started(in_directory("plain"), NULL, EACCES, "is not executable; chmod +x");
	assert_not_started(in_directory("headless"), NULL, ENOEXEC, "give a script a #! line");
	assert_not_started(in_directory("lost"), NULL, ENOENT, "interpreter");
	assert_not_started("true", "/no/such", ENOTDIR, "directory \"/no/such\" cannot be entered");
	assert_not_started("true", in_directory("plain"), ENOTDIR,
			   "cannot be entered: Not a directory");
	/* A file of that name that may not run is passed over, as execvp() does. */
	make_file("bin/sleep", "", 0644);
	make_file("bin/nowhere-else", "", 0644);
	assert_not_started("nowhere-else", NULL, EACCES, "is not executable");
	run_prepare(&run, (const char *const[]){"sleep", "0", NULL});
	run.request.path = in_directory("bin:/usr/bin:/bin");
	run_start(&run);
	assert_exited(&run, 0);
}

static void test_too_large_arguments(void **state)
{
	char *large = malloc(200 * 1024 + 1);
	const char *const argv[] = {"/bin/true", large, NULL};
	_cleanup_run_ struct run run;

	memset(large, 'x', 200 * 1024);
	large[200 * 1024] = '\0';
	run_prepare(&run, argv);
	run_start(&run);
	free(large);
	assert_int_equal(run.result.end, SPAWN_NOT_STARTED);
	assert_int_equal(run.result.error_number, E2BIG);
	assert_contains(run.result.message, "by stdin");
}

static void test_no_descriptors_left(void **state)
{
	struct rlimit old, none;
	bool started = false;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	/* From no descriptor at all to all that are needed: it works, or it says so and leaves
	 * nothing. */
	for (rlim_t i = 3; !started; i++) {
		_cleanup_run_ struct run run;

		none = (struct rlimit){i, old.rlim_max};
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
		run_prepare(&run, SH("exit 5"));
		run.request.cwd = "/";
		run.request.stdin_data = "x";
		run.request.stdin_size = 1;
		run_start(&run);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		started = run.result.end == SPAWN_EXITED;
		if (started) {
			assert_int_equal(run.result.status, 5);
		} else {
			assert_true(run.result.end == SPAWN_NOT_STARTED ||
				    run.result.end == SPAWN_LOST);
			assert_contains(run.result.message, run.result.end == SPAWN_NOT_STARTED
								    ? strerror(EMFILE)
								    : "watched");
		}
	}
}

static void test_the_process_has_three_descriptors(void **state)
{
	int inherited = open("/dev/null", O_RDONLY); /* the embedder forgot O_CLOEXEC */
	_cleanup_run_ struct run run;

	run_prepare(&run,
		    SH("i=0; while [ $i -lt 60 ]; do [ -e /proc/$$/fd/$i ] && printf '%s ' $i; "
		       "i=$((i + 1)); done"));
	run.request.cwd = "/";
	run_start(&run);
	close(inherited);
	assert_exited(&run, 0);
	assert_string_equal(run_out(&run, 0), "0 1 2 ");
}

static void test_closed_standard_streams_of_ours_do_no_harm(void **state)
{
	int saved[3];
	_cleanup_run_ struct run run, relayed;

	for (int i = 0; i < 3; i++) {
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 50);
		close(i);
	}
	run_prepare(&run, SH("cat; echo err >&2"));
	run.request.stdin_data = "in";
	run.request.stdin_size = 2;
	run_start(&run);
	/* Nor are their numbers taken for pipes of the engine's own. */
	run_prepare(&relayed, SH("cat"));
	relayed.request.stdin_data = "in";
	relayed.request.stdin_size = 2;
	run_relay(&relayed, 0, 1);
	run_start(&relayed);
	for (int i = 0; i < 3; i++) {
		dup2(saved[i], i);
		close(saved[i]);
	}
	assert_exited(&run, 0);
	assert_string_equal(run_out(&run, 0), "in");
	assert_string_equal(run_out(&run, 1), "err\n");
	assert_int_equal(relayed.result.end, SPAWN_CANCELLED);
}

static void test_signals_are_as_a_program_expects_them(void **state)
{
	void (*old)(int) = signal(SIGINT, SIG_IGN);
	void (*old_pipe)(int) = signal(SIGPIPE, SIG_IGN);
	sigset_t some, mask;
	_cleanup_run_ struct run run;

	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigaddset(&some, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &some, &mask);
	run_prepare(&run, (const char *const[]){"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status",
						NULL});
	run_start(&run);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	signal(SIGINT, old);
	signal(SIGPIPE, old_pipe);
	assert_exited(&run, 0);
	assert_string_equal(run_out(&run, 0),
			    "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void test_it_leads_a_group_of_its_own(void **state)
{
	_cleanup_run_ struct run run;

	run_prepare(&run, SH("cut -d' ' -f5 /proc/$$/stat"));
	run_start(&run);
	assert_exited(&run, 0);
	assert_int_equal(atoi(run_out(&run, 0)), run.result.pid);
	assert_int_equal(run.result.since.pid, run.result.pid);
	assert_true(run.result.started_us > 0 && run.result.started_us <= clock_us());
}

static void test_a_caller_that_ignores_its_children_loses_them(void **state)
{
	void (*old)(int) = signal(SIGCHLD, SIG_IGN);
	_cleanup_run_ struct run run;

	run_prepare(&run, SH("echo out; exit 3"));
	run_start(&run);
	signal(SIGCHLD, old);
	assert_int_equal(run.result.end, SPAWN_LOST);
	assert_contains(run.result.message, "do not ignore SIGCHLD");
	assert_false(run.result.group_gone);
	assert_false(run.result.killed);
}

/* Kills and reaps the process behind the engine's back, as a careless embedder would. */
static int reap_foreign(void *data, const char *bytes, size_t n)
{
	pid_t pid = atoi(bytes);

	if (pid > 1) {
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	return *(int *)data;
}

static void test_a_reaped_process_is_lost_and_its_id_not_used(void **state)
{
	/* With a stop as well, the engine would like to send TERM to the group. */
	for (int stop = 0; stop <= SPAWN_STOP_LIMIT; stop++) {
		_cleanup_run_ struct run run;

		run_prepare(&run, SH("echo $$; exec sleep 100"));
		run.request.stream[0] = (struct spawn_stream){reap_foreign, &stop, -1, NULL};
		run_start(&run);
		assert_int_equal(run.result.end, SPAWN_LOST);
		assert_contains(run.result.message, "reaped by somebody else");
		assert_false(run.result.killed);
		assert_false(run.result.group_gone);
	}
}

static void test_captured_commands(void **state)
{
	const struct spawn_command command = {
		.argv = SH("cat; echo 123456789 >&2; exit 4"),
		.env = run_env,
		.cwd = "/",
		.stdin_data = "stdin",
		.stdin_size = 5,
		.timeout_ms = 20000,
		.limit = 6,
	};
	struct spawn_capture capture = {0};

	spawn_run_captured(&command, &capture);
	assert_int_equal(capture.result.end, SPAWN_EXITED);
	assert_int_equal(capture.result.status, 4);
	assert_string_equal(capture.out.data, "stdin");
	assert_string_equal(capture.err.data, "123456");
	assert_int_equal(capture.out_total, 5);
	assert_int_equal(capture.err_total, 10);
	spawn_capture_free(&capture);
}

static void test_a_captured_command_has_its_time(void **state)
{
	const struct spawn_command command = {
		.argv = SH("sleep 100"), .env = run_env, .timeout_ms = 20};
	struct spawn_capture capture = {0};

	spawn_run_captured(&command, &capture);
	assert_int_equal(capture.result.end, SPAWN_TIMED_OUT);
	assert_string_equal(capture.result.message, "\"/bin/sh\" had not ended after 20 ms");
	spawn_capture_free(&capture);
}

static void *run_in_thread(void *data)
{
	_cleanup_run_ struct run run;
	char *text = data;
	bool well;

	run_prepare(&run, SH("cat; cat >&2 /dev/null; exit 9"));
	run.request.stdin_data = text;
	run.request.stdin_size = 4000;
	run_start(&run);
	well = run.result.end == SPAWN_EXITED && run.result.status == 9 && run.result.group_gone &&
	       run.stream[0].total == 4000 && !memcmp(run_out(&run, 0), text, 4000);
	return well ? data : NULL;
}

static void test_many_threads_at_once(void **state)
{
	enum { THREADS = 64 };
	static char texts[THREADS][4000];
	pthread_t threads[THREADS];
	int well = 0;

	for (int i = 0; i < THREADS; i++) {
		memset(texts[i], '!' + i, sizeof(texts[i]));
		assert_int_equal(pthread_create(&threads[i], NULL, run_in_thread, texts[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		well += result == texts[i];
	}
	assert_int_equal(well, THREADS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		engine_test(test_every_exit_code_is_told),
		engine_test(test_a_signal_is_no_exit_code),
		engine_test(test_arguments_and_environment_arrive),
		engine_test(test_directory_and_relative_names),
		engine_test(test_what_cannot_start_says_why),
		engine_test(test_too_large_arguments),
		engine_test(test_no_descriptors_left),
		engine_test(test_the_process_has_three_descriptors),
		engine_test(test_closed_standard_streams_of_ours_do_no_harm),
		engine_test(test_signals_are_as_a_program_expects_them),
		engine_test(test_it_leads_a_group_of_its_own),
		engine_test(test_a_caller_that_ignores_its_children_loses_them),
		engine_test(test_a_reaped_process_is_lost_and_its_id_not_used),
		engine_test(test_captured_commands),
		engine_test(test_a_captured_command_has_its_time),
		engine_test(test_many_threads_at_once),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
