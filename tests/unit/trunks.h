/* SPDX-License-Identifier: MIT */
/* Trunks over a backend whose box is this machine, and whose connections are a script's. */
#ifndef TESTS_TRUNKS_H
#define TESTS_TRUNKS_H

#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "calls.h"
#include "cleanup.h"
#include "clock.h"
#include "processes.h"

#define WAIT_MS 60000
/* What all that a test starts bears. */
#define OF_THIS_TEST "HOOKBOX_TEST_TRUNK"
/* Keeps a trunk: $0 is its path, $1 a file for its pid. */
#define KEEP                                                                    \
	"trap '' TERM; echo $$ >\"$1\"; : >\"$0\"; echo; read -r _; rm -f \"$0\""

/* ---- The backend ---- */

static struct {
	_Atomic(const char *) keep;	/* what a trunk's process runs */
	atomic_uint n_trunks;		/* planned */
	atomic_uint n_refused;		/* calls that are still to be refused by their trunk */
	atomic_uint n_through;		/* calls that were planned to go through one */
	char dir[64];
	char pid_file[96];
	char hold[96];			/* while there is such a file, calls get nowhere */
	char mark[96];
} ways;

static inline void plan_words(const struct sandbox_plan_sink *sink, const char *const *words)
{
	for (; *words; words++)
		sink->arg(sink, *words);
}

static inline bool takes_one(atomic_uint *left)
{
	unsigned int n = *left;

	while (n && !atomic_compare_exchange_weak(left, &n, n - 1))
		;
	return n;
}

/* A call that finds no trunk, or is refused, ends with 255, after it has read some of its stdin. */
static inline int trunk_plan(const void *instance, const struct sandbox_plan_request *request,
		      const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	const char *const kept[] = {"sh", "-c", ways.keep, request->trunk, ways.pid_file, NULL};
	const char *const refused[] = {"sh", "-c", "head -c 40 >/dev/null; exit 255", NULL};
	const char *const through[] = {
		"sh", "-c", "[ -e \"$0\" ] || exit 255; while [ -e \"$1\" ]; do sleep 0.01; done; "
			    "shift; THROUGH=it; export THROUGH; exec \"$@\"",
		request->trunk, ways.hold, NULL};

	sink->env(sink, ways.mark);
	if (request->purpose == SANDBOX_PURPOSE_TRUNK) {
		ways.n_trunks++;
		plan_words(sink, kept);
		return 0;
	}
	if (request->trunk) {
		ways.n_through++;
		if (takes_one(&ways.n_refused)) {
			plan_words(sink, refused);
			return 0;
		}
		plan_words(sink, through);
	}
	plan_words(sink, request->argv);
	return 0;
}

static inline void trunk_classify(const void *instance, const struct sandbox_process_end *end,
			   struct sandbox_verdict *verdict)
{
	if (!end->trunk || end->status != 255)
		return;
	verdict->end = SANDBOX_END_NOT_STARTED;
	verdict->trunk_unused = true;
}

static const struct sandbox_plugin_v1 trunk_plugin __attribute__((unused)) = {
	BACKEND(SANDBOX_KEPT | SANDBOX_SHELL | SANDBOX_TRUNK), .name = "trunk",
	.plan = trunk_plan, .classify = trunk_classify,
};

/* ---- One sandbox for each test ---- */

struct fixture {
	struct log log;
	struct sandbox_host_context context;
	struct config_sandbox config;
	struct sandbox *sandbox;
	pthread_mutex_t lock;
	struct buf logged;
	struct hookbox_cancel *cancel;
	char begun[96];			/* a file for a command's pid */
};

static inline void take_line(void *data, int level, const char *message)
{
	struct fixture *f = data;

	pthread_mutex_lock(&f->lock);
	buf_printf(&f->logged, "%s\n", message);
	pthread_mutex_unlock(&f->lock);
}

static inline void prepare(struct fixture *f)
{
	*f = (struct fixture){
		.log = {take_line, f},
		.context = {.log = &f->log, .ledger = ledger_new()},
		.config = {
			.name = (char *)"box", .where = (char *)"test:1", .mode = (char *)"trunk",
			.shell = true,
		},
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	ways.keep = KEEP;
	ways.n_trunks = ways.n_refused = ways.n_through = 0;
	unlink(ways.pid_file);
}

static inline void open_box(struct fixture *f, const char *keep)
{
	struct hookbox_error error = {0};

	prepare(f);
	ways.keep = keep;
	if (sandbox_open(&f->config, &trunk_plugin, &f->context, &f->sandbox, &error))
		fail_msg("%s", error.message);
}

static inline void expect_nothing(void)
{
	_cleanup_free_ char *state = NULL;

	wait_until_none_has_env(ways.mark);
	assert_true(asprintf(&state, "ls %s/hookbox/t.* 2>/dev/null", ways.dir) > 0);
	assert_int_not_equal(system(state), 0);
}

/* Nothing may be left of it: no child, no other process, no socket. */
static inline void close_box(struct fixture *f)
{
	sandbox_close(f->sandbox);
	ledger_free(f->context.ledger);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	buf_free(&f->logged);
	expect_nothing();
}

/* A call must come out well, whatever way it takes. Did it go through the trunk? */
static inline bool call_goes_through(struct fixture *f)
{
	struct hookbox_result *r =
		RUN(f->sandbox, PLAIN, "sh", "-c", "echo \"by ${THROUGH-itself}\"");
	bool through = r->out && !strcmp(r->out, "by it\n");

	assert_int_equal(r->end, HOOKBOX_EXITED);
	assert_int_equal(r->status, 0);
	assert_int_equal(r->cleanup, HOOKBOX_CLEANUP_SWEPT);
	if (!through)
		assert_string_equal(r->out, "by itself\n");
	hookbox_result_free(r);
	return through;
}

/* The trunk comes to be beside the calls. */
static inline void call_until_through(struct fixture *f)
{
	int64_t until = clock_deadline_us(WAIT_MS);

	while (!call_goes_through(f) && clock_us() < until)
		usleep(5000);
	assert_true(call_goes_through(f));
}

static inline pid_t read_pid(const char *path)
{
	int pid = 0;

	for (int i = 0; i < WAIT_MS / 10 && pid <= 0; i++) {
		FILE *file = fopen(path, "re");

		if (!file || fscanf(file, "%d", &pid) != 1)
			usleep(10000);
		if (file)
			fclose(file);
	}
	assert_true(pid > 0);
	return pid;
}

static inline bool log_has(struct fixture *f, const char *words)
{
	bool has;

	pthread_mutex_lock(&f->lock);
	has = f->logged.size && strstr(f->logged.data, words);
	pthread_mutex_unlock(&f->lock);
	return has;
}

/* ---- The whole program ---- */

static inline int trunks_setup(void **state)
{
	strcpy(ways.dir, "/tmp/hookbox-trunk-XXXXXX");
	if (!mkdtemp(ways.dir))
		return -1;
	snprintf(ways.pid_file, sizeof(ways.pid_file), "%s/pid", ways.dir);
	snprintf(ways.hold, sizeof(ways.hold), "%s/hold", ways.dir);
	snprintf(ways.mark, sizeof(ways.mark), "%s=%d", OF_THIS_TEST, (int)getpid());
	return setenv("XDG_RUNTIME_DIR", ways.dir, 1);
}

static inline int trunks_teardown(void **state)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", ways.dir);
	return system(command);
}

#endif
