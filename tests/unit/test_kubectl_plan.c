/* SPDX-License-Identifier: MIT */
/* kubectl_exec: what it plans, what it refuses, and how it judges kubectl's end. */
#include "unit.h"

#include <unistd.h>

#include "box.h"
#include "cleanup.h"
#include "own_lines.h"

static const char *const shell_argv[] = {"sh", "-c", "script", NULL};
static const struct sandbox_plan_request shell_request = A_CALL(shell_argv, none);

static void test_plan(void **state)
{
	struct sandbox_plan_request request = shell_request;
	struct box box;

	OPEN(&box, "kubectl_exec", "pod=web-0");
	assert_plan(&box, &request, "kubectl\nexec\n--stdin\nweb-0\n--\nsh\n-c\nscript\n");
	box_close(&box);
	OPEN(&box, "kubectl_exec", "selector=app=web", "namespace=n", "container=c",
	     "kubeconfig=kube", "context=x", "extra_args=--as=me", "kubectl_path=./k");
	request.box_id = "web-1";
	assert_plan(&box, &request,
		    "/conf/k\n--kubeconfig=/conf/kube\n--context=x\n--namespace=n\n--as=me\nexec\n"
		    "--stdin\n--container=c\nweb-1\n--\nsh\n-c\nscript\n");
	box_close(&box);
}

static void test_env_without_a_shell_is_refused(void **state)
{
	static const char *const env[] = {"A=b", NULL};
	struct sandbox_plan_request request = shell_request;
	_cleanup_plan_ struct plan plan = {0};
	struct hookbox_error error = {0};
	struct box box;

	OPEN(&box, "kubectl_exec", "pod=web");
	request.env = env;
	assert_int_not_equal(plan_make(box.plugin, box.instance, &request, &plan, &error), 0);
	assert_non_null(strstr(error.message, "needs a shell in the pod"));
	box_close(&box);
}

static void test_bad_settings_are_refused(void **state)
{
	static const char *const bad[] = {
		"pod=a b", "pod=a_b", "pod=A", "pod=..", "pod=a.", "pod=a-",
		"selector=a=$(id)", "extra_args=--token=x", "extra_args=-v",
		"extra_args=--context=x", "namespace=a.b",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bool pod = !strncmp(bad[i], "pod", 3) || !strncmp(bad[i], "selector", 8);
		const char *const settings[] = {bad[i], pod ? NULL : "pod=web", NULL};
		struct box box;

		if (!box_open(&box, "kubectl_exec", settings))
			fail_msg("accepted: %s", bad[i]);
		box_close(&box);
	}
}

/* stdout is how much came out; message NULL: the command's own end. */
static void assert_verdict(int status, uint64_t out, const char *said, uint32_t end,
			   size_t dropped)
{
	const struct sandbox_process_end process = {
		.size = sizeof(process), .status = status, .stderr_tail = said,
		.stderr_tail_size = strlen(said), .stderr_total = strlen(said),
		.stdout_total = out,
	};
	struct sandbox_verdict verdict = {
		.size = sizeof(verdict), .end = SANDBOX_END_COMMAND, .status = status,
	};
	struct box box;

	OPEN(&box, "kubectl_exec", "pod=web");
	box.plugin->classify(box.instance, &process, &verdict);
	if (verdict.end != end || verdict.drop_stderr_tail != dropped)
		fail_msg("\"%s\" is end %u, %zu dropped: %s", said, verdict.end,
			 verdict.drop_stderr_tail, verdict.message);
	assert_int_equal(verdict.message[0] != '\0', end != SANDBOX_END_COMMAND);
	box_close(&box);
}

static void test_classify(void **state)
{
	static const char notfound[] = "Error from server (NotFound): pods \"web\" not found\n";
	static const char reset[] = "error: read tcp 1->2: read: connection reset by peer\n";

	assert_verdict(0, 5, "", SANDBOX_END_COMMAND, 0);
	assert_verdict(1, 0, "own\ncommand terminated with exit code 1\n", SANDBOX_END_COMMAND, 36);
	assert_verdict(7, 0, "owncommand terminated with exit code 7\n", SANDBOX_END_COMMAND, 36);
	assert_verdict(7, 0,
		       "owncommand terminated with exit code 7\nE1128 13:18:09.000000 1 a] b\n",
		       SANDBOX_END_COMMAND, 65);
	assert_verdict(1, 0, "command terminated with exit code 7\n", SANDBOX_END_LOST, 36);
	assert_verdict(1, 0, notfound, SANDBOX_END_NOT_STARTED, strlen(notfound));
	assert_verdict(1, 9, notfound, SANDBOX_END_LOST, strlen(notfound));
	assert_verdict(1, 0, reset, SANDBOX_END_LOST, strlen(reset));
	assert_verdict(1, 9, "own\n", SANDBOX_END_LOST, 0);
	assert_verdict(1, 0, "", SANDBOX_END_LOST, 0);
}

static void test_every_exit_code(void **state)
{
	for (int code = 1; code <= 255; code++) {
		_cleanup_free_ char *word = NULL, *other = NULL;

		assert_true(asprintf(&word, "command terminated with exit code %d\n", code) > 0);
		assert_true(asprintf(&other, "command terminated with exit code %d\n", code - 1) >
			    0);
		assert_verdict(code, 1, word, SANDBOX_END_COMMAND, strlen(word));
		assert_verdict(code, 1, other, SANDBOX_END_LOST, strlen(other));
	}
}

static int collect(void *data, const char *bytes, size_t n)
{
	buf_add(data, bytes, n);
	return 0;
}

/* What is left of a stderr, and what is held at its end, whatever the pieces that it comes in. */
static void assert_own_lines(const char *text, const char *left, const char *held)
{
	struct box box;

	OPEN(&box, "kubectl_exec", "pod=web");
	for (size_t piece = 1; piece <= strlen(text); piece++) {
		_cleanup_buf_ struct buf out = {0};
		struct own_lines lines = {
			.plugin = box.plugin,
			.instance = box.instance,
			.emit = collect,
			.data = &out,
		};

		for (size_t at = 0; at < strlen(text); at += piece) {
			size_t n = strlen(text) - at;

			own_lines_feed(&lines, text + at, n < piece ? n : piece, getpid());
		}
		buf_add(&out, "|", 1);
		own_lines_finish(&lines);
		if (strncmp(out.data, left, strlen(left)) || out.data[strlen(left)] != '|' ||
		    strcmp(out.data + strlen(left) + 1, held))
			fail_msg("%zu bytes each: \"%s\" is left of \"%s\"", piece, out.data, text);
	}
	box_close(&box);
}

static void test_own_lines(void **state)
{
	static const char head[] = "E1128 13:18:09.000000 ";
	static const char inside[] = "xcommand terminated with exit code 7\ny";
	_cleanup_free_ char *own = NULL, *mixed = NULL, *cut = NULL, *others = NULL, *last = NULL;
	pid_t pid = getpid();

	assert_true(asprintf(&own, "%s %d v2.go:104] EOF\n", head, pid) > 0);
	assert_true(asprintf(&mixed, "%sa\nb%sc\n%sIW%s", own, own, own, own) > 0);
	assert_true(asprintf(&cut, "a%s %d v2.go:10", head, pid) > 0);
	assert_true(asprintf(&last, "owncommand terminated with exit code 7\n%s", own) > 0);
	/* A pod's processes may log in the same way. */
	assert_true(asprintf(&others, "%s      1 v2.go:104] EOF\nE1128\n", head) > 0);
	assert_own_lines(own, "", "");
	assert_own_lines(mixed, "a\nbc\nIW", "");
	assert_own_lines(cut, "a", cut + 1);
	assert_own_lines(others, others, "");
	assert_own_lines("own\ncommand terminated with exit code 7\n", "own\n",
			 "command terminated with exit code 7\n");
	assert_own_lines(inside, inside, "");
	assert_own_lines(last, "own", last + 3);
	assert_own_lines("chapter", "chapter", "");
	assert_own_lines("E", "", "E");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_env_without_a_shell_is_refused),
		cmocka_unit_test(test_bad_settings_are_refused),
		cmocka_unit_test(test_classify),
		cmocka_unit_test(test_every_exit_code),
		cmocka_unit_test(test_own_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
