/* SPDX-License-Identifier: MIT */
/* Trunks over a backend whose box is this machine, and whose connections are a script's. */
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
	"trap exit TERM; trap 'rm -f \"$0\"' EXIT; echo $$ >\"$1\"; : >\"$0\"; echo; read -r _"

/* ---- The backend ---- */

static struct {
	_Atomic(const char *) keep;	/* what a trunk's process runs */
	atomic_uint n_trunks;		/* planned */
	atomic_uint n_refused;		/* calls that are still to be refused by their trunk */
	atomic_uint n_through;		/* calls that were planned to go through one */
	char dir[64];
	char pid_file[96];
	char mark[96];
} ways;

static void plan_words(const struct sandbox_plan_sink *sink, const char *const *words)
{
	for (; *words; words++)
		sink->arg(sink, *words);
}

static bool takes_one(atomic_uint *left)
{
	unsigned int n = *left;

	while (n && !atomic_compare_exchange_weak(left, &n, n - 1))
		;
	return n;
}

/* A call that finds no trunk, or is refused, ends with 255, after it has read some of its stdin. */
static int trunk_plan(const void *instance, const struct sandbox_plan_request *request,
		      const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	const char *const kept[] = {"sh", "-c", ways.keep, request->trunk, ways.pid_file, NULL};
	const char *const refused[] = {"sh", "-c", "head -c 40 >/dev/null; exit 255", NULL};
	const char *const through[] = {
		"sh", "-c", "[ -e \"$0\" ] || exit 255; THROUGH=it; export THROUGH; exec \"$@\"",
		request->trunk, NULL};

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

static void trunk_classify(const void *instance, const struct sandbox_process_end *end,
			   struct sandbox_verdict *verdict)
{
	if (!end->trunk || end->status != 255)
		return;
	verdict->end = SANDBOX_END_NOT_STARTED;
	verdict->trunk_unused = true;
}

static const struct sandbox_plugin_v1 trunk_plugin = {
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
};

static void take_line(void *data, int level, const char *message)
{
	struct fixture *f = data;

	pthread_mutex_lock(&f->lock);
	buf_printf(&f->logged, "%s\n", message);
	pthread_mutex_unlock(&f->lock);
}

static void prepare(struct fixture *f)
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

static void open_box(struct fixture *f, const char *keep)
{
	struct hookbox_error error = {0};

	prepare(f);
	ways.keep = keep;
	if (sandbox_open(&f->config, &trunk_plugin, &f->context, &f->sandbox, &error))
		fail_msg("%s", error.message);
}

static void expect_nothing(void)
{
	_cleanup_free_ char *state = NULL;

	wait_until_none_has_env(ways.mark);
	assert_true(asprintf(&state, "ls %s/hookbox/t.* 2>/dev/null", ways.dir) > 0);
	assert_int_not_equal(system(state), 0);
}

/* Nothing may be left of it: no child, no other process, no socket. */
static void close_box(struct fixture *f)
{
	sandbox_close(f->sandbox);
	ledger_free(f->context.ledger);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	buf_free(&f->logged);
	expect_nothing();
}

/* A call must come out well, whatever way it takes. Did it go through the trunk? */
static bool call_goes_through(struct fixture *f)
{
	struct hookbox_result *r = RUN(f->sandbox, PLAIN, "sh", "-c", "echo \"by ${THROUGH-itself}\"");
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
static void call_until_through(struct fixture *f)
{
	int64_t until = clock_deadline_us(WAIT_MS);

	while (!call_goes_through(f) && clock_us() < until)
		usleep(5000);
	assert_true(call_goes_through(f));
}

static pid_t read_pid(const char *path)
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

static bool log_has(struct fixture *f, const char *words)
{
	bool has;

	pthread_mutex_lock(&f->lock);
	has = f->logged.size && strstr(f->logged.data, words);
	pthread_mutex_unlock(&f->lock);
	return has;
}

/* ---- A trunk that works ---- */

static void test_calls_share_one(void **state)
{
	struct fixture f;

	open_box(&f, KEEP);
	assert_int_equal(ways.n_trunks, 0);
	assert_false(call_goes_through(&f));
	assert_int_equal(ways.n_trunks, 0);
	call_until_through(&f);
	for (int i = 0; i < 10; i++)
		assert_true(call_goes_through(&f));
	assert_int_equal(ways.n_trunks, 1);
	close_box(&f);
}

/* What was read from a descriptor could not be given to a second connection. */
static void test_input_from_a_descriptor_goes_its_own_way(void **state)
{
	struct hookbox_result *r;
	struct hookbox_call call = {.use_stdin_fd = true};
	struct fixture f;

	open_box(&f, KEEP);
	call_until_through(&f);
	call.stdin_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	r = RUN(f.sandbox, call, "sh", "-c", "echo ${THROUGH-alone}");
	assert_string_equal(r->out, "alone\n");
	hookbox_result_free(r);
	close(call.stdin_fd);
	close_box(&f);
}

/* All run at once: each waits for the file that is made when all have begun. */
#define N_AT_ONCE 12

struct guest {
	pthread_t thread;
	struct fixture *f;
	bool through;
};

static void *be_there(void *data)
{
	struct guest *guest = data;
	char script[256];
	struct hookbox_result *r;

	snprintf(script, sizeof(script),
		 "echo >\"%s/there.$$\"; while ! [ -e %s/all ]; do sleep 0.02; done; "
		 "echo ${THROUGH-alone}", ways.dir, ways.dir);
	r = RUN(guest->f->sandbox, PLAIN, "sh", "-c", script);
	guest->through = r->end == HOOKBOX_EXITED && r->out && !strcmp(r->out, "it\n");
	hookbox_result_free(r);
	return NULL;
}

static void test_no_more_at_once_than_a_server_allows(void **state)
{
	struct guest guests[N_AT_ONCE] = {0};
	char count[256];
	unsigned int through = 0;
	struct fixture f;

	open_box(&f, KEEP);
	call_until_through(&f);
	for (int i = 0; i < N_AT_ONCE; i++) {
		guests[i].f = &f;
		pthread_create(&guests[i].thread, NULL, be_there, &guests[i]);
	}
	snprintf(count, sizeof(count),
		 "for i in $(seq 3000); do set -- %s/there.*; [ $# = %d ] && break; sleep 0.02; done; "
		 ": >%s/all", ways.dir, N_AT_ONCE, ways.dir);
	assert_int_equal(system(count), 0);
	for (int i = 0; i < N_AT_ONCE; i++) {
		pthread_join(guests[i].thread, NULL);
		through += guests[i].through;
	}
	assert_int_equal(through, 8);
	assert_true(call_goes_through(&f));
	assert_int_equal(ways.n_trunks, 1);
	snprintf(count, sizeof(count), "rm -f %s/there.* %s/all", ways.dir, ways.dir);
	assert_int_equal(system(count), 0);
	close_box(&f);
}

/* The server gives fewer sessions than we ask for: that call is run anew, with all of its stdin. */
static void test_a_refused_call_goes_its_own_way(void **state)
{
	struct hookbox_call call = {.stdin_data = "its input", .stdin_size = 9};
	struct hookbox_result *r;
	struct fixture f;

	open_box(&f, KEEP);
	call_until_through(&f);
	ways.n_refused = 1;
	r = RUN(f.sandbox, call, "sh", "-c", "cat; echo \" by ${THROUGH-itself}\"; exit 3");
	assert_int_equal(r->status, 3);
	assert_string_equal(r->out, "its input by itself\n");
	hookbox_result_free(r);
	/* Nobody else is told to find that out. */
	ways.n_through = 0;
	assert_false(call_goes_through(&f));
	assert_int_equal(ways.n_through, 0);
	close_box(&f);
}

/* ---- One that does not come ---- */

static void test_one_that_cannot_be_opened(void **state)
{
	struct fixture f;

	open_box(&f, "echo nobody answers >&2; exit 1");
	for (int i = 0; i < 200 && !log_has(&f, "nobody answers"); i++)
		assert_false(call_goes_through(&f));
	assert_true(log_has(&f, "the login failed: nobody answers"));
	assert_false(call_goes_through(&f));
	/* It is left alone for a while. */
	assert_int_equal(ways.n_trunks, 1);
	close_box(&f);
}

static void test_one_that_never_gets_ready(void **state)
{
	struct fixture f;

	open_box(&f, "trap '' TERM; echo $$ >\"$1\"; while :; do sleep 3600; done");
	for (int i = 0; i < 5; i++)
		assert_false(call_goes_through(&f));
	read_pid(ways.pid_file);
	assert_int_equal(ways.n_trunks, 1);
	close_box(&f);
}

/* It says so much that it would wait for a reader. */
static void test_one_that_talks_without_end(void **state)
{
	struct fixture f;

	open_box(&f, ": >\"$0\"; (yes >&2 & yes & read -r _; kill -TERM 0)");
	call_until_through(&f);
	for (int i = 0; i < 5; i++)
		assert_true(call_goes_through(&f));
	close_box(&f);
}

/* ---- One that ends ---- */

static void test_one_that_dies_is_replaced(void **state)
{
	struct fixture f;

	open_box(&f, KEEP);
	for (unsigned int i = 1; i <= 3; i++) {
		call_until_through(&f);
		assert_int_equal(ways.n_trunks, i);
		kill(read_pid(ways.pid_file), SIGKILL);
		unlink(ways.pid_file);
		call_goes_through(&f);
	}
	close_box(&f);
}

/* A call that broke off may have broken the trunk: it gets no other one, and is replaced. */
static void test_one_under_which_a_call_is_lost(void **state)
{
	struct hookbox_result *r;
	struct fixture f;

	open_box(&f, KEEP);
	call_until_through(&f);
	r = RUN(f.sandbox, PLAIN, "sh", "-c", "kill -KILL $PPID; sleep 3600");
	assert_int_equal(r->end, HOOKBOX_LOST);
	hookbox_result_free(r);
	call_until_through(&f);
	assert_int_equal(ways.n_trunks, 2);
	close_box(&f);
}

#define N_THREADS 8
#define N_CALLS 15

static void *call_often(void *data)
{
	for (int i = 0; i < N_CALLS; i++)
		call_goes_through(data);
	return NULL;
}

static void test_many_threads_while_it_dies(void **state)
{
	pthread_t threads[N_THREADS];
	struct fixture f;

	open_box(&f, KEEP);
	call_until_through(&f);
	for (int i = 0; i < N_THREADS; i++)
		pthread_create(&threads[i], NULL, call_often, &f);
	for (int i = 0; i < 3; i++) {
		pid_t pid = read_pid(ways.pid_file);

		unlink(ways.pid_file);
		usleep(50000);
		kill(pid, SIGKILL);
		usleep(100000);
		if (access(ways.pid_file, F_OK))
			break;
	}
	ways.n_refused = 2;
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	close_box(&f);
}

/* ---- Hosts that end ---- */

/* The host is a process of its own, and killed while its trunk carries a call that does not end. */
static void test_none_outlives_a_killed_host(void **state)
{
	char begun[96];
	pid_t host, keeper, command;
	struct fixture f;

	snprintf(begun, sizeof(begun), "%s/begun", ways.dir);
	unlink(ways.pid_file);
	host = fork();
	assert_true(host >= 0);
	if (!host) {
		open_box(&f, KEEP);
		call_until_through(&f);
		RUN(f.sandbox, PLAIN, "sh", "-c", "echo $$ >\"$0\"; exec sleep 3600", begun);
		_exit(1);
	}
	command = read_pid(begun);
	keeper = read_pid(ways.pid_file);
	kill(host, SIGKILL);
	assert_int_equal(waitpid(host, NULL, 0), host);
	for (int i = 0; i < WAIT_MS / 10 && !kill(keeper, 0); i++)
		usleep(10000);
	assert_int_equal(kill(keeper, 0), -1);
	/* The call itself is left to the next host, who finds it in the box by its mark. */
	assert_int_equal(kill(command, SIGKILL), 0);
	unlink(begun);
	expect_nothing();
}

static void test_one_that_hangs_does_not_outlive_it_either(void **state)
{
	pid_t host = fork();
	struct fixture f;

	assert_true(host >= 0);
	if (!host) {
		open_box(&f, "trap '' TERM; echo $$ >\"$1\"; while :; do sleep 3600; done");
		for (int i = 0; i < 2; i++)
			call_goes_through(&f);
		read_pid(ways.pid_file);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(host, NULL, 0), host);
	expect_nothing();
}

/* In a process that was forked the trunk is the parent's. */
static void test_a_forked_process_leaves_it_alone(void **state)
{
	struct fixture f;
	pid_t child;
	int status;

	open_box(&f, KEEP);
	call_until_through(&f);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		bool through = call_goes_through(&f);

		sandbox_close(f.sandbox);
		_exit(through);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(call_goes_through(&f));
	assert_int_equal(ways.n_trunks, 1);
	close_box(&f);
}

/* ---- Its socket ---- */

static int make_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) <
		    (int)sizeof(address.sun_path));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Those that killed hosts left are removed, those that somebody listens on, or soon may, are not. */
static void test_stale_sockets_go(void **state)
{
	static const char *const names[] = {"t.0000dead", "t.00001ive", "t.0000young"};
	const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	char paths[3][128];
	struct fixture f;
	int fds[3];

	open_box(&f, KEEP);
	call_goes_through(&f);
	for (int i = 0; i < 3; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/hookbox/%s", ways.dir, names[i]);
		fds[i] = make_socket(paths[i]);
		if (i < 2)
			utimensat(AT_FDCWD, paths[i], long_ago, 0);
	}
	listen(fds[1], 1);
	call_until_through(&f);
	assert_int_equal(access(paths[0], F_OK), -1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(access(paths[i], F_OK), i ? 0 : -1);
		close(fds[i]);
		unlink(paths[i]);
	}
	close_box(&f);
}

static void test_a_path_that_is_too_long(void **state)
{
	char dir[160];
	struct fixture f;

	snprintf(dir, sizeof(dir), "%s/%070d", ways.dir, 0);
	assert_int_equal(mkdir(dir, 0700), 0);
	setenv("XDG_RUNTIME_DIR", dir, 1);
	open_box(&f, KEEP);
	for (int i = 0; i < 3; i++)
		assert_false(call_goes_through(&f));
	assert_true(log_has(&f, "XDG_RUNTIME_DIR"));
	assert_int_equal(ways.n_trunks, 0);
	setenv("XDG_RUNTIME_DIR", ways.dir, 1);
	close_box(&f);
}

/* ---- Settings ---- */

static void assert_refused(struct fixture *f, const struct sandbox_plugin_v1 *plugin,
			   const char *words)
{
	struct hookbox_error error = {0};

	assert_int_equal(sandbox_open(&f->config, plugin, &f->context, &f->sandbox, &error), -EINVAL);
	assert_contains(error.message, words);
}

static void test_where_there_can_be_none(void **state)
{
	static const struct sandbox_plugin_v1 without = {
		BACKEND(SANDBOX_KEPT | SANDBOX_SHELL), .name = "without", .plan = trunk_plan,
	};
	struct hookbox_error error = {0};
	struct fixture f;

	prepare(&f);
	f.config.multiplex = CONFIG_YES;
	assert_refused(&f, &without, "without makes no connections that calls could share");
	f.config.shell = false;
	assert_refused(&f, &trunk_plugin, "remove shell = none, or multiplex");
	f.config.shell = true;
	f.config.multiplex = CONFIG_NO;
	assert_int_equal(sandbox_open(&f.config, &trunk_plugin, &f.context, &f.sandbox, &error), 0);
	for (int i = 0; i < 3; i++)
		assert_false(call_goes_through(&f));
	assert_int_equal(ways.n_trunks, 0);
	close_box(&f);
}

static int setup(void **state)
{
	strcpy(ways.dir, "/tmp/hookbox-trunk-XXXXXX");
	if (!mkdtemp(ways.dir))
		return -1;
	snprintf(ways.pid_file, sizeof(ways.pid_file), "%s/pid", ways.dir);
	snprintf(ways.mark, sizeof(ways.mark), "%s=%d", OF_THIS_TEST, (int)getpid());
	return setenv("XDG_RUNTIME_DIR", ways.dir, 1);
}

static int teardown(void **state)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", ways.dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_share_one),
		cmocka_unit_test(test_input_from_a_descriptor_goes_its_own_way),
		cmocka_unit_test(test_no_more_at_once_than_a_server_allows),
		cmocka_unit_test(test_a_refused_call_goes_its_own_way),
		cmocka_unit_test(test_one_that_cannot_be_opened),
		cmocka_unit_test(test_one_that_never_gets_ready),
		cmocka_unit_test(test_one_that_talks_without_end),
		cmocka_unit_test(test_one_that_dies_is_replaced),
		cmocka_unit_test(test_one_under_which_a_call_is_lost),
		cmocka_unit_test(test_many_threads_while_it_dies),
		cmocka_unit_test(test_none_outlives_a_killed_host),
		cmocka_unit_test(test_one_that_hangs_does_not_outlive_it_either),
		cmocka_unit_test(test_a_forked_process_leaves_it_alone),
		cmocka_unit_test(test_stale_sockets_go),
		cmocka_unit_test(test_a_path_that_is_too_long),
		cmocka_unit_test(test_where_there_can_be_none),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
