/* SPDX-License-Identifier: MIT */
/* How calls end: codes, signals, limits, cancels, many at once. */
#include "kit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "hookbox/sandbox_plugin.h"

static void exit_codes(struct kit *kit)
{
	static const int codes[] = {0,	 1,   2,   3,	42,  63,  64,  100, 124,
				    125, 126, 127, 128, 129, 137, 254, 255};
	size_t n = kit->options->full ? 256 : sizeof(codes) / sizeof(codes[0]);

	for (size_t i = 0; i < n; i++) {
		int code = kit->options->full ? (int)i : codes[i];
		_cleanup_result_ struct hookbox_result *result = NULL;
		char text[8];

		snprintf(text, sizeof(text), "%d", code);
		result = KIT_CALL(kit, PLAIN, "sh", "-c", "exit $1", "sh", text);
		if (!kit_exited(kit, result, code))
			return;
	}
}

static void signals(struct kit *kit)
{
	static const int numbers[] = {SIGTERM, SIGKILL, SIGSEGV, SIGHUP};
	/* A one-off call cannot tell; one through an agent can. */
	bool may_be_status = kit->flags & SANDBOX_SIGNALS_AS_128N;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		_cleanup_result_ struct hookbox_result *result = NULL;
		char text[8];

		snprintf(text, sizeof(text), "%d", numbers[i]);
		result = KIT_CALL(kit, PLAIN, "sh", "-c", "kill -$1 $$; sleep 5", "sh", text);
		if (!result)
			return;
		EXPECT(kit,
		       (result->end == HOOKBOX_SIGNALED && result->status == numbers[i]) ||
			       (may_be_status && result->end == HOOKBOX_EXITED &&
				result->status == 128 + numbers[i]),
		       "signal %d came back as \"%s\" %d", numbers[i],
		       hookbox_end_name(result->end), result->status);
	}
}

/* The shell's own 127 is an end like others: the command did start. */
static void shell_finds_nothing(struct kit *kit)
{
	_cleanup_result_ struct hookbox_result *result =
		KIT_CALL(kit, PLAIN, "sh", "-c", "kit-no-such-command");

	if (kit_exited(kit, result, 127))
		EXPECT(kit, strstr(result->err, "kit-no-such-command"), "stderr is \"%.200s\"",
		       result->err);
}

static void output_before_failure(struct kit *kit)
{
	_cleanup_result_ struct hookbox_result *result =
		KIT_CALL(kit, PLAIN, "sh", "-c", "echo out; echo err >&2; exit 9");

	if (kit_exited(kit, result, 9))
		EXPECT(kit, !strcmp(result->out, "out\n") && !strcmp(result->err, "err\n"),
		       "stdout is \"%.20s\", stderr \"%.40s\"", result->out, result->err);
}

static void limit_ends(struct kit *kit)
{
	struct hookbox_call call = {.stdout_limit = 100000};
	_cleanup_result_ struct hookbox_result *result =
		KIT_CALL(kit, call, "sh", "-c", "while :; do echo endless output; done");

	if (!result)
		return;
	EXPECT(kit, result->end == HOOKBOX_OUTPUT_LIMIT, "it ended as \"%s\"",
	       hookbox_end_name(result->end));
	EXPECT(kit,
	       result->out_size == 100000 && result->out_total > 100000 &&
		       result->out_dropped == result->out_total - 100000,
	       "kept %zu of %llu, dropped %llu", result->out_size,
	       (unsigned long long)result->out_total, (unsigned long long)result->out_dropped);
	EXPECT(kit, result->message, "nothing says why");
}

static void limit_drops(struct kit *kit)
{
	struct hookbox_call call = {
		.stdout_limit = 1000, .stderr_limit = 10, .flags = HOOKBOX_DROP_OUTPUT};
	_cleanup_result_ struct hookbox_result *result =
		KIT_CALL(kit, call, "sh", "-c",
			 "i=0; while [ $i -lt 500 ]; do echo 123456789; i=$((i+1)); done; echo "
			 "123456789abcdef >&2");

	if (!kit_exited(kit, result, 0))
		return;
	EXPECT(kit,
	       result->out_size == 1000 && result->out_total == 5000 && result->out_dropped == 4000,
	       "kept %zu of %llu", result->out_size, (unsigned long long)result->out_total);
	EXPECT(kit, result->err_size == 10 && result->err_total == 16 && result->err_dropped == 6,
	       "kept %zu of %llu of stderr", result->err_size,
	       (unsigned long long)result->err_total);
}

/* The most memory that was used, in KiB, since it was last reset; 0 when that cannot be told. */
static unsigned long peak_kib(bool reset)
{
	_cleanup_fclose_ FILE *file = NULL;
	unsigned long kib = 0;
	char line[256];

	if (reset) {
		_cleanup_close_ int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "5", 1) != 1)
			return 0;
	}
	file = fopen("/proc/self/status", "re");
	while (file && !kib && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmHWM: %lu", &kib) != 1)
			kib = 0;
	return kib;
}

static void limit_bounds_memory(struct kit *kit)
{
	struct hookbox_call call = {.stdout_limit = 100000, .flags = HOOKBOX_DROP_OUTPUT};
	_cleanup_result_ struct hookbox_result *result = NULL;
	unsigned long before = peak_kib(true), after;

	if (!before) {
		kit_skip(kit, "this system does not tell how much memory is used");
		return;
	}
	result = KIT_CALL(kit, call, "sh", "-c",
			  "x=0123456789abcdef; while [ ${#x} -lt 65536 ]; do x=$x$x; done; "
			  "i=0; while [ $i -lt 512 ]; do printf %s \"$x\"; i=$((i+1)); done");
	after = peak_kib(false);
	if (!kit_exited(kit, result, 0))
		return;
	EXPECT(kit, result->out_total == 512 * 65536 && result->out_size == 100000,
	       "kept %zu of %llu", result->out_size, (unsigned long long)result->out_total);
	EXPECT(kit, after < before + 8192, "32 MiB of output took %lu KiB of memory",
	       after - before);
}

/* ---- Cancels: the command says "started" first, else there would be nothing to end ---- */

static int cancel_at_output(void *data, int stream, const void *bytes, size_t n)
{
	hookbox_cancel_fire(data);
	return 0;
}

static int refuse_output(void *data, int stream, const void *bytes, size_t n)
{
	return 1;
}

static void expect_cancelled(struct kit *kit, struct hookbox_call call)
{
	_cleanup_result_ struct hookbox_result *result = NULL;
	char sleep_text[16];

	result = KIT_CALL(kit, call, "sh", "-c", "echo started; exec sleep $1", "sh",
			  kit_sleep(kit, sleep_text));
	if (!result)
		return;
	EXPECT(kit, result->end == HOOKBOX_CANCELLED, "it ended as \"%s\"",
	       hookbox_end_name(result->end));
	EXPECT(kit, result->out_total, "it was cancelled before the command had started");
	kit_expect_gone(kit, "the command still runs");
}

struct trigger {
	struct hookbox_cancel *cancel;
	atomic_bool started;
};

static int note_started(void *data, int stream, const void *bytes, size_t n)
{
	atomic_store((atomic_bool *)data, true);
	return 0;
}

/* A busy machine may take long to begin; then the call is really under way for a moment. */
static void *fire_when_started(void *data)
{
	struct trigger *trigger = data;

	for (int i = 0; i < 6000 && !atomic_load(&trigger->started); i++)
		usleep(10000);
	usleep(200000);
	hookbox_cancel_fire(trigger->cancel);
	return NULL;
}

static void cancel_from_thread(struct kit *kit)
{
	struct trigger trigger = {.cancel = hookbox_cancel_new()};
	struct hookbox_call call = {
		.cancel = trigger.cancel,
		.sink = note_started,
		.sink_data = &trigger.started,
	};
	pthread_t thread;

	EXPECT(kit, call.cancel, "no cancel object could be made");
	if (pthread_create(&thread, NULL, fire_when_started, &trigger)) {
		kit_fail(kit, "no thread could be made");
	} else {
		expect_cancelled(kit, call);
		pthread_join(thread, NULL);
	}
	hookbox_cancel_free(call.cancel);
}

static void cancel_from_sink(struct kit *kit)
{
	struct hookbox_cancel *cancel = hookbox_cancel_new();

	EXPECT(kit, cancel, "no cancel object could be made");
	expect_cancelled(kit, (struct hookbox_call){.cancel = cancel,
						    .sink = cancel_at_output,
						    .sink_data = cancel});
	hookbox_cancel_free(cancel);
}

static void sink_refuses(struct kit *kit)
{
	expect_cancelled(kit, (struct hookbox_call){.sink = refuse_output});
}

/* The command may have ended before its words were read. */
static void sink_refuses_last_words(struct kit *kit)
{
	struct hookbox_call call = {.sink = refuse_output};
	_cleanup_result_ struct hookbox_result *result =
		KIT_CALL(kit, call, "sh", "-c", "echo all that there is");

	if (result)
		EXPECT(kit, result->end == HOOKBOX_CANCELLED, "it ended as \"%s\"",
		       hookbox_end_name(result->end));
}

static void cancel_before(struct kit *kit)
{
	struct hookbox_call call = {.cancel = hookbox_cancel_new()};
	_cleanup_result_ struct hookbox_result *result = NULL;

	hookbox_cancel_fire(call.cancel);
	result = KIT_CALL(kit, call, "true");
	hookbox_cancel_free(call.cancel);
	if (result)
		EXPECT(kit, result->end == HOOKBOX_CANCELLED, "it ended as \"%s\"",
		       hookbox_end_name(result->end));
}

static void timeout_with_endless_stdin(struct kit *kit)
{
	_cleanup_result_ struct hookbox_result *result = NULL;
	struct hookbox_call call = {.timeout_ms = kit->patience_ms};
	int fds[2];

	EXPECT(kit, !pipe2(fds, O_CLOEXEC), "no pipe could be made");
	call.use_stdin_fd = true;
	call.stdin_fd = fds[0];
	result = KIT_CALL(kit, call, "cat");
	close(fds[0]);
	close(fds[1]);
	if (result)
		EXPECT(kit, result->end == HOOKBOX_TIMED_OUT, "it ended as \"%s\"",
		       hookbox_end_name(result->end));
}

/* ---- Many at once ---- */

struct worker {
	struct kit kit; /* a copy: each thread has its own verdict */
	unsigned int number;
	pthread_t thread;
};

static void *work(void *data)
{
	struct worker *worker = data;
	_cleanup_free_ char *bytes = kit_bytes(20000, worker->number);
	char variable[32], code[8];
	const char *const env[] = {variable, NULL};
	struct hookbox_call call = {.stdin_data = bytes, .stdin_size = 20000, .env = env};
	_cleanup_result_ struct hookbox_result *result = NULL;

	snprintf(variable, sizeof(variable), "KIT_NUMBER=%u", worker->number);
	snprintf(code, sizeof(code), "%u", worker->number);
	result = KIT_CALL(&worker->kit, call, "sh", "-c", "cat; echo $KIT_NUMBER >&2; exit $1",
			  "sh", code);
	if (!kit_exited(&worker->kit, result, (int)worker->number))
		return NULL;
	if (result->out_size != 20000 || memcmp(result->out, bytes, 20000) ||
	    atoi(result->err) != (int)worker->number)
		kit_fail(&worker->kit, "call %u got another's data", worker->number);
	return NULL;
}

static void concurrent(struct kit *kit)
{
	enum { WORKERS = 20 };
	struct worker *workers = calloc(WORKERS, sizeof(*workers));
	unsigned int n;

	EXPECT(kit, workers, "out of memory");
	for (n = 0; n < WORKERS; n++) {
		workers[n].kit = *kit;
		workers[n].number = n + 1;
		if (pthread_create(&workers[n].thread, NULL, work, &workers[n])) {
			kit_fail(kit, "no thread could be made");
			break;
		}
	}
	for (unsigned int i = 0; i < n; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].kit.failed)
			kit_fail(kit, "%s", workers[i].kit.reason);
	}
	free(workers);
}

const struct kit_check kit_end_checks[] = {
	{"exit codes come back", exit_codes},
	{"signals come back", signals},
	{"a shell's own \"not found\" is an end of the command", shell_finds_nothing},
	{"a failing command keeps its output", output_before_failure},
	{"endless output ends the call at its limit", limit_ends},
	{"output beyond the limit is dropped and counted", limit_drops},
	{"dropped output takes no memory", limit_bounds_memory},
	{"a running call can be cancelled by another thread", cancel_from_thread},
	{"a running call can be cancelled by its sink", cancel_from_sink},
	{"a sink that refuses output ends the call", sink_refuses},
	{"a sink that refuses the last words ends the call", sink_refuses_last_words},
	{"a cancelled call does not start", cancel_before},
	{"a timeout does not wait for stdin", timeout_with_endless_stdin},
	{"20 calls at once do not mix", concurrent},
	{0},
};
