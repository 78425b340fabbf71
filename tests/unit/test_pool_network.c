/* SPDX-License-Identifier: MIT */
/* Pools whose boxes share the network of one more: here it lives as long as that box's process. */
#include "pools.h"

#include <fcntl.h>

#include "files.h"

/* ---- The backend ---- */

static struct {
	atomic_uint joined_boxes;
	atomic_uint lone_boxes;
	atomic_uint joined_calls;
	atomic_uint lone_calls;
	atomic_bool refused;		/* no box can share a network, whatever its settings */
	atomic_bool gone;		/* a call that wants to share one does not start */
	_Atomic(const char *) keeper;	/* what the keeper runs besides */
} network;

/* FILE ID NETWORK MORE ARGV...: joins the network, when that is there, and becomes the agent. */
static const char box_script[] =
	"echo $$ >\"$0/$2\"; echo $$ >>\"$1\"\n"
	"[ -z \"$3\" ] || kill -0 \"$(cat \"$0/$3\")\" || exit 125\n"
	"eval \"$4\"; shift 4; exec \"$@\"";

static void plan_box(const struct sandbox_plan_request *request,
		     const struct sandbox_plan_sink *sink)
{
	bool joins = request->network_of;

	if (strcmp(request->call_id, "check"))
		++*(joins ? &network.joined_boxes : &network.lone_boxes);
	sink->arg(sink, "sh");
	sink->arg(sink, "-c");
	sink->arg(sink, boxes.instead ? boxes.instead : box_script);
	sink->arg(sink, files_dir);
	sink->arg(sink, boxes.pids);
	sink->arg(sink, request->call_id);
	sink->arg(sink, joins ? request->network_of : "");
	sink->arg(sink, !joins && network.keeper ? network.keeper : ":");
}

static void plan_call(const struct sandbox_plan_request *request,
		      const struct sandbox_plan_sink *sink)
{
	++*(request->network_of ? &network.joined_calls : &network.lone_calls);
	if (!request->network_of || !network.gone)
		return;
	sink->arg(sink, "sh");
	sink->arg(sink, "-c");
	sink->arg(sink, "echo no such network >&2; exit 125");
}

static int network_plan(const void *instance, const struct sandbox_plan_request *request,
			const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	if (request->network_of && network.refused) {
		snprintf(error, SANDBOX_ERROR_SIZE, "color = red goes with no other; remove it");
		return -EINVAL;
	}
	if (request->purpose == SANDBOX_PURPOSE_POOL)
		plan_box(request, sink);
	else
		plan_call(request, sink);
	for (const char *const *arg = request->argv; *arg; arg++)
		sink->arg(sink, seen_at(request, *arg));
	return 0;
}

static void network_classify(const void *instance, const struct sandbox_process_end *end,
			     struct sandbox_verdict *verdict)
{
	if (end->signaled || end->status != 125)
		return;
	verdict->end = SANDBOX_END_NOT_STARTED;
	snprintf(verdict->message, sizeof(verdict->message), "it did not start");
}

static const struct sandbox_plugin_v1 network_plugin = {
	BACKEND(SANDBOX_FRESH | SANDBOX_SHELL | SANDBOX_MOUNTS | SANDBOX_ENDS_WITH_PROCESS |
		SANDBOX_SHARES_NETWORK),
	.plan = network_plan, .classify = network_classify, .name = "network",
};

/* ---- One sandbox for each test ---- */

static void prepare_network(struct fixture *f, unsigned int size)
{
	prepare(f, size);
	f->config.network_keeper = true;
	network.joined_boxes = network.lone_boxes = network.joined_calls = network.lone_calls = 0;
	network.refused = network.gone = false;
	network.keeper = NULL;
}

static void open_network(struct fixture *f, unsigned int size)
{
	prepare_network(f, size);
	open_prepared(f, &network_plugin);
}

/* The first agent of all is the first keeper's. */
static pid_t first_agent(void)
{
	FILE *pids = fopen(boxes.pids, "r");
	int pid = 0;

	assert_int_equal(fscanf(pids, "%d", &pid), 1);
	fclose(pids);
	return pid;
}

static void assert_logged(struct fixture *f, const char *text)
{
	pthread_mutex_lock(&f->lock);
	assert_contains(f->logged.data, text);
	pthread_mutex_unlock(&f->lock);
}

/* The box that waited is used, and no other comes: what follows misses. */
static void use_up(struct fixture *f)
{
	struct hookbox_result *r;

	boxes.instead = "exit 1";
	r = RUN(f->sandbox, PLAIN, "true");
	assert_int_equal(r->end, HOOKBOX_EXITED);
	hookbox_result_free(r);
	assert_int_equal(stats_of(f).hits, 1);
}

/* ---- At work ---- */

static void test_boxes_share_one_network(void **state)
{
	struct fixture f;

	open_network(&f, 2);
	for (int i = 0; i < 4; i++)
		call_and_fill(&f);
	assert_int_equal(stats_of(&f).hits, 3);
	assert_int_equal(stats_of(&f).refills, 5);
	assert_int_equal(stats_of(&f).keepers, 1);
	assert_int_equal(stats_of(&f).failures, 0);
	assert_int_equal(network.lone_boxes, 1);
	assert_int_equal(network.joined_boxes, 5);
	assert_true(process_start_time(first_agent()) != 0);
	close_pool(&f);
}

static void test_nobody_is_asked_for_a_network_that_is_not_wanted(void **state)
{
	struct fixture f;

	prepare_network(&f, 2);
	f.config.network_keeper = false;
	open_prepared(&f, &network_plugin);
	call_and_fill(&f);
	call_and_fill(&f);
	assert_int_equal(stats_of(&f).keepers, 0);
	assert_int_equal(network.joined_boxes + network.joined_calls, 0);
	close_pool(&f);
}

static void test_a_keeper_does_not_grow_old(void **state)
{
	struct fixture f;

	prepare_network(&f, 1);
	f.config.pool_max_age_ms = 1000;
	open_prepared(&f, &network_plugin);
	call_and_fill(&f);
	WAIT_FOR(stats_of(&f).refills >= 3);
	assert_int_equal(stats_of(&f).keepers, 1);
	close_pool(&f);
}

static void test_a_keeper_that_dies_is_replaced_with_all_its_boxes(void **state)
{
	struct fixture f;

	open_network(&f, 2);
	call_and_fill(&f);
	kill(first_agent(), SIGKILL);
	WAIT_FOR(stats_of(&f).keepers == 2);
	assert_true(pool_wait_full(f.pool, FULL_MS));
	assert_logged(&f, "[sandbox box] the box that keeps the pool's network ended");
	assert_int_equal(stats_of(&f).deaths, 0);
	assert_true(stats_of(&f).refills >= 4);
	call_and_fill(&f);
	assert_int_equal(stats_of(&f).hits, 1);
	assert_int_equal(stats_of(&f).keepers, 2);
	close_pool(&f);
}

/* What is in a box when the keeper dies runs on. */
static void test_a_call_outlives_the_keeper(void **state)
{
	char script[200];
	struct hookbox_result *r;
	struct fixture f;

	open_network(&f, 1);
	call_and_fill(&f);
	snprintf(script, sizeof(script), "kill -9 %d; sleep 0.5; echo well", (int)first_agent());
	r = RUN(f.sandbox, PLAIN, "sh", "-c", script);
	assert_int_equal(r->end, HOOKBOX_EXITED);
	assert_string_equal(r->out, "well\n");
	hookbox_result_free(r);
	call_and_fill(&f);
	assert_int_equal(stats_of(&f).keepers, 2);
	close_pool(&f);
}

/* ---- Calls that find no box ---- */

static void test_a_miss_shares_the_network(void **state)
{
	struct hookbox_result *r;
	struct fixture f;

	open_network(&f, 1);
	call_and_fill(&f);
	assert_int_equal(network.joined_calls, 0);
	assert_int_equal(network.lone_calls, 1);
	use_up(&f);
	r = RUN(f.sandbox, PLAIN, "echo", "cold");
	assert_string_equal(r->out, "cold\n");
	hookbox_result_free(r);
	r = RUN(f.sandbox, PLAIN, "no-such-command");
	assert_int_equal(r->error_number, ENOENT);
	hookbox_result_free(r);
	assert_int_equal(network.joined_calls, 2);
	assert_int_equal(network.lone_calls, 1);
	close_pool(&f);
}

static void test_a_miss_does_without_a_network_that_is_gone(void **state)
{
	struct hookbox_call call = {.stdin_data = "input", .stdin_size = 5};
	struct hookbox_result *r;
	struct fixture f;

	open_network(&f, 1);
	call_and_fill(&f);
	use_up(&f);
	network.gone = true;
	r = RUN(f.sandbox, call, "cat");
	assert_int_equal(r->end, HOOKBOX_EXITED);
	assert_string_equal(r->out, "input");
	hookbox_result_free(r);
	assert_int_equal(network.joined_calls, 1);
	assert_int_equal(network.lone_calls, 2);
	close_pool(&f);
}

/* What was read from a descriptor could not be read again. */
static void test_a_miss_with_a_descriptor_has_its_own(void **state)
{
	const char *path = files_write("input", "input");
	struct hookbox_call call = {.use_stdin_fd = true};
	struct hookbox_result *r;
	struct fixture f;

	open_network(&f, 1);
	call_and_fill(&f);
	use_up(&f);
	call.stdin_fd = open(path, O_RDONLY | O_CLOEXEC);
	r = RUN(f.sandbox, call, "cat");
	close(call.stdin_fd);
	assert_string_equal(r->out, "input");
	hookbox_result_free(r);
	assert_int_equal(network.joined_calls, 0);
	close_pool(&f);
}

/* ---- Keepers that do not come, or not for long ---- */

static void test_a_keeper_that_cannot_be_made(void **state)
{
	struct hookbox_result *r;
	struct fixture f;

	prepare_network(&f, 4);
	boxes.instead = "echo no space >&2; exit 1";
	open_prepared(&f, &network_plugin);
	for (int i = 0; i < 2; i++) {
		r = RUN(f.sandbox, PLAIN, "echo", "cold");
		assert_string_equal(r->out, "cold\n");
		hookbox_result_free(r);
	}
	WAIT_FOR(stats_of(&f).failures);
	usleep(1000000);
	/* One way after the other, and then 0.25 s, 0.5 s, 1 s ...: never two at once. */
	assert_in_range(stats_of(&f).failures, 1, 6);
	assert_int_equal(network.joined_boxes, 0);
	assert_logged(&f, "no space");
	boxes.instead = NULL;
	call_and_fill(&f);
	assert_int_equal(stats_of(&f).keepers, 1);
	close_pool(&f);
}

static void test_keepers_that_die_young_put_the_next_off(void **state)
{
	struct hookbox_result *r;
	struct fixture f;

	prepare_network(&f, 1);
	network.keeper = "( (sleep 0.2; kill -9 $$) & )";
	open_prepared(&f, &network_plugin);
	r = RUN(f.sandbox, PLAIN, "true");
	hookbox_result_free(r);
	WAIT_FOR(stats_of(&f).keepers);
	usleep(1500000);
	assert_in_range(stats_of(&f).keepers, 1, 6);
	network.keeper = NULL;
	call_and_fill(&f);
	close_pool(&f);
}

static void test_a_keeper_that_is_being_made_is_ended(void **state)
{
	static const char *const scripts[] = {
		"sleep 0.3; echo $$ >>\"$1\"; shift 4; exec \"$@\"",
		"echo $$ >>\"$1\"; exec sleep 3600",
	};

	for (size_t i = 0; i < 2; i++) {
		struct hookbox_result *r;
		struct fixture f;

		prepare_network(&f, 2);
		boxes.instead = scripts[i];
		open_prepared(&f, &network_plugin);
		r = RUN(f.sandbox, PLAIN, "true");
		hookbox_result_free(r);
		WAIT_FOR(stats_of(&f).creating == 1);
		close_pool(&f);
	}
}

/* ---- Where there can be none ---- */

static void assert_not_opened(struct fixture *f, const struct sandbox_plugin_v1 *plugin,
			      const char *text)
{
	struct hookbox_error error = {0};

	assert_true(sandbox_open(&f->config, plugin, &f->context, &f->sandbox, &error) < 0);
	assert_string_equal(error.message, text);
}

static void test_sandboxes_that_can_have_none(void **state)
{
	struct fixture f;

	prepare_network(&f, 1);
	assert_not_opened(&f, &mounted_plugin,
			  "test:1: [sandbox box] network_keeper: mounted has no boxes that could "
			  "share a network; remove the key");
	network.refused = true;
	assert_not_opened(&f, &network_plugin,
			  "test:1: [sandbox box] network_keeper: network: color = red goes with no "
			  "other; remove it");
	f.config.pool = 0;
	assert_not_opened(&f, &network_plugin,
			  "test:1: [sandbox box] network_keeper: only the boxes of a pool share a "
			  "network; set pool, or remove the key");
	ledger_free(f.context.ledger);
}

static int setup(void **state)
{
	return files_setup(state) || pools_setup(state);
}

static int teardown(void **state)
{
	return files_teardown(state) || pools_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boxes_share_one_network),
		cmocka_unit_test(test_nobody_is_asked_for_a_network_that_is_not_wanted),
		cmocka_unit_test(test_a_keeper_does_not_grow_old),
		cmocka_unit_test(test_a_keeper_that_dies_is_replaced_with_all_its_boxes),
		cmocka_unit_test(test_a_call_outlives_the_keeper),
		cmocka_unit_test(test_a_miss_shares_the_network),
		cmocka_unit_test(test_a_miss_does_without_a_network_that_is_gone),
		cmocka_unit_test(test_a_miss_with_a_descriptor_has_its_own),
		cmocka_unit_test(test_a_keeper_that_cannot_be_made),
		cmocka_unit_test(test_keepers_that_die_young_put_the_next_off),
		cmocka_unit_test(test_a_keeper_that_is_being_made_is_ended),
		cmocka_unit_test(test_sandboxes_that_can_have_none),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
