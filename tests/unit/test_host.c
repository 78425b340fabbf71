/* SPDX-License-Identifier: MIT */
/* The public API, as an embedder sees it: hooks and commands through the host. */
#include "terminal.h"

#include <dirent.h>
#include <pthread.h>

#include "hookbox.h"
#include "hookbox/sandbox_plugin.h"

/* ---- A backend that the program brings: the command's name comes back as output ---- */

static int echo_run(void *instance, const struct sandbox_plan_request *request,
		    const struct sandbox_run_io *io, struct sandbox_run_result *result,
		    char error[SANDBOX_ERROR_SIZE])
{
	io->write_output(io, 1, request->argv[0], strlen(request->argv[0]));
	result->verdict.end = SANDBOX_END_COMMAND;
	result->proven = true;
	return 0;
}

static const void *echo_extension(const char *id)
{
	static const struct sandbox_run_v1 run = {.size = sizeof(run), .run = echo_run};

	return strcmp(id, SANDBOX_RUN_EXTENSION) ? NULL : &run;
}

/* It says something of each level when its sandbox is made. */
static int talkative_open(void *instance, const struct sandbox_host *host,
		     char error[SANDBOX_ERROR_SIZE])
{
	host->log(host, SANDBOX_LOG_ERROR, "an error");
	host->log(host, SANDBOX_LOG_WARNING, "a warning");
	host->log(host, SANDBOX_LOG_INFO, "an info");
	host->log(host, SANDBOX_LOG_DEBUG, "a detail");
	return 0;
}

#define ECHO_PLUGIN(plugin_name)                                                              \
	{                                                                                     \
		.magic = SANDBOX_PLUGIN_MAGIC, .struct_size = sizeof(struct sandbox_plugin_v1), \
		.name = plugin_name, .version = "1", .summary = "a backend of this test",        \
		.flags = SANDBOX_FRESH, .param_size = sizeof(struct sandbox_param),              \
		.instance_size = 1, .get_extension = echo_extension,                             \
	}

static const struct sandbox_plugin_v1 echo_plugin = ECHO_PLUGIN("echo");
static const struct sandbox_plugin_v1 talkative_plugin = {
	.magic = SANDBOX_PLUGIN_MAGIC, .struct_size = sizeof(struct sandbox_plugin_v1),
	.name = "talkative", .version = "1", .summary = "a backend of this test",
	.flags = SANDBOX_FRESH, .param_size = sizeof(struct sandbox_param), .instance_size = 1,
	.open = talkative_open, .get_extension = echo_extension,
};
static const struct sandbox_plugin_v1 other_direct_plugin = ECHO_PLUGIN("direct");

/* ---- Helpers ---- */

/* A hook whose command is a script on one line. */
#define HOOK(name, type, phase, script)                              \
	"[hook " name "]\ncommand = sh\nargs = -c\n\t" script "\n"    \
	"hook = " type "\nphases = " phase "\n"
#define ALLOW "echo '{\"allow\":true}'"
#define DENY(reason) \
	"echo '{\"allow\":false,\"reason\":\"" reason "\",\"metadata\":{\"by\":\"" reason "\"}}'"
#define ENFORCED(reason) "echo '{\"allow\":false,\"enforced\":true,\"reason\":\"" reason "\"}'"

static struct hookbox *open_text(const char *text)
{
	const struct hookbox_options options = {.size = sizeof(options), .config_text = text};
	struct hookbox_error error = {0};
	struct hookbox *box = hookbox_open(&options, &error);

	if (!box)
		fail_msg("%s", error.message);
	return box;
}

static void refuses_options(const struct hookbox_options *options, const char *why)
{
	struct hookbox_error error = {0};

	assert_null(hookbox_open(options, &error));
	assert_true(error.code < 0);
	assert_contains(error.message, why);
}

static struct hookbox_event event(const char *type, const char *phase)
{
	return (struct hookbox_event){
		.size = sizeof(struct hookbox_event),
		.type = type,
		.phase = phase,
		.json = "{}",
		.json_size = 2,
	};
}

static struct hookbox_decision *emit(struct hookbox *box, const char *type, const char *phase)
{
	const struct hookbox_event e = event(type, phase);
	struct hookbox_decision *decision = NULL;
	struct hookbox_error error = {0};

	if (hookbox_emit(box, &e, &decision, &error) < 0)
		fail_msg("%s", error.message);
	return decision;
}

static void refuses_event(struct hookbox *box, const char *hook, struct hookbox_event e,
			  const char *why)
{
	struct hookbox_decision *decision = NULL;
	struct hookbox_error error = {0};
	int r = hook ? hookbox_run(box, hook, &e, &decision, &error) :
		       hookbox_emit(box, &e, &decision, &error);

	assert_true(r < 0);
	assert_int_equal(r, error.code);
	assert_null(decision);
	assert_contains(error.message, why);
}

static size_t count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* ---- emit ---- */

static void test_hooks_run_in_order_until_one_denies(void **state)
{
	struct hookbox *box = open_text(HOOK("c", "provider", "before_call", ALLOW)
					HOOK("b", "provider", "before_call", DENY("b"))
					HOOK("a", "provider", "before_call", DENY("a")));
	struct hookbox_decision *decision = emit(box, "provider", "before_call");

	assert_int_equal(decision->verdict, HOOKBOX_DENY);
	assert_string_equal(decision->hook, "b");
	assert_string_equal(decision->reason, "b");
	assert_string_equal(decision->metadata, "{\"by\":\"b\"}");
	assert_int_equal(decision->n_outcomes, 2);
	assert_string_equal(decision->outcomes[0].hook, "c");
	assert_int_equal(decision->outcomes[0].verdict, HOOKBOX_ALLOW);
	assert_int_equal(decision->outcomes[1].result->end, HOOKBOX_EXITED);
	hookbox_decision_free(decision);
	hookbox_close(box);
}

static void test_enforced_goes_on_and_a_deny_overrules_it(void **state)
{
	struct hookbox *box = open_text(
		HOOK("first", "provider", "before_call\n\tafter_call", ENFORCED("first"))
		HOOK("second", "provider", "before_call\n\tafter_call", ENFORCED("second"))
		HOOK("third", "provider", "after_call", DENY("third")));
	struct hookbox_decision *decision = emit(box, "provider", "before_call");

	assert_int_equal(decision->verdict, HOOKBOX_ENFORCED);
	assert_string_equal(decision->hook, "first");
	assert_string_equal(decision->reason, "first");
	assert_int_equal(decision->n_outcomes, 2);
	hookbox_decision_free(decision);
	decision = emit(box, "provider", "after_call");
	assert_int_equal(decision->verdict, HOOKBOX_DENY);
	assert_string_equal(decision->hook, "third");
	assert_int_equal(decision->n_outcomes, 3);
	hookbox_decision_free(decision);
	hookbox_close(box);
}

static void test_only_listeners_run(void **state)
{
	struct hookbox *box = open_text(HOOK("a", "tool", "before_execution", DENY("a"))
					HOOK("b", "provider", "after_call", DENY("b"))
					HOOK("c", "provider", "before_call", ALLOW)
					"[hook d]\ncommand = cat\nhook = eval\n");
	struct hookbox_decision *decision = emit(box, "provider", "before_call");

	assert_int_equal(decision->verdict, HOOKBOX_ALLOW);
	assert_null(decision->hook);
	assert_int_equal(decision->n_outcomes, 1);
	hookbox_decision_free(decision);
	decision = emit(box, "session", "session_end");
	assert_int_equal(decision->verdict, HOOKBOX_ALLOW);
	assert_int_equal(decision->n_outcomes, 0);
	hookbox_decision_free(decision);
	decision = emit(box, "eval", NULL);
	assert_int_equal(decision->n_outcomes, 1);
	assert_string_equal(decision->outcomes[0].result->out, "{}");
	hookbox_decision_free(decision);
	hookbox_close(box);
}

static void test_an_observer_does_not_stop_the_others(void **state)
{
	struct hookbox *box = open_text(
		HOOK("a", "provider", "before_call", "exit 5") "mode = observe\n"
		HOOK("b", "provider", "before_call", DENY("b")));
	struct hookbox_decision *decision = emit(box, "provider", "before_call");

	assert_int_equal(decision->n_outcomes, 2);
	assert_int_equal(decision->outcomes[0].cause, HOOKBOX_CAUSE_NOT_GATING);
	assert_contains(decision->outcomes[0].reason, "code 5");
	assert_string_equal(decision->hook, "b");
	hookbox_decision_free(decision);
	hookbox_close(box);
}

static void test_on_error_is_said(void **state)
{
	struct hookbox *box = open_text(
		HOOK("a", "provider", "before_call", "exit 5") "on_error = exit:allow\n");
	struct hookbox_decision *decision = emit(box, "provider", "before_call");

	assert_int_equal(decision->verdict, HOOKBOX_ALLOW);
	assert_true(decision->outcomes[0].loosened);
	hookbox_decision_free(decision);
	hookbox_close(box);
}

static void test_bad_events_are_refused(void **state)
{
	struct hookbox *box = open_text(HOOK("a", "provider", "before_call", ALLOW));
	struct hookbox_event e = event("provider", "before_call");

	refuses_event(box, NULL, event("provder", "before_call"), "did you mean \"provider\"?");
	refuses_event(box, NULL, event(NULL, "before_call"),
		      "there is provider, tool, session, eval");
	refuses_event(box, NULL, event("provider", "befor_call"), "did you mean \"before_call\"?");
	refuses_event(box, NULL, event("provider", "session_end"), "no phase of provider");
	refuses_event(box, NULL, event("provider", NULL), "needs a phase");
	refuses_event(box, NULL, event("eval", "before_call"), "has no phase");
	e.json = "{}{}";
	e.json_size = 4;
	refuses_event(box, NULL, e, "byte 3");
	e.json = NULL;
	refuses_event(box, NULL, e, "json is NULL");
	e.json_size = 0;
	refuses_event(box, NULL, e, "empty");
	e.size = 0;
	refuses_event(box, NULL, e, "size is not set");
	hookbox_close(box);
}

/* ---- run ---- */

static void test_run_fills_in_what_is_clear(void **state)
{
	struct hookbox *box = open_text(
		HOOK("zero", "provider", "before_call", DENY("not asked"))
		HOOK("one", "provider", "before_call",
		     "grep -q '\"phase\":\"before_call\"' && " ALLOW)
		HOOK("two", "tool", "before_execution\n\tafter_execution", ALLOW)
		"[hook three]\ncommand = cat\nhook = eval\n");
	struct hookbox_event e = event(NULL, NULL);
	struct hookbox_decision *decision;

	assert_int_equal(hookbox_run(box, "one", &e, &decision, NULL), 0);
	assert_int_equal(decision->verdict, HOOKBOX_ALLOW);
	assert_int_equal(decision->n_outcomes, 1);
	assert_int_equal(decision->outcomes[0].cause, HOOKBOX_CAUSE_ANSWER);
	hookbox_decision_free(decision);
	assert_int_equal(hookbox_run(box, "three", &e, &decision, NULL), 0);
	assert_int_equal(decision->outcomes[0].cause, HOOKBOX_CAUSE_NOT_GATING);
	hookbox_decision_free(decision);
	refuses_event(box, "two", e,
		      "several phases, say which: there is before_execution, after_execution");
	e.phase = "after_execution";
	assert_int_equal(hookbox_run(box, "two", &e, &decision, NULL), 0);
	assert_int_equal(decision->n_outcomes, 1);
	hookbox_decision_free(decision);
	hookbox_close(box);
}

static void test_run_refuses_what_does_not_fit(void **state)
{
	struct hookbox *box = open_text(HOOK("pii_redactor", "provider", "before_call", ALLOW));

	refuses_event(box, "pii_redacter", event(NULL, NULL), "did you mean \"pii_redactor\"?");
	refuses_event(box, "x", event(NULL, NULL),
		      "no hook \"x\" is configured: there is pii_redactor");
	refuses_event(box, "pii_redactor", event("tool", NULL), "is of type provider, not tool");
	refuses_event(box, "pii_redactor", event(NULL, "after_call"),
		      "does not listen to after_call");
	refuses_event(box, "pii_redactor", event(NULL, "session_end"), "no phase of provider");
	hookbox_close(box);
}

/* ---- exec ---- */

static struct hookbox_result *exec(struct hookbox *box, const char *sandbox,
				   const char *const *argv)
{
	const struct hookbox_call call = {.size = sizeof(call), .argv = argv};
	struct hookbox_result *result = NULL;
	struct hookbox_error error = {0};

	if (hookbox_exec(box, sandbox, &call, &result, &error) < 0)
		fail_msg("%s", error.message);
	return result;
}

#define EXEC(box, sandbox, ...) exec(box, sandbox, (const char *const[]){__VA_ARGS__, NULL})

static void test_direct_needs_no_section(void **state)
{
	struct hookbox *box = open_text("[hookbox]\n");
	struct hookbox_result *result = EXEC(box, "direct", "sh", "-c", "echo out; exit 9");

	hookbox_close(box);
	/* What a call gave outlives its host. */
	assert_int_equal(result->end, HOOKBOX_EXITED);
	assert_int_equal(result->status, 9);
	assert_string_equal(result->out, "out\n");
	hookbox_result_free(result);
}

static void test_direct_may_have_a_section(void **state)
{
	struct hookbox *box = open_text("[sandbox direct]\nmode = direct\nworkdir = /usr\n");
	struct hookbox_result *result = EXEC(box, "direct", "pwd");

	assert_string_equal(result->out, "/usr\n");
	hookbox_result_free(result);
	hookbox_close(box);
}

static void test_bad_calls_are_refused(void **state)
{
	static const char *const argv[] = {"true", NULL};
	struct hookbox *box = open_text("[sandbox runner]\nmode = direct\n");
	struct hookbox_call call = {.size = sizeof(call), .argv = argv};
	struct hookbox_result *result;
	struct hookbox_error error = {0};

	assert_int_equal(hookbox_exec(box, "runer", &call, &result, &error), -ENOENT);
	assert_null(result);
	assert_contains(error.message,
			"no sandbox \"runer\" is configured: did you mean \"runner\"?");
	call.argv = NULL;
	assert_int_equal(hookbox_exec(box, "runner", &call, &result, &error), -EINVAL);
	assert_null(result);
	assert_int_equal(hookbox_exec(box, "runner", NULL, &result, &error), -EINVAL);
	assert_contains(error.message, "hookbox_call");
	hookbox_close(box);
}

/* An older caller's structs end earlier, a newer one's later. */
static void test_sizes_of_other_versions(void **state)
{
	static const char *const argv[] = {"true", NULL};
	struct {
		struct hookbox_call call;
		char unknown[64];
	} newer = {.call = {.size = sizeof(newer), .argv = argv}, .unknown = {1}};
	struct hookbox *box = open_text(HOOK("a", "provider", "before_call", ALLOW));
	struct hookbox_event e = event("provider", "before_call");
	struct hookbox_decision *decision;
	struct hookbox_result *result;
	const struct hookbox_call old = {.size = offsetof(struct hookbox_call, env), .argv = argv};
	struct hookbox_call *older = malloc(old.size);

	e.size = offsetof(struct hookbox_event, cancel);
	e.cancel = (struct hookbox_cancel *)&e;
	assert_int_equal(hookbox_emit(box, &e, &decision, NULL), 0);
	assert_int_equal(decision->verdict, HOOKBOX_ALLOW);
	hookbox_decision_free(decision);
	/* Not a byte more is there to be read. */
	memcpy(older, &old, old.size);
	assert_int_equal(hookbox_exec(box, "direct", older, &result, NULL), 0);
	assert_int_equal(result->end, HOOKBOX_EXITED);
	hookbox_result_free(result);
	free(older);
	assert_int_equal(hookbox_exec(box, "direct", &newer.call, &result, NULL), 0);
	hookbox_result_free(result);
	hookbox_close(box);
}

/* ---- open ---- */

static void test_bad_options_and_configs_are_refused(void **state)
{
	struct hookbox_options options = {.size = sizeof(options)};

	refuses_options(NULL, "hookbox_options");
	options.config_path = "/no/such/hookbox.ini";
	refuses_options(&options, "/no/such/hookbox.ini");
	options.config_text = "";
	refuses_options(&options, "config_path or config_text");
	options.config_path = NULL;
	options.config_text = "[sandbox a]\nmode = dirct\n";
	refuses_options(&options, "[sandbox a]");
	options.config_text = "[hook a]\ncommand = cat\nhook = eval\nsandbox = nowhere\n";
	refuses_options(&options, "[hook a] sandbox");
}

static void test_a_program_may_bring_backends(void **state)
{
	static const struct sandbox_plugin_v1 *const own[] = {&echo_plugin, NULL};
	static const struct sandbox_plugin_v1 *const taken[] = {&other_direct_plugin, NULL};
	struct hookbox_options options = {
		.size = sizeof(options),
		.config_text = "[sandbox a]\nmode = echo\n",
		.plugins = own,
	};
	struct hookbox_error error = {0};
	struct hookbox *box = hookbox_open(&options, &error);
	struct hookbox_result *result;

	if (!box)
		fail_msg("%s", error.message);
	result = EXEC(box, "a", "hello");
	assert_string_equal(result->out, "hello");
	assert_int_equal(result->cleanup, HOOKBOX_CLEANUP_PROVEN);
	hookbox_result_free(result);
	hookbox_close(box);

	options.config_text = "[hookbox]\n";
	options.plugins = taken;
	refuses_options(&options, "direct");
	options.plugins = NULL;
	options.replace_plugins = taken;
	box = hookbox_open(&options, &error);
	if (!box)
		fail_msg("%s", error.message);
	result = EXEC(box, "direct", "replaced");
	assert_string_equal(result->out, "replaced");
	hookbox_result_free(result);
	hookbox_close(box);
}

static void take_line(void *data, int level, const char *message)
{
	char *all = data;

	snprintf(all + strlen(all), 512 - strlen(all), "%d %s;", level, message);
}

/* Nobody who embeds the library reads more of it than warnings, unless he asks. */
static void test_what_is_said(void **state)
{
	static const struct sandbox_plugin_v1 *const own[] = {&talkative_plugin, NULL};
	static const char said[] = "hookbox: [sandbox a] an error\r\n"
				   "hookbox: [sandbox a] a warning\r\n";
	char all[512] = "", lines[512] = "";
	struct hookbox_options options = {
		.size = sizeof(options),
		.config_text = "[sandbox a]\nmode = talkative\n",
		.plugins = own,
		.log_data = lines,
	};
	int stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3), fds[2];

	open_terminal(fds);
	assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	hookbox_close(hookbox_open(&options, NULL));
	dup2(stderr_fd, STDERR_FILENO);
	/* A line that should not have been said would come before this one. */
	assert_int_equal(write(fds[1], "END\n", 4), 4);
	while (!strstr(all, "END\r\n"))
		assert_true(read(fds[0], all + strlen(all), sizeof(all) - 1 - strlen(all)) > 0);
	*strstr(all, "END\r\n") = '\0';
	assert_string_equal(all, said);
	options.log = take_line;
	hookbox_close(hookbox_open(&options, NULL));
	assert_string_equal(lines, "1 [sandbox a] an error;2 [sandbox a] a warning;"
				   "3 [sandbox a] an info;4 [sandbox a] a detail;");
	close(stderr_fd);
	close(fds[0]);
	close(fds[1]);
}

static void test_null_is_ignored_and_names_are_words(void **state)
{
	hookbox_close(NULL);
	hookbox_decision_free(NULL);
	hookbox_result_free(NULL);
	assert_true(strlen(hookbox_version()) > 0);
	assert_string_equal(hookbox_verdict_name(HOOKBOX_ENFORCED), "enforced");
	assert_string_equal(hookbox_cause_name(HOOKBOX_CAUSE_BAD_ANSWER), "bad_answer");
	assert_string_equal(hookbox_end_name(HOOKBOX_TIMED_OUT), "timed out");
	assert_string_equal(hookbox_cleanup_name(HOOKBOX_CLEANUP_SWEPT), "swept");
}

/* ---- Many threads, one host ---- */

#define N_THREADS 8
#define N_ROUNDS 5

struct worker {
	struct hookbox *box;
	int denied;
	int called;
};

/* cmocka's assertions belong to the main thread: workers only count. */
static void *work(void *data)
{
	static const char *const argv[] = {"echo", "hello", NULL};
	const struct hookbox_call call = {.size = sizeof(call), .argv = argv};
	const struct hookbox_event e = event("provider", "before_call");
	struct worker *worker = data;

	for (int i = 0; i < N_ROUNDS; i++) {
		struct hookbox_decision *decision = NULL;
		struct hookbox_result *result = NULL;

		if (!hookbox_emit(worker->box, &e, &decision, NULL) &&
		    decision->verdict == HOOKBOX_DENY && !strcmp(decision->reason, "no"))
			worker->denied++;
		if (!hookbox_exec(worker->box, "direct", &call, &result, NULL) &&
		    !strcmp(result->out, "hello\n"))
			worker->called++;
		hookbox_decision_free(decision);
		hookbox_result_free(result);
	}
	return NULL;
}

static void test_many_threads_use_one_host(void **state)
{
	size_t descriptors = count_descriptors();
	struct hookbox *box = open_text(HOOK("a", "provider", "before_call", DENY("no")));
	struct worker workers[N_THREADS];
	pthread_t threads[N_THREADS];

	for (int i = 0; i < N_THREADS; i++) {
		workers[i] = (struct worker){.box = box};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < N_THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].denied, N_ROUNDS);
		assert_int_equal(workers[i].called, N_ROUNDS);
	}
	hookbox_close(box);
	assert_int_equal(count_descriptors(), descriptors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hooks_run_in_order_until_one_denies),
		cmocka_unit_test(test_enforced_goes_on_and_a_deny_overrules_it),
		cmocka_unit_test(test_only_listeners_run),
		cmocka_unit_test(test_an_observer_does_not_stop_the_others),
		cmocka_unit_test(test_on_error_is_said),
		cmocka_unit_test(test_bad_events_are_refused),
		cmocka_unit_test(test_run_fills_in_what_is_clear),
		cmocka_unit_test(test_run_refuses_what_does_not_fit),
		cmocka_unit_test(test_direct_needs_no_section),
		cmocka_unit_test(test_direct_may_have_a_section),
		cmocka_unit_test(test_bad_calls_are_refused),
		cmocka_unit_test(test_sizes_of_other_versions),
		cmocka_unit_test(test_bad_options_and_configs_are_refused),
		cmocka_unit_test(test_a_program_may_bring_backends),
		cmocka_unit_test(test_what_is_said),
		cmocka_unit_test(test_null_is_ignored_and_names_are_words),
		cmocka_unit_test(test_many_threads_use_one_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
