/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "soak.h"

/* One call, and how it ends when nothing is killed. */
struct kind {
	const char *name;
	const char *script;	/* NULL: cat */
	enum hookbox_end end;
	int status;
	long n, n_lost, n_refused;
};

static struct kind kinds[] = {
	{"echoes", NULL, HOOKBOX_EXITED, 0, 0, 0, 0},
	{"exit codes", "cat >/dev/null; exit 7", HOOKBOX_EXITED, 7, 0, 0, 0},
	{"signals", "kill -11 $$", HOOKBOX_SIGNALED, 11, 0, 0, 0},
	{"timeouts", "trap '' TERM; setsid sleep 1000 & exec sleep 1000", HOOKBOX_TIMED_OUT, 0, 0, 0, 0},
	{"cancels", "setsid sleep 1000 & exec sleep 1000", HOOKBOX_CANCELLED, 0, 0, 0, 0},
	{"floods", "exec yes", HOOKBOX_OUTPUT_LIMIT, 0, 0, 0, 0},
	{"leavers", "(setsid sleep 1000 &) ; cat", HOOKBOX_EXITED, 0, 0, 0, 0},
};
#define N_KINDS (sizeof(kinds) / sizeof(*kinds))

/* ---- What a call is made of ---- */

/* Bytes that no other call sends. */
static char *make_input(long number, unsigned int *seed, size_t *size)
{
	unsigned int magnitude = soak_random(seed, 18);
	char *bytes;

	*size = 64 + soak_random(seed, 64u << (magnitude < 14 ? magnitude / 2 : magnitude - 4));
	bytes = malloc(*size);
	if (!bytes)
		abort();
	for (size_t i = 0; i < *size; i++)
		bytes[i] = (char)soak_random(seed, 256);
	snprintf(bytes, 64, "call %ld of the soak", number);
	return bytes;
}

struct canceller {
	struct hookbox_cancel *cancel;
	unsigned int after_us;
};

static void *fire(void *data)
{
	const struct canceller *canceller = data;

	usleep(canceller->after_us);
	hookbox_cancel_fire(canceller->cancel);
	return NULL;
}

static struct hookbox_result *run(const struct soak *soak, struct hookbox_call *call)
{
	struct hookbox_result *result = NULL;
	struct hookbox_error error;

	if (hookbox_exec(soak->box, "soak", call, &result, &error))
		soak_wrong("a call was refused: %s", error.message);
	return result;
}

static struct hookbox_result *run_cancelled(const struct soak *soak, struct hookbox_call *call,
					    unsigned int after_us)
{
	struct canceller canceller = {hookbox_cancel_new(), after_us};
	struct hookbox_result *result;
	pthread_t thread;

	call->cancel = canceller.cancel;
	if (!canceller.cancel || pthread_create(&thread, NULL, fire, &canceller))
		abort();
	result = run(soak, call);
	pthread_join(thread, NULL);
	hookbox_cancel_free(canceller.cancel);
	return result;
}

/* ---- Judging ---- */

static bool has_echo(const struct hookbox_result *result, const char *input, size_t size)
{
	return result->out_size == size && !memcmp(result->out, input, size);
}

/* A call that had to go without an agent, as the box was just not there, is told so of a signal. */
static bool is_signal_without_agent(const struct kind *kind, const struct hookbox_result *result)
{
	return kind->end == HOOKBOX_SIGNALED && result->end == HOOKBOX_EXITED &&
	       result->status == 128 + kind->status && result->cleanup == HOOKBOX_CLEANUP_SWEPT;
}

static void judge(struct kind *kind, long number, const struct hookbox_result *result,
		  int64_t begun_us, const char *input, size_t size)
{
	bool fault = soak_was_fault(begun_us, soak_now_us());
	bool echoes = !kind->script || strstr(kind->script, "; cat");

	__atomic_add_fetch(&kind->n, 1, __ATOMIC_RELAXED);
	if (result->end == HOOKBOX_LOST)
		__atomic_add_fetch(&kind->n_lost, 1, __ATOMIC_RELAXED);
	if (result->end == HOOKBOX_NOT_STARTED)
		__atomic_add_fetch(&kind->n_refused, 1, __ATOMIC_RELAXED);
	if ((result->end == HOOKBOX_LOST || result->end == HOOKBOX_NOT_STARTED) && fault)
		return;
	if (is_signal_without_agent(kind, result))
		return;
	if (result->end != kind->end || result->status != kind->status)
		soak_wrong("call %ld (%s) %s %d, %ld ms after the last fault: %s", number,
			   kind->name, hookbox_end_name(result->end), result->status,
			   (long)(soak_since_fault_us(begun_us) / 1000),
			   result->message ? result->message : "no message");
	else if (echoes && (!has_echo(result, input, size) || result->truncated))
		soak_wrong("call %ld (%s) answered %zu bytes that are not the %zu it was sent",
			   number, kind->name, result->out_size, size);
	else if (result->cleanup == HOOKBOX_CLEANUP_UNKNOWN && !fault)
		soak_wrong("call %ld (%s) may have left something: %s", number, kind->name,
			   result->cleanup_reason);
}

void soak_call(const struct soak *soak, long number)
{
	unsigned int seed = soak->seed + (unsigned int)number * 2654435761u;
	unsigned int dice = soak_random(&seed, 20);
	struct kind *kind = &kinds[dice < 12 ? 0 : dice - 12 < N_KINDS - 1 ? dice - 11 : 1];
	const char *const argv[] = {kind->script ? "sh" : "cat", kind->script ? "-c" : NULL,
				    kind->script, NULL};
	struct hookbox_call call = {.size = sizeof(call), .argv = argv, .timeout_ms = 120000};
	int64_t begun_us = soak_now_us();
	struct hookbox_result *result;
	char *input = make_input(number, &seed, &call.stdin_size);

	call.stdin_data = input;
	if (kind->end == HOOKBOX_TIMED_OUT)
		call.timeout_ms = 1 + soak_random(&seed, 300);
	if (kind->end == HOOKBOX_OUTPUT_LIMIT)
		call.stdout_limit = 1 + soak_random(&seed, 200000);
	result = kind->end == HOOKBOX_CANCELLED
			 ? run_cancelled(soak, &call, soak_random(&seed, 300000))
			 : run(soak, &call);
	if (result)
		judge(kind, number, result, begun_us, input, call.stdin_size);
	hookbox_result_free(result);
	free(input);
}

void soak_probe(const struct soak *soak, const char *after)
{
	const char *const argv[] = {"cat", NULL};
	struct hookbox_call call = {.size = sizeof(call), .argv = argv, .timeout_ms = 60000,
				    .stdin_data = "probe", .stdin_size = 5};

	for (int i = 0; i < 2; i++) {
		struct hookbox_result *result = run(soak, &call);
		bool works = result && result->end == HOOKBOX_EXITED && !result->status &&
			     has_echo(result, "probe", 5);
		bool lost = result && result->end == HOOKBOX_LOST;

		if (!works && (!lost || i))
			soak_wrong("a call after the death of %s does not work: %s", after,
				   result && result->message ? result->message : "no message");
		hookbox_result_free(result);
		if (!lost)
			return;
	}
}

void soak_print_calls(void)
{
	for (size_t i = 0; i < N_KINDS; i++)
		printf("%-10s %6ld, lost %ld, not started %ld\n", kinds[i].name, kinds[i].n,
		       kinds[i].n_lost, kinds[i].n_refused);
}
