/* SPDX-License-Identifier: MIT */
/* The prologue in the shells that boxes have: nothing may be lost or parsed on the way in. */
#include "unit.h"

#include "marks.h"
#include "prologue.h"
#include "spawn.h"

#define NONCE "0123456789abcdef0123456789abcdef"

/* How a box's sh is started; missing ones are left out. */
static const char *const shells[][3] = {
	{"/bin/dash", NULL}, {"/bin/bash", "--posix", NULL}, {"/bin/busybox", "sh", NULL},
};

struct outcome {
	int status;
	struct mark_stream marks[2];
	struct buf out[2];
};

static int collect(void *data, const char *bytes, size_t n)
{
	buf_add(data, bytes, n);
	return 0;
}

/* What the shell itself is started by, in all shells; NULL: directly. And its PATH. */
static const char *const *starter;
static const char *path = "PATH=/usr/bin:/bin";

static void run_script(const char *const *shell, const struct buf *input, struct outcome *outcome)
{
	const char *const env[] = {path, NULL};
	_cleanup_strv_ struct strv argv = {0};
	struct spawn_capture capture = {0};
	struct spawn_command command = {
		.env = env,
		.stdin_data = input->data,
		.stdin_size = input->size,
		.timeout_ms = 60000,
		.limit = 1 << 26,
	};

	for (const char *const *arg = starter; arg && *arg; arg++)
		strv_add(&argv, *arg);
	for (; *shell; shell++)
		strv_add(&argv, *shell);
	for (const char *const *arg = prologue_argv() + 1; *arg; arg++)
		strv_add(&argv, *arg);
	command.argv = strv_view(&argv);
	spawn_run_captured(&command, &capture);
	assert_int_equal(capture.result.end, SPAWN_EXITED);
	*outcome = (struct outcome){.status = capture.result.status};
	for (int i = 0; i < 2; i++) {
		struct buf *raw = i ? &capture.err : &capture.out;

		mark_stream_init(&outcome->marks[i], NONCE, collect, &outcome->out[i]);
		mark_feed(&outcome->marks[i], raw->data ? raw->data : "", raw->size);
		mark_finish(&outcome->marks[i]);
		buf_add(&outcome->out[i], "", 0);
	}
	spawn_capture_free(&capture);
}

static void outcome_free(struct outcome *outcome)
{
	for (int i = 0; i < 2; i++) {
		mark_stream_free(&outcome->marks[i]);
		buf_free(&outcome->out[i]);
	}
}

/* Other tests of this kind may run, and sweep as well. */
static const char *call_id(void)
{
	static char id[32];

	snprintf(id, sizeof(id), "owner%d-00000001", (int)getpid());
	return id;
}

/* Calls `check` for the outcome in each shell that is there; at least one must be. */
static void in_each_shell(const char *const *argv, const char *const *env, const char *cwd,
			  const char *rest, void (*check)(const struct outcome *outcome))
{
	_cleanup_buf_ struct buf input = {0};
	int tried = 0;

	prologue_build(&input, NONCE, call_id(), true, argv, env, cwd);
	buf_add_string(&input, rest);
	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
		struct outcome outcome;

		if (access(shells[i][0], X_OK))
			continue;
		tried++;
		run_script(shells[i], &input, &outcome);
		check(&outcome);
		outcome_free(&outcome);
	}
	assert_true(tried > 0);
}

static const char *const no_env[] = {NULL};

static void every_byte(char text[256])
{
	for (int i = 1; i < 256; i++)
		text[i - 1] = (char)i;
	text[255] = '\0';
}

static void check_every_byte(const struct outcome *outcome)
{
	char all[256];

	every_byte(all);
	assert_true(outcome->marks[0].ended);
	assert_true(outcome->marks[1].ended);
	assert_int_equal(outcome->marks[0].code, 7);
	assert_int_equal(outcome->marks[0].swept, SWEEP_CLEAN);
	assert_int_equal(outcome->out[0].size, 255 + 4);
	assert_memory_equal(outcome->out[0].data, all, 255);
	assert_memory_equal(outcome->out[0].data + 255, "rest", 4);
	assert_string_equal(outcome->out[1].data, all);
}

static void test_every_byte_gets_in_by_argument_and_environment(void **state)
{
	char all[256], variable[300];
	const char *const env[] = {variable, "LC_ALL=xx_YY.UTF-8", "IFS=x", "PS4=$(exit 3)", NULL};
	const char *const argv[] = {
		"sh",	"-c", "printf %s \"$1\"; cat; printf %s \"$HBX\" >&2; exit 7",
		"name", all,  NULL};

	every_byte(all);
	snprintf(variable, sizeof(variable), "HBX=%s", all);
	in_each_shell(argv, env, "/tmp", "rest", check_every_byte);
}

static void check_awkward(const struct outcome *outcome)
{
	assert_string_equal(outcome->out[0].data, "[][-n][*][$(id)][`id`][a  b]['][\n\n][\\]");
}

static void test_awkward_arguments_stay_as_they_are(void **state)
{
	const char *const argv[] = {"printf", "[%s]", "", "-n", "*", "$(id)", "`id`", "a  b", "'",
				    "\n\n", "\\", NULL};

	in_each_shell(argv, no_env, NULL, "", check_awkward);
}

static void check_no_command(const struct outcome *outcome)
{
	assert_int_equal(outcome->marks[1].failure, MARK_FAILED_COMMAND);
	assert_int_equal(outcome->marks[1].code, ENOENT);
}

static void test_a_missing_command_is_told(void **state)
{
	const char *const bare[] = {"no-such-command", NULL};
	const char *const path[] = {"/no/such/command", NULL};
	const char *const hidden[] = {"sh", NULL};
	const char *const empty_path[] = {"PATH=/nowhere", NULL};

	in_each_shell(bare, no_env, NULL, "", check_no_command);
	in_each_shell(path, no_env, NULL, "", check_no_command);
	in_each_shell(hidden, empty_path, NULL, "", check_no_command);
}

static void check_not_executable(const struct outcome *outcome)
{
	assert_int_equal(outcome->marks[1].failure, MARK_FAILED_COMMAND);
	assert_int_equal(outcome->marks[1].code, EACCES);
}

static void test_what_is_not_executable_is_told(void **state)
{
	const char *const file[] = {"/etc/passwd", NULL};
	const char *const directory[] = {"/tmp", NULL};

	in_each_shell(file, no_env, NULL, "", check_not_executable);
	in_each_shell(directory, no_env, NULL, "", check_not_executable);
}

static void check_no_directory(const struct outcome *outcome)
{
	assert_int_equal(outcome->marks[1].failure, MARK_FAILED_WORKDIR);
	assert_int_equal(outcome->marks[1].code, ENOENT);
	assert_int_equal(outcome->out[0].size, 0);
}

static void check_not_a_directory(const struct outcome *outcome)
{
	assert_int_equal(outcome->marks[1].failure, MARK_FAILED_WORKDIR);
	assert_int_equal(outcome->marks[1].code, ENOTDIR);
}

static void test_a_missing_directory_is_told(void **state)
{
	const char *const argv[] = {"echo", "ran", NULL};

	in_each_shell(argv, no_env, "/no/such'\ndirectory", "", check_no_directory);
	in_each_shell(argv, no_env, "/etc/passwd", "", check_not_a_directory);
}

static void check_exit_127(const struct outcome *outcome)
{
	assert_int_equal(outcome->marks[1].failure, MARK_NO_FAILURE);
	assert_int_equal(outcome->marks[1].code, 127);
	assert_true(outcome->marks[1].ended);
}

static void test_a_commands_own_127_is_its_own(void **state)
{
	const char *const argv[] = {"sh", "-c", "exit 127", NULL};

	in_each_shell(argv, no_env, NULL, "", check_exit_127);
}

static void check_signal(const struct outcome *outcome)
{
	assert_int_equal(outcome->marks[0].code, 128 + 9);
	assert_string_equal(outcome->out[1].data, "");
}

static void test_the_shell_says_nothing_about_a_signal(void **state)
{
	const char *const argv[] = {"sh", "-c", "kill -9 $$", NULL};

	in_each_shell(argv, no_env, NULL, "", check_signal);
}

static void check_no_stray(const struct outcome *outcome)
{
	assert_true(outcome->marks[0].ended);
	assert_int_equal(outcome->marks[0].code, 0);
	assert_int_equal(outcome->marks[0].swept, SWEEP_CLEAN);
	assert_string_equal(outcome->out[0].data, "done");
}

/* spawn_run_captured would report a stray holder of stdout as truncated, and take 500 ms. */
static void test_strays_do_not_outlive_the_command(void **state)
{
	/* After some time it is not known any more which processes came with the command. */
	static const char *const scripts[] = {
		"setsid sleep 3600 & printf done",
		"setsid sleep 3600 & sleep 0.4; printf done",
		"env -i setsid /bin/sleep 3600 & sleep 0.1; printf done",
		"env -i setsid /bin/sleep 3600 & sleep 0.4; printf done",
	};

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		const char *const argv[] = {"sh", "-c", scripts[i], NULL};

		in_each_shell(argv, no_env, NULL, "", check_no_stray);
	}
}

/* ---- With processes and pids of its own ---- */

#define ALONE "unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"

static void need_pids_of_our_own(void)
{
	if (system("unshare --user --map-root-user --pid --fork --mount-proc "
		   "sh -c 'echo 99 >/proc/sys/kernel/ns_last_pid' 2>/dev/null"))
		skip();
}

static int start_as_ever(void **state)
{
	starter = NULL;
	path = "PATH=/usr/bin:/bin";
	return 0;
}

static int n_clean;

static void count_clean(const struct outcome *outcome)
{
	assert_int_equal(outcome->marks[0].code, 5);
	/* A machine that is busy for a moment makes it look all the same. */
	if (outcome->marks[0].swept != SWEEP_CANNOT_SEE)
		assert_int_equal(outcome->marks[0].swept, SWEEP_CLEAN);
	n_clean += outcome->marks[0].swept == SWEEP_CLEAN;
}

/* Nothing is started to look with when there is nothing new: without it, all is well. */
static void test_nothing_is_started_after_a_command_that_left_nothing(void **state)
{
	static const char *const alone[] = {ALONE, NULL};
	const char *const argv[] = {"/bin/sh", "-c", "exit 5", NULL};

	need_pids_of_our_own();
	starter = alone;
	path = "PATH=/nowhere";
	n_clean = 0;
	for (int i = 0; i < 100 && n_clean < 3; i++)
		in_each_shell(argv, no_env, NULL, "", count_clean);
	assert_true(n_clean >= 3);
}

static void check_no_heir(const struct outcome *outcome)
{
	check_no_stray(outcome);
	assert_int_equal(outcome->status, 0);
}

/* The command leaves a process behind that has the pid of one that was there before. */
static void test_a_pid_that_was_given_anew_hides_nothing(void **state)
{
	static const char *const with_victim[] = {
		ALONE, "sh", "-c",
		"sleep 3600 </dev/null >/dev/null 2>&1 & VICTIM=$!; export VICTIM; \"$@\"; "
		"! grep -q HOOKBOX_CALL /proc/$VICTIM/environ 2>/dev/null",
		"sh", NULL};
	const char *const argv[] = {
		"sh", "-c",
		"kill -9 $VICTIM; while [ -e /proc/$VICTIM ]; do :; done; "
		"echo $((VICTIM-1)) >/proc/sys/kernel/ns_last_pid; "
		"sleep 3600 >/dev/null 2>&1 & [ $! = $VICTIM ] && printf done", NULL};

	need_pids_of_our_own();
	starter = with_victim;
	in_each_shell(argv, no_env, NULL, "", check_no_heir);
}

static void check_input_cut(const struct outcome *outcome)
{
	assert_int_equal(outcome->marks[1].failure, MARK_FAILED_INPUT);
	assert_int_equal(outcome->out[0].size, 0);
}

static void test_a_cut_prologue_runs_nothing(void **state)
{
	const char *const argv[] = {"echo", "ran", NULL};
	_cleanup_buf_ struct buf input = {0};

	prologue_build(&input, NONCE, call_id(), true, argv, no_env, NULL);
	input.size -= 2;
	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
		struct outcome outcome;

		if (access(shells[i][0], X_OK))
			continue;
		run_script(shells[i], &input, &outcome);
		check_input_cut(&outcome);
		outcome_free(&outcome);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_byte_gets_in_by_argument_and_environment),
		cmocka_unit_test(test_awkward_arguments_stay_as_they_are),
		cmocka_unit_test(test_a_missing_command_is_told),
		cmocka_unit_test(test_what_is_not_executable_is_told),
		cmocka_unit_test(test_a_missing_directory_is_told),
		cmocka_unit_test(test_a_commands_own_127_is_its_own),
		cmocka_unit_test(test_the_shell_says_nothing_about_a_signal),
		cmocka_unit_test(test_strays_do_not_outlive_the_command),
		cmocka_unit_test_teardown(
			test_nothing_is_started_after_a_command_that_left_nothing, start_as_ever),
		cmocka_unit_test_teardown(test_a_pid_that_was_given_anew_hides_nothing,
					  start_as_ever),
		cmocka_unit_test(test_a_cut_prologue_runs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
