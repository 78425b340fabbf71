/* SPDX-License-Identifier: MIT */
/* What becomes of a hook's end and answer: the decision table, with real commands in `direct`. */
#include "unit.h"

#include <signal.h>

#include "hook.h"

/* ---- A backend that runs nothing and ends calls as its command's name says ---- */

static int broken_run(void *instance, const struct sandbox_plan_request *request,
		      const struct sandbox_run_io *io, struct sandbox_run_result *result,
		      char error[SANDBOX_ERROR_SIZE])
{
	static const char answer[] = "{\"allow\":true}";

	if (!strcmp(request->argv[0], "refuse")) {
		snprintf(error, SANDBOX_ERROR_SIZE, "the cloud is down; try later");
		return -EIO;
	}
	/* A whole answer came before the connection broke: it must not count. */
	io->write_output(io, 1, answer, strlen(answer));
	result->verdict.end = SANDBOX_END_LOST;
	snprintf(result->verdict.message, SANDBOX_ERROR_SIZE, "the connection broke; try later");
	result->proven = true;
	return 0;
}

static const void *broken_extension(const char *id)
{
	static const struct sandbox_run_v1 run = {.size = sizeof(run), .run = broken_run};

	return strcmp(id, SANDBOX_RUN_EXTENSION) ? NULL : &run;
}

static const struct sandbox_plugin_v1 broken_plugin = {
	.magic = SANDBOX_PLUGIN_MAGIC,
	.struct_size = sizeof(broken_plugin),
	.name = "broken",
	.version = "1",
	.summary = "a backend of this test",
	.flags = SANDBOX_FRESH,
	.param_size = sizeof(struct sandbox_param),
	.instance_size = 1,
	.get_extension = broken_extension,
};

/* ---- One hook, run once ---- */

#define CAUSE(cause) (UINT32_C(1) << (cause))

struct fixture {
	struct log log;
	struct sandbox_host_context context;
	struct sandbox *direct;
	struct sandbox *broken;
};

static struct sandbox *open_sandbox(struct fixture *fixture, const struct sandbox_plugin_v1 *plugin)
{
	struct config_sandbox config = {
		.name = (char *)plugin->name,
		.where = (char *)"test:1",
		.mode = (char *)plugin->name,
		.shell = true,
	};
	struct hookbox_error error = {0};
	struct sandbox *sandbox = NULL;

	if (sandbox_open(&config, plugin, &fixture->context, &sandbox, &error))
		fail_msg("%s", error.message);
	return sandbox;
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->context.ledger = ledger_new();
	fixture->context.log = &fixture->log;
	fixture->direct = open_sandbox(fixture, &direct_plugin);
	fixture->broken = open_sandbox(fixture, &broken_plugin);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	sandbox_close(fixture->direct);
	sandbox_close(fixture->broken);
	ledger_free(fixture->context.ledger);
	free(fixture);
	return 0;
}

/* A provider filter hook that is the script; fields may be changed before run_hook(). */
static struct config_hook script_hook(const char *script)
{
	struct config_hook hook = {
		.name = (char *)"guard",
		.command = (char *)"sh",
		.type = HOOK_PROVIDER,
		.mode = HOOK_FILTER,
		.timeout_ms = 60000,
	};

	strv_add(&hook.args, "-c");
	strv_add(&hook.args, script);
	return hook;
}

static struct hookbox_hook_outcome run_hook_in(struct sandbox *sandbox, struct config_hook *hook,
					       const char *request, struct hookbox_cancel *cancel)
{
	struct hookbox_hook_outcome outcome;
	struct hookbox_error error = {0};

	if (hook_run(hook, sandbox, request, strlen(request), cancel, &outcome, &error) < 0)
		fail_msg("%s", error.message);
	strv_free(&hook->args);
	strv_free(&hook->env);
	assert_string_equal(outcome.hook, "guard");
	assert_non_null(outcome.result);
	return outcome;
}

static struct hookbox_hook_outcome run_script(void **state, const char *script)
{
	struct fixture *fixture = *state;
	struct config_hook hook = script_hook(script);

	return run_hook_in(fixture->direct, &hook, "{}", NULL);
}

static void expect(struct hookbox_hook_outcome *outcome, enum hookbox_verdict verdict,
		   enum hookbox_cause cause, const char *reason)
{
	assert_int_equal(outcome->verdict, verdict);
	assert_int_equal(outcome->cause, cause);
	if (reason) {
		assert_non_null(outcome->reason);
		assert_contains(outcome->reason, reason);
	} else {
		assert_null(outcome->reason);
	}
	hook_outcome_clear(outcome);
}

/* ---- What the hook says ---- */

static void test_allow(void **state)
{
	struct hookbox_hook_outcome outcome =
		run_script(state, "echo '{\"allow\":true,\"ack\":true}'");

	assert_true(outcome.ack);
	assert_false(outcome.loosened);
	expect(&outcome, HOOKBOX_ALLOW, HOOKBOX_CAUSE_ANSWER, NULL);
	/* `enforced` means nothing beside an allow. */
	outcome = run_script(state,
			     "echo '{\"allow\":true,\"enforced\":true,\"reason\":\"fine\"}'");
	expect(&outcome, HOOKBOX_ALLOW, HOOKBOX_CAUSE_ANSWER, "fine");
}

static void test_deny(void **state)
{
	struct hookbox_hook_outcome outcome = run_script(
		state, "echo '{\"allow\":false,\"reason\":\"pii\",\"metadata\":{\"n\": 1.10}}'");

	assert_string_equal(outcome.metadata, "{\"n\": 1.10}");
	assert_string_equal(outcome.reason, "pii");
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_ANSWER, "pii");
	outcome = run_script(state, "echo '{\"allow\":false,\"enforced\":false}'");
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_ANSWER, NULL);
}

static void test_enforced(void **state)
{
	struct hookbox_hook_outcome outcome = run_script(
		state, "echo '{\"allow\":false,\"enforced\":true,\"reason\":\"cut\"}'");

	expect(&outcome, HOOKBOX_ENFORCED, HOOKBOX_CAUSE_ANSWER, "cut");
}

static void test_the_hook_reads_the_request(void **state)
{
	struct fixture *fixture = *state;
	struct config_hook hook =
		script_hook("printf '{\"allow\":true,\"metadata\":'; cat; echo }");
	struct hookbox_hook_outcome outcome =
		run_hook_in(fixture->direct, &hook, "{\"hook\":\"provider\", \"n\":1e3}", NULL);

	assert_string_equal(outcome.metadata, "{\"hook\":\"provider\", \"n\":1e3}");
	expect(&outcome, HOOKBOX_ALLOW, HOOKBOX_CAUSE_ANSWER, NULL);
}

static void test_arguments_and_environment(void **state)
{
	struct fixture *fixture = *state;
	struct config_hook hook =
		script_hook("[ \"$1|$GUARD\" = 'a b|c d' ] && echo '{\"allow\":true}'");
	struct hookbox_hook_outcome outcome;

	strv_add(&hook.args, "sh");
	strv_add(&hook.args, "a b");
	strv_add(&hook.env, "GUARD=c d");
	outcome = run_hook_in(fixture->direct, &hook, "{}", NULL);
	expect(&outcome, HOOKBOX_ALLOW, HOOKBOX_CAUSE_ANSWER, NULL);
}

/* ---- Failing closed ---- */

static void test_no_valid_answer_denies(void **state)
{
	static const struct {
		const char *script;
		const char *reason;
	} cases[] = {
		{"", "exited with code 0, but the answer on stdout is refused: empty"},
		{"echo ok", "not JSON"},
		{"echo '{\"allow\":true'", "ends before"},
		{"echo '{\"allow\":true}{\"allow\":true}'", "follows"},
		{"echo '{\"allow\":true}'; echo done", "follows"},
		{"echo '{\"allow\":NaN}'", "not JSON"},
		{"echo '{\"allow\":\"true\"}'", "\"allow\" must be true or false"},
		{"echo '[true]'", "array"},
		{"echo '{}'", "does not hold \"allow\""},
		{"echo '{\"enforced\":true,\"reason\":\"x\"}'", "does not hold \"allow\""},
		{"printf '{\"allow\":true\\000}'", "NUL"},
		{"head -c 1100000 /dev/zero | tr '\\0' ' '; echo '{\"allow\":true}'", "1 MiB"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hookbox_hook_outcome outcome = run_script(state, cases[i].script);

		assert_contains(outcome.reason, "hook \"guard\" exited with code 0, but ");
		expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_BAD_ANSWER, cases[i].reason);
	}
}

static void test_a_failed_command_denies_whatever_it_answered(void **state)
{
	struct hookbox_hook_outcome outcome =
		run_script(state, "echo '{\"allow\":true,\"ack\":true}'; exit 1");

	assert_false(outcome.ack);
	assert_string_equal(outcome.reason, "hook \"guard\" exited with code 1");
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_EXIT, "code 1");
	outcome = run_script(state, "echo '{\"allow\":true}'; kill -9 $$");
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_SIGNAL, "was ended by signal 9 (SIGKILL)");
}

static void test_a_reason_quotes_the_end_of_stderr(void **state)
{
	struct hookbox_hook_outcome outcome = run_script(
		state, "printf 'Traceback\\n  \\033[1mKeyError\\n\\n' >&2; exit 3");

	assert_string_equal(outcome.reason,
			    "hook \"guard\" exited with code 3; the end of its stderr: "
			    "?[1mKeyError");
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_EXIT, "KeyError");
	outcome = run_script(state, "head -c 5000 /dev/zero | tr '\\0' x >&2; exit 3");
	assert_true(strlen(outcome.reason) < 300);
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_EXIT, "xxx...");
}

static void test_a_timeout_denies(void **state)
{
	struct fixture *fixture = *state;
	struct config_hook hook = script_hook("echo '{\"allow\":true}'; exec sleep 3600");
	struct hookbox_hook_outcome outcome;

	hook.timeout_ms = 200;
	outcome = run_hook_in(fixture->direct, &hook, "{}", NULL);
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_TIMEOUT,
	       "hook \"guard\" timed out: it had not ended after 200 ms");
}

static void test_endless_output_denies(void **state)
{
	struct hookbox_hook_outcome outcome = run_script(state, "exec yes '{\"allow\":true}'");

	assert_true(outcome.result->out_size <= (size_t)8 << 20);
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_OUTPUT_LIMIT, "printed too much");
}

static void test_cancel_denies(void **state)
{
	struct fixture *fixture = *state;
	struct config_hook hook = script_hook("echo '{\"allow\":true}'");
	struct hookbox_cancel *cancel = hookbox_cancel_new();
	struct hookbox_hook_outcome outcome;

	hookbox_cancel_fire(cancel);
	outcome = run_hook_in(fixture->direct, &hook, "{}", cancel);
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_CANCELLED, "was cancelled");
	hookbox_cancel_free(cancel);
}

static void test_what_cannot_be_started_denies(void **state)
{
	struct fixture *fixture = *state;
	struct config_hook hook = script_hook("");
	struct hookbox_hook_outcome outcome;

	hook.command = (char *)"no-such-hook";
	outcome = run_hook_in(fixture->direct, &hook, "{}", NULL);
	assert_int_equal(outcome.result->end, HOOKBOX_NOT_STARTED);
	assert_int_equal(outcome.result->error_number, ENOENT);
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_NOT_STARTED, "no-such-hook");

	hook = script_hook("");
	hook.command = (char *)"refuse";
	outcome = run_hook_in(fixture->broken, &hook, "{}", NULL);
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_NOT_STARTED, "the cloud is down");

	/* A call that the sandbox does not take at all is an outcome too. */
	hook = script_hook("");
	strv_add(&hook.env, "A-B=1");
	outcome = run_hook_in(fixture->direct, &hook, "{}", NULL);
	assert_int_equal(outcome.result->end, HOOKBOX_NOT_STARTED);
	assert_int_equal(outcome.result->cleanup, HOOKBOX_CLEANUP_PROVEN);
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_NOT_STARTED, "A-B");
}

static void test_a_lost_call_denies_though_it_answered(void **state)
{
	struct fixture *fixture = *state;
	struct config_hook hook = script_hook("");
	struct hookbox_hook_outcome outcome = run_hook_in(fixture->broken, &hook, "{}", NULL);

	assert_string_equal(outcome.result->out, "{\"allow\":true}");
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_LOST,
	       "was lost: broken: the connection broke");
}

/* ---- Loosened, not gating, sessions ---- */

static void test_on_error_loosens_its_causes_only(void **state)
{
	struct fixture *fixture = *state;
	struct config_hook hook = script_hook("exit 2");
	struct hookbox_hook_outcome outcome;

	hook.allow_on = CAUSE(HOOKBOX_CAUSE_EXIT) | CAUSE(HOOKBOX_CAUSE_LOST);
	outcome = run_hook_in(fixture->direct, &hook, "{}", NULL);
	assert_true(outcome.loosened);
	expect(&outcome, HOOKBOX_ALLOW, HOOKBOX_CAUSE_EXIT, "exited with code 2");

	hook = script_hook("kill -9 $$");
	hook.allow_on = CAUSE(HOOKBOX_CAUSE_EXIT);
	outcome = run_hook_in(fixture->direct, &hook, "{}", NULL);
	assert_false(outcome.loosened);
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_SIGNAL, "signal 9");

	hook = script_hook("echo nonsense");
	hook.allow_on = CAUSE(HOOKBOX_CAUSE_BAD_ANSWER);
	outcome = run_hook_in(fixture->direct, &hook, "{}", NULL);
	assert_true(outcome.loosened);
	expect(&outcome, HOOKBOX_ALLOW, HOOKBOX_CAUSE_BAD_ANSWER, "not JSON");
}

/* A deny is the hook's own word: on_error is about failures. */
static void test_on_error_does_not_loosen_a_deny(void **state)
{
	struct fixture *fixture = *state;
	struct config_hook hook = script_hook("echo '{\"allow\":false,\"reason\":\"no\"}'");
	struct hookbox_hook_outcome outcome;

	hook.allow_on = ~UINT32_C(0);
	outcome = run_hook_in(fixture->direct, &hook, "{}", NULL);
	assert_false(outcome.loosened);
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_ANSWER, "no");
}

static void test_observe_and_eval_never_gate(void **state)
{
	static const struct {
		const char *script;
		const char *reason;
	} cases[] = {
		{"echo '{\"allow\":false,\"reason\":\"no\"}'", NULL},
		{"echo anything", NULL},
		{"echo gone >&2; exit 7",
		 "hook \"guard\" exited with code 7; the end of its stderr: gone"},
		{"kill -9 $$", "signal 9"},
	};

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *fixture = *state;
		struct config_hook hook = script_hook(cases[i / 2].script);
		struct hookbox_hook_outcome outcome;

		hook.mode = i % 2 ? HOOK_OBSERVE : HOOK_FILTER;
		hook.type = i % 2 ? HOOK_PROVIDER : HOOK_EVAL;
		outcome = run_hook_in(fixture->direct, &hook, "{}", NULL);
		assert_false(outcome.loosened);
		assert_null(outcome.metadata);
		expect(&outcome, HOOKBOX_ALLOW, HOOKBOX_CAUSE_NOT_GATING, cases[i / 2].reason);
	}
}

static void test_the_result_of_an_eval_is_kept(void **state)
{
	struct fixture *fixture = *state;
	struct config_hook hook = script_hook("echo '{\"score\":0.5}'; echo note >&2");
	struct hookbox_hook_outcome outcome;

	hook.type = HOOK_EVAL;
	outcome = run_hook_in(fixture->direct, &hook, "{}", NULL);
	assert_string_equal(outcome.result->out, "{\"score\":0.5}\n");
	assert_string_equal(outcome.result->err, "note\n");
	expect(&outcome, HOOKBOX_ALLOW, HOOKBOX_CAUSE_NOT_GATING, NULL);
}

static struct hookbox_hook_outcome run_session(void **state, const char *script)
{
	struct fixture *fixture = *state;
	struct config_hook hook = script_hook(script);

	hook.type = HOOK_SESSION;
	return run_hook_in(fixture->direct, &hook, "{}", NULL);
}

static void test_sessions_are_judged_by_their_end(void **state)
{
	struct hookbox_hook_outcome outcome = run_session(state, "");

	assert_false(outcome.ack);
	expect(&outcome, HOOKBOX_ALLOW, HOOKBOX_CAUSE_ANSWER, NULL);
	outcome = run_session(state, "echo '{\"allow\":false,\"reason\":\"no\",\"ack\":true}'");
	assert_true(outcome.ack);
	expect(&outcome, HOOKBOX_ALLOW, HOOKBOX_CAUSE_ANSWER, NULL);
	outcome = run_session(state, "echo '{\"allow\":0,\"ack\":true}'");
	assert_false(outcome.ack);
	expect(&outcome, HOOKBOX_ALLOW, HOOKBOX_CAUSE_ANSWER, NULL);
	outcome = run_session(state, "echo '{\"allow\":true,\"ack\":true}'; exit 4");
	assert_false(outcome.ack);
	expect(&outcome, HOOKBOX_DENY, HOOKBOX_CAUSE_EXIT, "code 4");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allow),
		cmocka_unit_test(test_deny),
		cmocka_unit_test(test_enforced),
		cmocka_unit_test(test_the_hook_reads_the_request),
		cmocka_unit_test(test_arguments_and_environment),
		cmocka_unit_test(test_no_valid_answer_denies),
		cmocka_unit_test(test_a_failed_command_denies_whatever_it_answered),
		cmocka_unit_test(test_a_reason_quotes_the_end_of_stderr),
		cmocka_unit_test(test_a_timeout_denies),
		cmocka_unit_test(test_endless_output_denies),
		cmocka_unit_test(test_cancel_denies),
		cmocka_unit_test(test_what_cannot_be_started_denies),
		cmocka_unit_test(test_a_lost_call_denies_though_it_answered),
		cmocka_unit_test(test_on_error_loosens_its_causes_only),
		cmocka_unit_test(test_on_error_does_not_loosen_a_deny),
		cmocka_unit_test(test_observe_and_eval_never_gate),
		cmocka_unit_test(test_the_result_of_an_eval_is_kept),
		cmocka_unit_test(test_sessions_are_judged_by_their_end),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
