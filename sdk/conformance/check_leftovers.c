/* SPDX-License-Identifier: MIT */
/* When a call returns, nothing of it still runs. */
#include "kit.h"

/* Runs a script whose $1 is the sleep with the fingerprint, and expects it to be ended. */
static void expect_ended(struct kit *kit, const char *script)
{
	struct hookbox_call call = {.timeout_ms = kit->patience_ms};
	_cleanup_result_ struct hookbox_result *result = NULL;
	char sleep_text[16];

	result = KIT_CALL(kit, call, "sh", "-c", script, "sh", kit_sleep(kit, sleep_text));
	if (!result)
		return;
	EXPECT(kit, result->end == HOOKBOX_TIMED_OUT, "it ended as \"%s\" %d: %.200s",
	       hookbox_end_name(result->end), result->status,
	       result->message ? result->message : result->err);
	EXPECT(kit, result->cleanup != HOOKBOX_CLEANUP_UNKNOWN, "cleanup is unknown: %.300s",
	       result->cleanup_reason ? result->cleanup_reason : "no reason is given");
	EXPECT(kit, !kit_finds_fingerprint(kit), "something still runs, although cleanup says %s",
	       hookbox_cleanup_name(result->cleanup));
}

static void timeout_child(struct kit *kit)
{
	expect_ended(kit, "exec sleep $1");
}

static void timeout_grandchildren(struct kit *kit)
{
	expect_ended(kit, "(sleep $1 & sleep $1) & sleep $1 & wait");
}

static void timeout_stubborn(struct kit *kit)
{
	expect_ended(kit, "trap '' TERM INT HUP; while :; do sleep $1; done");
}

static void timeout_session(struct kit *kit)
{
	if (kit_has(kit, "setsid"))
		expect_ended(kit, "setsid sleep $1 </dev/null >/dev/null 2>&1 & sleep $1");
}

/* What left its environment behind is found only where the box itself goes. */
static void timeout_clean_session(struct kit *kit)
{
	struct hookbox_call call = {.timeout_ms = kit->patience_ms};
	_cleanup_result_ struct hookbox_result *result = NULL;
	char sleep_text[16];

	if (!kit_has(kit, "setsid"))
		return;
	result = KIT_CALL(kit, call, "sh", "-c",
			  "env -i PATH=\"$PATH\" setsid sleep $1 </dev/null >/dev/null 2>&1 & sleep 600", "sh",
			  kit_sleep(kit, sleep_text));
	if (!result)
		return;
	EXPECT(kit, result->end == HOOKBOX_TIMED_OUT, "it ended as \"%s\"", hookbox_end_name(result->end));
	if (result->cleanup != HOOKBOX_CLEANUP_PROVEN) {
		_cleanup_result_ struct hookbox_result *tidy = KIT_CALL(
			kit, PLAIN, "sh", "-c",
			"for f in /proc/[0-9]*/cmdline; do p=${f#/proc/}; p=${p%/cmdline}; c=; "
			"IFS= read -r c <$f; case $p:$c in $$:*) ;; *:sleep*$1*) kill -9 $p ;; esac; done "
			"2>/dev/null; exit 0", "sh", sleep_text);

		kit_skip(kit, "cleanup is %s here, which does not claim it",
			 hookbox_cleanup_name(result->cleanup));
		return;
	}
	EXPECT(kit, !kit_finds_fingerprint(kit), "something still runs, although cleanup says proven");
}

static void background_after_exit(struct kit *kit)
{
	_cleanup_result_ struct hookbox_result *result = NULL;
	char sleep_text[16];

	result = KIT_CALL(kit, PLAIN, "sh", "-c", "sleep $1 >/dev/null 2>&1 </dev/null & exit 4", "sh",
			  kit_sleep(kit, sleep_text));
	if (kit_exited(kit, result, 4))
		EXPECT(kit, !kit_finds_fingerprint(kit), "the background process outlives the call");
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
	EXPECT(kit, !kit_finds_fingerprint(kit), "the background process outlives the call");
}

static void clean_holder_of_stdout(struct kit *kit)
{
	_cleanup_result_ struct hookbox_result *result = NULL;

	if (!kit_has(kit, "setsid"))
		return;
	result = KIT_CALL(kit, PLAIN, "sh", "-c",
			  "env -i PATH=\"$PATH\" setsid sleep 9 & echo done; exit 6");
	if (!kit_exited(kit, result, 6))
		return;
	EXPECT(kit, !strcmp(result->out, "done\n"), "stdout is \"%.40s\"", result->out);
	EXPECT(kit, result->duration_us < 8000000 + 1000u * (uint64_t)kit->patience_ms, "it took %llu s to return",
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
	EXPECT(kit, result->end == HOOKBOX_TIMED_OUT, "it ended as \"%s\"", hookbox_end_name(result->end));
	EXPECT(kit, !kit_finds_fingerprint(kit), "something still runs");
}

const struct kit_check kit_leftover_checks[] = {
	{"a timeout ends the command", timeout_child},
	{"a timeout ends children and grandchildren", timeout_grandchildren},
	{"a timeout ends what ignores TERM", timeout_stubborn},
	{"a timeout ends what has a session of its own", timeout_session},
	{"a timeout ends what left its environment behind", timeout_clean_session},
	{"a timeout before the command runs leaves nothing", short_timeout},
	{"a background process does not outlive its call", background_after_exit},
	{"a background process that holds stdout does not hold the call", holder_of_stdout},
	{"a stranger that holds stdout does not hold the call", clean_holder_of_stdout},
	{0},
};
