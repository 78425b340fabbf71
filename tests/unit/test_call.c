/* SPDX-License-Identifier: MIT */
/* Calls through sandboxes of four kinds: direct, a kept box with a shell, a fresh one, run/1. */
#include "unit.h"

#include <pthread.h>
#include <signal.h>

#include "sandboxes.h"
#include "clock.h"

/* ---- Backends that need nothing: their "box" is this machine ---- */

/* A CLI that loses its engine when the command has ended. */
static int broken_plan(const void *instance, const struct sandbox_plan_request *request,
		       const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	sink->arg(sink, "sh");
	sink->arg(sink, "-c");
	sink->arg(sink, "\"$@\"; exit 125");
	sink->arg(sink, "sh");
	return here_plan(instance, request, sink, error);
}

/* A box that is one file, which the CHECK step lists and the KILL step removes, at the eighth
 * go. */
static const char *fresh_file = "/dev/null";

static int fresh_plan_end(const void *instance, const struct sandbox_end_request *request,
			  const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	sink->arg(sink, "sh");
	sink->arg(sink, "-c");
	sink->arg(sink, request->step == SANDBOX_END_KILL
				? "[ ! -f \"$1\" ] || { echo >>\"$1\"; [ $(wc -l <\"$1\") = 8 ] && "
				  "rm -f \"$1\"; }"
				: "[ ! -f \"$1\" ] || echo left");
	sink->arg(sink, "sh");
	sink->arg(sink, fresh_file);
	return 0;
}

static int run_upper(void *instance, const struct sandbox_plan_request *request,
		     const struct sandbox_run_io *io, struct sandbox_run_result *result,
		     char error[SANDBOX_ERROR_SIZE])
{
	char bytes[64];
	ptrdiff_t n;

	if (!strcmp(request->argv[0], "fail")) {
		snprintf(error, SANDBOX_ERROR_SIZE, "the cloud is down; try another one");
		return -EIO;
	}
	if (!strcmp(request->argv[0], "forget"))
		return 0;
	while ((n = io->read_stdin(io, bytes, sizeof(bytes))) > 0) {
		for (ptrdiff_t i = 0; i < n; i++)
			bytes[i] = (char)(bytes[i] - 32);
		if (io->write_output(io, 1, bytes, (size_t)n))
			break;
	}
	result->proven = true;
	if (!strcmp(request->argv[0], "lost"))
		return 0;
	result->verdict.end = SANDBOX_END_COMMAND;
	result->verdict.status = 3;
	return 0;
}

static const void *run_extension(const char *id)
{
	static const struct sandbox_run_v1 run = {.size = sizeof(run), .run = run_upper};

	return strcmp(id, SANDBOX_RUN_EXTENSION) ? NULL : &run;
}


static const struct sandbox_plugin_v1 kept_plugin = {
	BACKEND(SANDBOX_KEPT | SANDBOX_SHELL | SANDBOX_SIGNALS_AS_128N),
	.name = "kept", .plan = here_plan,
};
static const struct sandbox_plugin_v1 fresh_plugin = {
	BACKEND(SANDBOX_FRESH | SANDBOX_SHELL | SANDBOX_SIGNALS_AS_128N),
	.name = "fresh", .plan = here_plan, .plan_end = fresh_plan_end,
};
static const struct sandbox_plugin_v1 broken_plugin = {
	BACKEND(SANDBOX_FRESH | SANDBOX_SHELL | SANDBOX_SIGNALS_AS_128N),
	.name = "broken", .plan = broken_plan, .plan_end = fresh_plan_end,
};
static const struct sandbox_plugin_v1 run_plugin = {
	BACKEND(SANDBOX_FRESH),
	.name = "runner", .get_extension = run_extension,
};

static const struct sandbox_plugin_v1 *const command_plugins[] = {
	&direct_plugin, &kept_plugin, &fresh_plugin,
};
#define FOR_EACH_PLUGIN(p)                                                             \
	for (const struct sandbox_plugin_v1 *const *p = command_plugins;                 \
	     p < command_plugins + sizeof(command_plugins) / sizeof(command_plugins[0]); p++)

static void test_output_status_and_input(void **state)
{
	FOR_EACH_PLUGIN(plugin) {
		struct hookbox_call call = {.stdin_data = "in\0put", .stdin_size = 6};
		struct fixture f;
		struct hookbox_result *r;

		open_sandbox(&f, *plugin);
		r = RUN(f.sandbox, call, "sh", "-c", "cat; echo error >&2; exit 42");
		assert_int_equal(r->end, HOOKBOX_EXITED);
		assert_int_equal(r->status, 42);
		assert_int_equal(r->out_size, 6);
		assert_memory_equal(r->out, "in\0put", 6);
		assert_string_equal(r->err, "error\n");
		assert_int_equal(r->out_total, 6);
		assert_null(r->message);
		assert_int_equal(r->cleanup, *plugin == &fresh_plugin ? HOOKBOX_CLEANUP_PROVEN :
							    HOOKBOX_CLEANUP_SWEPT);
		hookbox_result_free(r);
		close_sandbox(&f);
	}
}

static void test_environment_and_directory(void **state)
{
	const char *const env[] = {"A=1", "B=two\nlines", "HOME", NULL};

	setenv("HOME", "/home/of/test", 1);
	FOR_EACH_PLUGIN(plugin) {
		struct hookbox_call call = {.env = env, .workdir = "/usr"};
		struct fixture f;
		struct hookbox_result *r;

		open_sandbox(&f, *plugin);
		r = RUN(f.sandbox, call, "sh", "-c", "printf '%s|' \"$A\" \"$B\" \"$HOME\"; pwd");
		assert_string_equal(r->out, "1|two\nlines|/home/of/test|/usr\n");
		hookbox_result_free(r);
		close_sandbox(&f);
	}
}

/* A variable of the prologue's own could keep the call's mark from the command. */
static void test_a_variable_of_the_prologue_is_refused(void **state)
{
	const char *const argv[] = {"true", NULL}, *const env[] = {"_hb_i=x", NULL};
	const struct hookbox_call call = {.size = sizeof(call), .argv = argv, .env = env};
	struct hookbox_result *r = NULL;
	struct hookbox_error error;
	struct fixture f;

	open_sandbox(&f, &kept_plugin);
	assert_int_equal(sandbox_call(f.sandbox, &call, &r, &error), -EINVAL);
	assert_contains(error.message, "_hb_i");
	close_sandbox(&f);
}

static void test_a_missing_command_or_directory(void **state)
{
	FOR_EACH_PLUGIN(plugin) {
		struct fixture f;
		struct hookbox_result *r;

		open_sandbox(&f, *plugin);
		r = RUN(f.sandbox, PLAIN, "no-such-command");
		assert_int_equal(r->end, HOOKBOX_NOT_STARTED);
		assert_int_equal(r->error_number, ENOENT);
		assert_contains(r->message, "no-such-command");
		assert_int_equal(r->err_total, 0);
		hookbox_result_free(r);
		r = RUN(f.sandbox, PLAIN, "/etc/passwd");
		assert_int_equal(r->end, HOOKBOX_NOT_STARTED);
		assert_int_equal(r->error_number, EACCES);
		hookbox_result_free(r);
		r = RUN(f.sandbox, (struct hookbox_call){.workdir = "/no/such"}, "pwd");
		assert_int_equal(r->end, HOOKBOX_NOT_STARTED);
		assert_int_equal(r->error_number, ENOTDIR);
		assert_contains(r->message, "/no/such");
		hookbox_result_free(r);
		close_sandbox(&f);
	}
}

static void test_a_timeout_leaves_nothing(void **state)
{
	FOR_EACH_PLUGIN(plugin) {
		struct hookbox_call call = {.timeout_ms = 300};
		struct fixture f;
		struct hookbox_result *r;
		pid_t pid = 0, stray = 0;

		open_sandbox(&f, *plugin);
		r = RUN(f.sandbox, call, "sh", "-c",
			"trap '' TERM; setsid sleep 3600 & echo $$ $!; wait; sleep 3600");
		assert_int_equal(r->end, HOOKBOX_TIMED_OUT);
		assert_int_equal(sscanf(r->out, "%d %d", &pid, &stray), 2);
		assert_int_equal(process_start_time(pid), 0);
		/* The box of this test's fresh backend holds no processes. */
		if (*plugin == &fresh_plugin)
			kill(stray, SIGKILL);
		else
			assert_int_equal(process_start_time(stray), 0);
		assert_contains(r->message, "300 ms");
		assert_int_not_equal(r->cleanup, HOOKBOX_CLEANUP_UNKNOWN);
		hookbox_result_free(r);
		close_sandbox(&f);
	}
}

static void test_a_stray_in_a_session_of_its_own_is_ended(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct fixture f;
		struct hookbox_result *r;
		pid_t stray = 0;

		open_sandbox(&f, command_plugins[i]);
		r = RUN(f.sandbox, PLAIN, "sh", "-c",
			"setsid sleep 3600 >/dev/null 2>&1 & echo $!");
		assert_int_equal(r->end, HOOKBOX_EXITED);
		assert_int_equal(sscanf(r->out, "%d", &stray), 1);
		assert_int_equal(process_start_time(stray), 0);
		assert_int_equal(r->cleanup, HOOKBOX_CLEANUP_SWEPT);
		hookbox_result_free(r);
		close_sandbox(&f);
	}
}

static void test_output_limits(void **state)
{
	FOR_EACH_PLUGIN(plugin) {
		struct hookbox_call call = {.stdout_limit = 1000, .stderr_limit = 10};
		struct fixture f;
		struct hookbox_result *r;

		open_sandbox(&f, *plugin);
		r = RUN(f.sandbox, call, "sh", "-c", "while :; do echo endless; done");
		assert_int_equal(r->end, HOOKBOX_OUTPUT_LIMIT);
		assert_int_equal(r->out_size, 1000);
		assert_true(r->out_dropped > 0);
		assert_int_equal(r->out_total, r->out_size + r->out_dropped);
		hookbox_result_free(r);
		call.flags = HOOKBOX_DROP_OUTPUT;
		r = RUN(f.sandbox, call, "sh", "-c",
			"head -c 5000 /dev/zero; echo 123456789abc >&2");
		assert_int_equal(r->end, HOOKBOX_EXITED);
		assert_int_equal(r->out_total, 5000);
		assert_int_equal(r->out_dropped, 4000);
		assert_string_equal(r->err, "123456789a");
		assert_int_equal(r->err_dropped, 3);
		hookbox_result_free(r);
		close_sandbox(&f);
	}
}

static void *fire_soon(void *cancel)
{
	usleep(200000);
	hookbox_cancel_fire(cancel);
	return NULL;
}

static void test_cancel(void **state)
{
	FOR_EACH_PLUGIN(plugin) {
		struct hookbox_call call = {.cancel = hookbox_cancel_new()};
		struct fixture f;
		struct hookbox_result *r;
		pthread_t thread;

		open_sandbox(&f, *plugin);
		pthread_create(&thread, NULL, fire_soon, call.cancel);
		r = RUN(f.sandbox, call, "sleep", "3600");
		assert_int_equal(r->end, HOOKBOX_CANCELLED);
		hookbox_result_free(r);
		pthread_join(thread, NULL);
		r = RUN(f.sandbox, call, "sleep", "3600");
		assert_int_equal(r->end, HOOKBOX_CANCELLED);
		assert_int_equal(r->cleanup, HOOKBOX_CLEANUP_PROVEN);
		hookbox_result_free(r);
		hookbox_cancel_free(call.cancel);
		close_sandbox(&f);
	}
}

static void expect_box_ended(const struct sandbox_plugin_v1 *plugin, const char *command,
			     enum hookbox_end end)
{
	struct hookbox_call call = {.timeout_ms = end == HOOKBOX_TIMED_OUT ? 300 : 30000};
	char path[] = "/tmp/hookbox-test-box-XXXXXX";
	struct fixture f;
	struct hookbox_result *r;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	fresh_file = path;
	open_sandbox(&f, plugin);
	r = RUN(f.sandbox, call, "sh", "-c", command);
	assert_int_equal(r->end, end);
	assert_int_equal(access(path, F_OK), -1);
	unlink(path);
	hookbox_result_free(r);
	close_sandbox(&f);
	fresh_file = "/dev/null";
}

static void test_a_fresh_box_is_ended_with_its_call(void **state)
{
	expect_box_ended(&fresh_plugin, "exec sleep 3600", HOOKBOX_TIMED_OUT);
}

static void test_a_fresh_box_that_was_not_seen_off_is_ended(void **state)
{
	expect_box_ended(&broken_plugin, "exit 0", HOOKBOX_EXITED);
}

static void test_a_broken_connection_is_lost(void **state)
{
	struct fixture f;
	struct hookbox_result *r;

	open_sandbox(&f, &kept_plugin);
	/* The command ends the shell that would report its end, as a cut connection would. */
	r = RUN(f.sandbox, PLAIN, "sh", "-c", "echo half; kill -9 $PPID; sleep 1");
	assert_int_equal(r->end, HOOKBOX_LOST);
	assert_contains(r->message, "not whole");
	hookbox_result_free(r);
	close_sandbox(&f);
}

static void test_backends_that_run_calls_themselves(void **state)
{
	struct hookbox_call call = {.stdin_data = "abc", .stdin_size = 3};
	struct fixture f;
	struct hookbox_result *r;

	open_sandbox(&f, &run_plugin);
	r = RUN(f.sandbox, call, "upper");
	assert_int_equal(r->end, HOOKBOX_EXITED);
	assert_int_equal(r->status, 3);
	assert_string_equal(r->out, "ABC");
	assert_int_equal(r->cleanup, HOOKBOX_CLEANUP_PROVEN);
	hookbox_result_free(r);
	call.stdout_limit = 2;
	r = RUN(f.sandbox, call, "upper");
	assert_int_equal(r->out_size, 2);
	hookbox_result_free(r);
	r = RUN(f.sandbox, call, "fail");
	assert_int_equal(r->end, HOOKBOX_NOT_STARTED);
	assert_contains(r->message, "the cloud is down");
	hookbox_result_free(r);
	/* No word about the end is no success. */
	r = RUN(f.sandbox, call, "forget");
	assert_int_equal(r->end, HOOKBOX_LOST);
	hookbox_result_free(r);
	close_sandbox(&f);
}

/* A reader that is gone or slow ends the call, not the program and not never. */
static void test_output_descriptors_of_such_backends(void **state)
{
	static char large[200000];
	struct fixture f;

	open_sandbox(&f, &run_plugin);
	for (int gone = 0; gone < 2; gone++) {
		struct hookbox_call call = {
			.stdin_data = large, .stdin_size = sizeof(large), .timeout_ms = 300,
			.use_output_fds = true,
		};
		struct hookbox_result *r;
		int fds[2];

		assert_int_equal(pipe(fds), 0);
		call.stdout_fd = call.stderr_fd = fds[1];
		if (gone)
			close(fds[0]);
		r = RUN(f.sandbox, call, "lost");
		assert_int_equal(r->end, gone ? HOOKBOX_CANCELLED : HOOKBOX_TIMED_OUT);
		hookbox_result_free(r);
		close(fds[1]);
		if (!gone)
			close(fds[0]);
	}
	close_sandbox(&f);
}

static void test_bad_requests(void **state)
{
	static const char *const bad_env[] = {"A-B=1", NULL};
	static const char *const own_env[] = {"HOOKBOX_CALL=1", NULL};
	static const char *const argv[] = {"true", NULL};
	static const char *const dash[] = {"-x", NULL};
	static const char *const none[] = {NULL};
	const struct {
		struct hookbox_call call;
		const char *message;
	} cases[] = {
		{{.argv = none}, "names no command"},
		{{.argv = dash}, "begins with a dash"},
		{{.argv = argv, .workdir = "relative"}, "not absolute"},
		{{.argv = argv, .env = bad_env}, "A-B"},
		{{.argv = argv, .env = own_env}, "HOOKBOX_CALL"},
		{{.argv = argv, .stdin_size = 1}, "input"},
		{{.argv = argv, .use_stdin_fd = true, .stdin_fd = -1}, "input"},
	};
	struct fixture f;

	open_sandbox(&f, &direct_plugin);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hookbox_result *result = NULL;
		struct hookbox_error error = {0};

		assert_true(sandbox_call(f.sandbox, &cases[i].call, &result, &error) < 0);
		assert_null(result);
		assert_contains(error.message, cases[i].message);
	}
	close_sandbox(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output_status_and_input),
		cmocka_unit_test(test_environment_and_directory),
		cmocka_unit_test(test_a_variable_of_the_prologue_is_refused),
		cmocka_unit_test(test_a_missing_command_or_directory),
		cmocka_unit_test(test_a_timeout_leaves_nothing),
		cmocka_unit_test(test_a_stray_in_a_session_of_its_own_is_ended),
		cmocka_unit_test(test_output_limits),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_a_fresh_box_is_ended_with_its_call),
		cmocka_unit_test(test_a_fresh_box_that_was_not_seen_off_is_ended),
		cmocka_unit_test(test_a_broken_connection_is_lost),
		cmocka_unit_test(test_backends_that_run_calls_themselves),
		cmocka_unit_test(test_output_descriptors_of_such_backends),
		cmocka_unit_test(test_bad_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
