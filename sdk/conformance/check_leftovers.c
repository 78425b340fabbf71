/* SPDX-License-Identifier: MIT */
/* When a call returns, nothing of it still runs. */
#include "kit.h"

#include "hookbox/sandbox_plugin.h"

/*
 * Runs a script whose $1 is the sleep with the fingerprint until its time is up. The script says
 * "started" when there is something to end: before that, a timeout would prove nothing, and it gets
 * more time. NULL with the check failed when it does not end by its timeout.
 */
static struct hookbox_result *run_until_timeout(struct kit *kit, const char *script)
{
	struct hookbox_result *result = NULL;
	char sleep_text[16];

	for (int64_t ms = kit->patience_ms; ms <= 8 * kit->patience_ms; ms *= 2) {
		struct hookbox_call call = {.timeout_ms = ms};

		hookbox_result_free(result);
		result = KIT_CALL(kit, call, "sh", "-c", script, "sh", kit_sleep(kit, sleep_text));
		if (result && result->end == HOOKBOX_TIMED_OUT && !strcmp(result->out, "started\n"))
			return result;
		if (!result || result->end != HOOKBOX_TIMED_OUT)
			break;
	}
	if (result)
		kit_fail(kit, "it ended as \"%s\" %d, having said \"%.20s\": %.200s",
			 hookbox_end_name(result->end), result->status, result->out,
			 result->message ? result->message : result->err);
	hookbox_result_free(result);
	return NULL;
}

static void expect_gone(struct kit *kit, const struct hookbox_result *result)
{
	char what[128];

	snprintf(what, sizeof(what), "something still runs, although cleanup says %s",
		 hookbox_cleanup_name(result->cleanup));
	kit_expect_gone(kit, what);
}

static void expect_ended(struct kit *kit, const char *script)
{
	_cleanup_result_ struct hookbox_result *result = run_until_timeout(kit, script);

	if (!result)
		return;
	expect_gone(kit, result);
	EXPECT(kit, result->cleanup != HOOKBOX_CLEANUP_UNKNOWN, "cleanup is unknown: %.300s",
	       result->cleanup_reason ? result->cleanup_reason : "no reason is given");
	EXPECT(kit, result->cleanup == HOOKBOX_CLEANUP_PROVEN || !(kit->flags & SANDBOX_FRESH),
	       "cleanup of a box that was made for this call is not proven but %s",
	       hookbox_cleanup_name(result->cleanup));
}

static void timeout_child(struct kit *kit)
{
	expect_ended(kit, "echo started; exec sleep $1");
}

static void timeout_grandchildren(struct kit *kit)
{
	expect_ended(kit, "(sleep $1 & sleep $1) & sleep $1 & echo started; wait");
}

static void timeout_stubborn(struct kit *kit)
{
	expect_ended(kit, "trap '' TERM INT HUP; echo started; while :; do sleep $1; done");
}

static void timeout_session(struct kit *kit)
{
	if (kit_has(kit, "setsid"))
		expect_ended(kit,
			     "setsid sleep $1 </dev/null >/dev/null 2>&1 & echo started; sleep $1");
}

/*
 * What left its environment behind is found only where the box itself goes: elsewhere cleanup must
 * not claim that it is proven.
 */
static void timeout_clean_session(struct kit *kit)
{
	_cleanup_result_ struct hookbox_result *result = NULL;

	if (!kit_has(kit, "setsid"))
		return;
	result = run_until_timeout(
		kit, "env -i PATH=\"$PATH\" setsid sleep $1 </dev/null >/dev/null 2>&1 & "
		     "echo started; sleep $1");
	if (!result)
		return;
	if (result->cleanup == HOOKBOX_CLEANUP_PROVEN)
		expect_gone(kit, result);
	else
		kit_tidy(kit);
}

static void background_after_exit(struct kit *kit)
{
	_cleanup_result_ struct hookbox_result *result = NULL;
	char sleep_text[16];

	result = KIT_CALL(kit, PLAIN, "sh", "-c", "sleep $1 >/dev/null 2>&1 </dev/null & exit 4",
			  "sh", kit_sleep(kit, sleep_text));
	if (kit_exited(kit, result, 4))
		kit_expect_gone(kit, "the background process outlives the call");
}

static void holder_of_stdout(struct kit *kit)
{
	_cleanup_result_ struct hookbox_result *result = NULL;
	char sleep_text[16];

	result = KIT_CALL(kit, PLAIN, "sh", "-c", "sleep $1 & echo done; exit 5", "sh",
			  kit_sleep(kit, sleep_text));
	if (!kit_exited(kit, result, 5))
		return;
	EXPECT(kit, !strcmp(result->out, "done\n"), "stdout is \"%.40s\"", result->out);
	EXPECT(kit, result->duration_us < 30000000, "it took %llu s to return",
	       (unsigned long long)result->duration_us / 1000000);
	kit_expect_gone(kit, "the background process outlives the call");
}

/* Whether the stranger itself is ended is not asked here: its call need only return. */
static void clean_holder_of_stdout(struct kit *kit)
{
	_cleanup_result_ struct hookbox_result *result = NULL;
	char sleep_text[16];

	if (!kit_has(kit, "setsid"))
		return;
	result = KIT_CALL(kit, PLAIN, "sh", "-c",
			  "env -i PATH=\"$PATH\" setsid sleep $1 & echo done; exit 6", "sh",
			  kit_sleep(kit, sleep_text));
	kit_tidy(kit);
	if (!kit_exited(kit, result, 6))
		return;
	EXPECT(kit, !strcmp(result->out, "done\n"), "stdout is \"%.40s\"", result->out);
	EXPECT(kit, result->duration_us < 30000000, "it took %llu s to return",
	       (unsigned long long)result->duration_us / 1000000);
}

static void short_timeout(struct kit *kit)
{
	struct hookbox_call call = {.timeout_ms = 50};
	_cleanup_result_ struct hookbox_result *result = NULL;
	char sleep_text[16];

	result = KIT_CALL(kit, call, "sleep", kit_sleep(kit, sleep_text));
	if (!result)
		return;
	EXPECT(kit, result->end == HOOKBOX_TIMED_OUT, "it ended as \"%s\"",
	       hookbox_end_name(result->end));
	expect_gone(kit, result);
}

static struct hookbox_result *list_files(struct kit *kit)
{
	return KIT_CALL(kit, PLAIN, "sh", "-c",
			"cd /tmp && for f in * .[!.]*; do echo \"$f\"; done");
}

/* In a box that others use as well files come and go: what calls leave is there every time. */
static void files_left(struct kit *kit)
{
	struct hookbox_call short_call = {.timeout_ms = 50};
	bool same = false;
	char sleep_text[16];

	for (int i = 0; i < 3 && !same && !kit->failed; i++) {
		_cleanup_result_ struct hookbox_result *before = list_files(kit);
		_cleanup_result_ struct hookbox_result *ended =
			KIT_CALL(kit, short_call, "sleep", kit_sleep(kit, sleep_text));
		_cleanup_result_ struct hookbox_result *after = list_files(kit);

		same = kit_exited(kit, before, 0) && kit_exited(kit, after, 0) && ended &&
		       !strcmp(before->out, after->out);
	}
	EXPECT(kit, same, "files come into /tmp of the box with each call");
}

const struct kit_check kit_leftover_checks[] = {
	{"a timeout ends the command", timeout_child},
	{"a timeout ends children and grandchildren", timeout_grandchildren},
	{"a timeout ends what ignores TERM", timeout_stubborn},
	{"a timeout ends what has a session of its own", timeout_session},
	{"what left its environment behind is gone where cleanup is proven", timeout_clean_session},
	{"a timeout before the command runs leaves nothing", short_timeout},
	{"a background process does not outlive its call", background_after_exit},
	{"a background process that holds stdout does not hold the call", holder_of_stdout},
	{"a stranger that holds stdout does not hold the call", clean_holder_of_stdout},
	{"no file is left in the box", files_left, .only = SANDBOX_KEPT},
	{0},
};
