/* SPDX-License-Identifier: MIT */
/* Trunks that calls share, that do not come, and sandboxes that can have none. */
#include "trunks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>

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
	assert_true(log_has(&f, "it could not be made: nobody answers"));
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
		cmocka_unit_test(test_stale_sockets_go),
		cmocka_unit_test(test_a_path_that_is_too_long),
		cmocka_unit_test(test_where_there_can_be_none),
	};

	return cmocka_run_group_tests(tests, trunks_setup, trunks_teardown);
}
