/* SPDX-License-Identifier: MIT */
/* The agent: what a command gets, and what comes back. */
#include "agent_host.h"

#include <sys/stat.h>

#define SH(script) ((const char *const[]){"/bin/sh", "-c", (script), NULL})
#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_hello_says_what_it_is(void **state)
{
	struct agent_host host;

	host_start(&host);
	assert_contains(host.hello.name, "hookbox-agent ");
	assert_string_equal(host.hello.system, "Linux");
	assert_true(host.hello.machine[0]);
	assert_int_equal(host.hello.pid, host.pid);
	assert_int_equal(host.hello.features, FRAME_CAN_PROVE | FRAME_CAN_HIDE);
	assert_true(host.hello.max_calls >= 100);
	assert_int_equal(host.hello.max_block, FRAME_BLOCK_MAX);
	host_stop(&host);
}

static void test_all_bytes_come_back(void **state)
{
	struct agent_host host;
	struct host_call *call;
	char all[256];

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	host_start(&host);
	call = host_run(&host, &(struct ask){.argv = ARGV("cat"), .input = all, .input_size = 256});
	assert_ended(call, FRAME_EXITED, 0, FRAME_PROVEN);
	assert_int_equal(call->out[0].size, 256);
	assert_memory_equal(call->out[0].data, all, 256);
	assert_int_equal(call->exit.total[0], 256);
	assert_int_equal(call->exit.flags, 0);
	assert_true(call->exit.duration_us >= call->exit.start_us);
	host_stop(&host);
}

static char *pattern(size_t n)
{
	char *bytes = malloc(n);

	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)(i * 2654435761u >> 13);
	return bytes;
}

static void test_much_in_and_out(void **state)
{
	size_t n = 8 << 20;
	char *much = pattern(n);
	struct agent_host host;
	struct host_call *call;

	host_start(&host);
	call = host_run(&host, &(struct ask){.argv = SH("tee /dev/stderr"), .input = much,
					     .input_size = n});
	assert_ended(call, FRAME_EXITED, 0, FRAME_PROVEN);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(call->out[i].size, n);
		assert_memory_equal(call->out[i].data, much, n);
	}
	host_stop(&host);
	free(much);
}

static void test_stdin_in_pieces(void **state)
{
	struct agent_host host;
	struct host_call *call;
	uint32_t id;

	host_start(&host);
	id = host_ask(&host, &(struct ask){.argv = ARGV("cat"), .input = "onetwo", .input_size = 3,
					   .input_open = true});
	call = &host.calls[id];
	host_until(&host, call->out[0].size == 3);
	call->input_size = 6;
	host_until(&host, call->out[0].size == 6);
	assert_string_equal(host_text(call, 0), "onetwo");
	assert_false(call->done);
	call->input_open = false;
	assert_ended(host_wait(&host, id), FRAME_EXITED, 0, FRAME_PROVEN);
	host_stop(&host);
}

static void test_command_that_reads_nothing(void **state)
{
	size_t n = 4 << 20;
	char *much = pattern(n);
	struct agent_host host;
	struct host_call *call;

	host_start(&host);
	/* It ends without reading; it says that it will not read, and goes on. */
	call = host_run(&host, &(struct ask){.argv = ARGV("true"), .input = much, .input_size = n});
	assert_ended(call, FRAME_EXITED, 0, FRAME_PROVEN);
	call = host_run(&host, &(struct ask){.argv = SH("exec <&-; sleep 0.1; echo done"),
					     .input = much, .input_size = n});
	assert_ended(call, FRAME_EXITED, 0, FRAME_PROVEN);
	assert_string_equal(host_text(call, 0), "done\n");
	assert_true(call->stdin_gone);
	/* Without stdin there is none. */
	call = host_run(&host, &(struct ask){.argv = SH("readlink /proc/self/fd/0; cat")});
	assert_string_equal(host_text(call, 0), "/dev/null\n");
	host_stop(&host);
	free(much);
}

static void test_two_hundred_calls_at_once(void **state)
{
	struct agent_host host;
	char inputs[200][32];

	host_start(&host);
	for (int i = 0; i < 200; i++) {
		snprintf(inputs[i], sizeof(inputs[i]), "call %d", i);
		host_ask(&host, &(struct ask){.argv = SH("sleep 0.2; cat; echo err >&2; exit 3"),
					      .input = inputs[i], .input_size = strlen(inputs[i])});
	}
	for (uint32_t id = 1; id <= 200; id++) {
		struct host_call *call = host_wait(&host, id);

		assert_ended(call, FRAME_EXITED, 3, FRAME_PROVEN);
		assert_string_equal(host_text(call, 0), inputs[id - 1]);
		assert_string_equal(host_text(call, 1), "err\n");
	}
	host_stop(&host);
}

static void test_more_calls_than_it_takes(void **state)
{
	const struct ask ask = {.argv = ARGV("sleep", "0.3")};
	struct agent_host host;
	uint32_t refused = 0;

	host_start_as(&host, ARGV("/bin/sh", "-c", "ulimit -n 82; exec \"$0\"",
				  agent_path("hookbox-agent")), NULL);
	host_greet(&host, 0, 0);
	assert_int_equal(host.hello.max_calls, 10);
	for (int i = 0; i < 15; i++)
		host_ask(&host, &ask);
	for (uint32_t id = 1; id <= 15; id++) {
		const struct frame_exit *exit = &host_wait(&host, id)->exit;

		if (exit->end == FRAME_EXITED)
			continue;
		refused++;
		assert_int_equal(exit->end, FRAME_NOT_STARTED);
		assert_int_equal(exit->step, FRAME_STEP_RESOURCES);
		assert_int_equal(exit->error_number, EAGAIN);
	}
	assert_int_equal(refused, 5);
	host_stop(&host);
}

/* ---- What could not be started ---- */

static void assert_not_started(struct agent_host *host, const struct ask *ask, enum frame_step step,
			       int error_number)
{
	const struct frame_exit *exit = &host_run(host, ask)->exit;

	assert_int_equal(exit->end, FRAME_NOT_STARTED);
	assert_int_equal(exit->step, step);
	assert_int_equal(exit->error_number, error_number);
	assert_int_equal(exit->cleanup, FRAME_PROVEN);
	assert_int_equal(exit->total[0] + exit->total[1], 0);
}

static void make_file(const char *directory, const char *name, const char *text, mode_t mode)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	fputs(text, file);
	fchmod(fileno(file), mode);
	fclose(file);
}

static void test_what_cannot_be_started(void **state)
{
	char directory[] = "/tmp/agent-XXXXXX", path[64], remove[64];
	const char *env[] = {path, NULL};
	char *large = malloc(300000);
	struct agent_host host;
	struct host_call *call;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "PATH=%s:/bin:/usr/bin", directory);
	snprintf(remove, sizeof(remove), "rm -r %s", directory);
	make_file(directory, "plain", "", 0644);
	make_file(directory, "no-program", "what is this", 0755);
	make_file(directory, "no-interpreter", "#!/does/not/exist\n", 0755);
	memset(large, 'x', 299999);
	large[299999] = '\0';
	host_start(&host);
#define FAILS(step, code, ...) \
	assert_not_started(&host, &(struct ask){.env = env, __VA_ARGS__}, step, code)
	FAILS(FRAME_STEP_WORKDIR, ENOTDIR, .argv = ARGV("true"), .cwd = "/does/not/exist");
	FAILS(FRAME_STEP_WORKDIR, ENOTDIR, .argv = ARGV("true"), .cwd = "/bin/sh");
	FAILS(FRAME_STEP_COMMAND, ENOENT, .argv = ARGV("no-such-command"));
	FAILS(FRAME_STEP_COMMAND, ENOENT, .argv = ARGV("/no/such/command"));
	FAILS(FRAME_STEP_COMMAND, EACCES, .argv = ARGV("plain"));
	FAILS(FRAME_STEP_COMMAND, EACCES, .argv = ARGV("./plain"), .cwd = directory);
	FAILS(FRAME_STEP_COMMAND, EACCES, .argv = ARGV("/"));
	FAILS(FRAME_STEP_EXEC, ENOEXEC, .argv = ARGV("no-program"));
	FAILS(FRAME_STEP_EXEC, ENOENT, .argv = ARGV("no-interpreter"));
	FAILS(FRAME_STEP_EXEC, E2BIG, .argv = ARGV("true", large));
	/* And the next one is. */
	call = host_run(&host, &(struct ask){.argv = SH(remove)});
	assert_string_equal(host_text(call, 1), "");
	assert_ended(call, FRAME_EXITED, 0, FRAME_PROVEN);
	host_stop(&host);
	free(large);
}

/* ---- What a command finds ---- */

static void test_environment_byte_for_byte(void **state)
{
	char every[300] = "EVERY=", value[16] = "HOME=/later";
	const char *env[] = {"HOME=/first", "EMPTY=", every, "N=a\nb", value, NULL};
	struct agent_host host;
	struct host_call *call;
	struct buf expected = {0};

	for (int i = 1; i < 256; i++)
		every[5 + i] = (char)i;
	host_start(&host);
	call = host_run(&host, &(struct ask){.argv = ARGV("cat", "/proc/self/environ"), .env = env,
					     .call = {.flags = FRAME_CLEAN_ENV}});
	buf_add(&expected, value, strlen(value) + 1);
	for (int i = 1; i < 4; i++)
		buf_add(&expected, env[i], strlen(env[i]) + 1);
	assert_ended(call, FRAME_EXITED, 0, FRAME_PROVEN);
	assert_int_equal(call->out[0].size, expected.size);
	assert_memory_equal(call->out[0].data, expected.data, expected.size);
	buf_free(&expected);
	host_stop(&host);
}

static void test_environment_over_the_agents_own(void **state)
{
	const char *env[] = {"AGENT_TEST_B=call's", "AGENT_TEST_C=new", NULL};
	struct agent_host host;
	struct host_call *call;

	setenv("AGENT_TEST_A", "agent's", 1);
	setenv("AGENT_TEST_B", "agent's", 1);
	host_start(&host);
	call = host_run(&host, &(struct ask){
		.argv = SH("echo $AGENT_TEST_A $AGENT_TEST_B $AGENT_TEST_C"), .env = env});
	assert_string_equal(host_text(call, 0), "agent's call's new\n");
	host_stop(&host);
	unsetenv("AGENT_TEST_A");
	unsetenv("AGENT_TEST_B");
}

static void test_large_environment_and_arguments(void **state)
{
	struct agent_host host;
	struct host_call *call;
	char *names[3001], *argument = malloc(100001);

	memset(argument, 'a', 100000);
	argument[100000] = '\0';
	for (int i = 0; i < 3000; i++)
		assert_true(asprintf(&names[i], "NAME_%d=%0100d", i, i) > 0);
	names[3000] = NULL;
	host_start(&host);
	call = host_run(&host, &(struct ask){
		.argv = ARGV("/bin/sh", "-c", "echo ${#1} $NAME_2999; env | grep -c ^NAME_", "sh",
			     argument),
		.env = (const char *const *)names});
	assert_ended(call, FRAME_EXITED, 0, FRAME_PROVEN);
	assert_contains(host_text(call, 0), "100000 0000");
	assert_contains(host_text(call, 0), "2999\n3000\n");
	host_stop(&host);
	for (int i = 0; i < 3000; i++)
		free(names[i]);
	free(argument);
}

static void test_nothing_is_inherited(void **state)
{
	struct agent_host host;
	struct host_call *call;

	signal(SIGINT, SIG_IGN);
	host_start(&host);
	signal(SIGINT, SIG_DFL);
	call = host_run(&host, &(struct ask){.argv = SH(
		"for n in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$n ] && echo -n $n; done;"
		"echo; grep Sig /proc/self/status")});
	assert_contains(host_text(call, 0), "012\n");
	assert_contains(host_text(call, 0), "SigBlk:\t0000000000000000\n");
	assert_contains(host_text(call, 0), "SigIgn:\t0000000000000000\n");
	/* Open descriptors of other calls, and of the channel, are not there either. */
	host_ask(&host, &(struct ask){.argv = ARGV("sleep", "0.5")});
	host_ask(&host, &(struct ask){.argv = ARGV("sleep", "0.5")});
	call = host_run(&host, &(struct ask){.argv = SH(
		"for n in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$n ] && echo -n $n; done")});
	assert_string_equal(host_text(call, 0), "012");
	host_stop(&host);
}

static void test_working_directory(void **state)
{
	struct agent_host host;

	host_start(&host);
	assert_string_equal(host_text(host_run(&host, &(struct ask){.argv = ARGV("pwd"),
								    .cwd = "/usr/bin"}), 0),
			    "/usr/bin\n");
	assert_string_equal(host_text(host_run(&host, &(struct ask){.argv = ARGV("./pwd"),
								    .cwd = "/usr/bin"}), 0),
			    "/usr/bin\n");
	host_stop(&host);
}

/* ---- Credit and limits ---- */

static void test_no_credit_holds_only_its_own_call(void **state)
{
	struct agent_host host;
	struct host_call *call;
	uint32_t id;

	host_start(&host);
	id = host_ask(&host, &(struct ask){.argv = SH("head -c 200000 /dev/zero; echo e >&2"),
					   .stingy = true, .call.window = {1000, 1000}});
	call = &host.calls[id];
	for (int i = 0; i < 20; i++)
		assert_ended(host_run(&host, &(struct ask){.argv = ARGV("true")}), FRAME_EXITED, 0,
			     FRAME_PROVEN);
	assert_false(call->done);
	host_until(&host, call->out[0].size == 1000);
	host_give(&host, id, 1, 150000);
	host_until(&host, call->out[0].size == 151000);
	/* The command has ended; the rest still waits for us. */
	for (int i = 0; i < 40; i++)
		host_step(&host, 20);
	assert_false(call->done);
	host_give(&host, id, 1, 100000);
	assert_ended(host_wait(&host, id), FRAME_EXITED, 0, FRAME_PROVEN);
	assert_int_equal(call->exit.total[0], 200000);
	assert_int_equal(call->exit.flags & FRAME_TRUNCATED, 0);
	host_stop(&host);
}

static void test_small_calls_beside_a_stream(void **state)
{
	struct agent_host host;
	uint32_t id;

	host_start(&host);
	id = host_ask(&host, &(struct ask){.argv = SH("head -c 30000000 /dev/zero")});
	for (int i = 0; i < 50; i++)
		assert_string_equal(host_text(host_run(&host, &(struct ask){
			.argv = ARGV("echo", "small")}), 0), "small\n");
	assert_ended(host_wait(&host, id), FRAME_EXITED, 0, FRAME_PROVEN);
	assert_int_equal(host.calls[id].out[0].size, 30000000);
	host_stop(&host);
}

static void test_output_limits(void **state)
{
	struct agent_host host;
	struct host_call *call;

	host_start(&host);
	call = host_run(&host, &(struct ask){.argv = ARGV("cat", "/dev/zero"),
					     .call = {.limit = {5000, 0}, .grace_ms = 1000}});
	assert_ended(call, FRAME_OUTPUT_LIMIT, 0, FRAME_PROVEN);
	assert_int_equal(call->out[0].size, 5000);
	assert_true(call->exit.dropped[0] > 0);
	assert_int_equal(call->exit.flags, FRAME_KILLED);
	/* The limit itself may be reached. */
	call = host_run(&host, &(struct ask){.argv = ARGV("echo", "1234"), .call.limit = {5, 0}});
	assert_ended(call, FRAME_EXITED, 0, FRAME_PROVEN);
	/* It has ended, and wrote too much nevertheless. */
	call = host_run(&host, &(struct ask){.argv = ARGV("echo", "12345"), .call.limit = {5, 0}});
	assert_ended(call, FRAME_OUTPUT_LIMIT, 0, FRAME_PROVEN);
	assert_string_equal(host_text(call, 0), "12345");
	call = host_run(&host, &(struct ask){
		.argv = SH("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2"),
		.call = {.limit = {70000, 10}, .flags = FRAME_DROP_STDOUT}});
	assert_ended(call, FRAME_EXITED, 0, FRAME_PROVEN);
	assert_int_equal(call->exit.total[0], 300000);
	assert_int_equal(call->exit.dropped[0], 230000);
	assert_int_equal(call->exit.dropped[1], 299990);
	host_stop(&host);
}

static void test_stdout_closed_early(void **state)
{
	struct agent_host host;
	struct host_call *call;

	host_start(&host);
	call = host_run(&host, &(struct ask){.argv = SH("echo out; exec >&-; sleep 0.1; echo err "
							">&2; exec 2>&-; sleep 0.1; exit 4")});
	assert_ended(call, FRAME_EXITED, 4, FRAME_PROVEN);
	assert_string_equal(host_text(call, 0), "out\n");
	assert_string_equal(host_text(call, 1), "err\n");
	host_stop(&host);
}

static void test_output_comes_while_it_runs(void **state)
{
	struct agent_host host;
	uint32_t id;

	host_start(&host);
	id = host_ask(&host, &(struct ask){.argv = SH("echo one; read x; echo two"),
					   .input = "\n", .input_open = true});
	host_until(&host, host.calls[id].out[0].size == 4);
	host.calls[id].input_size = 1;
	host_until(&host, host.calls[id].done);
	assert_string_equal(host_text(&host.calls[id], 0), "one\ntwo\n");
	host_stop(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hello_says_what_it_is),
		cmocka_unit_test(test_all_bytes_come_back),
		cmocka_unit_test(test_much_in_and_out),
		cmocka_unit_test(test_stdin_in_pieces),
		cmocka_unit_test(test_command_that_reads_nothing),
		cmocka_unit_test(test_two_hundred_calls_at_once),
		cmocka_unit_test(test_more_calls_than_it_takes),
		cmocka_unit_test(test_what_cannot_be_started),
		cmocka_unit_test(test_environment_byte_for_byte),
		cmocka_unit_test(test_environment_over_the_agents_own),
		cmocka_unit_test(test_large_environment_and_arguments),
		cmocka_unit_test(test_nothing_is_inherited),
		cmocka_unit_test(test_working_directory),
		cmocka_unit_test(test_no_credit_holds_only_its_own_call),
		cmocka_unit_test(test_small_calls_beside_a_stream),
		cmocka_unit_test(test_output_limits),
		cmocka_unit_test(test_stdout_closed_early),
		cmocka_unit_test(test_output_comes_while_it_runs),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
