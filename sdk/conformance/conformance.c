/* SPDX-License-Identifier: MIT */
#include "conformance.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>

#include "host.h"
#include "kit.h"
#include "pool.h"
#include "plugin.h"

/* ---- Checks of the backend itself ---- */

static void check_descriptor(struct kit *kit)
{
	const struct sandbox_plugin_v1 *plugin =
		sandbox_plugin(host_sandbox(kit->box, kit->sandbox));

	EXPECT(kit, plugin->summary[0] && plugin->version[0], "summary or version is empty");
	EXPECT(kit, !(plugin->flags & SANDBOX_FRESH) || !(plugin->flags & SANDBOX_KEPT),
	       "a backend is either SANDBOX_FRESH or SANDBOX_KEPT");
	EXPECT(kit,
	       !(plugin->flags & SANDBOX_FRESH) || plugin->plan_end ||
		       (plugin->flags & SANDBOX_ENDS_WITH_PROCESS) ||
		       plugin_extension(plugin, SANDBOX_RUN_EXTENSION),
	       "fresh boxes need plan_end, or SANDBOX_ENDS_WITH_PROCESS");
}

static void check_params(struct kit *kit)
{
	const struct sandbox_plugin_v1 *plugin =
		sandbox_plugin(host_sandbox(kit->box, kit->sandbox));
	struct hookbox_error error = {0};

	EXPECT(kit, !params_check(plugin, &error), "%s", error.message);
}

static void check_file(struct kit *kit)
{
	const struct sandbox_plugin_v1 *plugin = NULL;
	struct hookbox_error error = {0};

	EXPECT(kit, !plugin_load(kit->options->plugin_file, &plugin, &error), "%s", error.message);
}

static const struct kit_check backend_checks[] = {
	{"the descriptor is sane", check_descriptor},
	{"the table of parameters is sane", check_params},
	{0},
};

static const struct kit_check file_checks[] = {
	{"the file can be loaded", check_file},
	{0},
};

/* ---- Running ---- */

/* A command has started after ten times what a whole call takes, and after this at least. */
#define MIN_PATIENCE_MS 500

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void report(struct kit *kit, const char *name)
{
	FILE *out = kit->options->out;
	const char *word = kit->failed ? "not ok" : "ok";

	kit->n++;
	kit->n_failed += kit->failed;
	kit->n_skipped += kit->skipped;
	if (kit->options->tap)
		fprintf(out, "%s %d - %s%s%s\n", word, kit->n, name, kit->skipped ? " # SKIP " : "",
			kit->skipped ? kit->reason : "");
	else
		fprintf(out, "%-6s  %s%s%s\n", kit->skipped ? "skip" : word, name,
			kit->skipped ? ": " : "", kit->skipped ? kit->reason : "");
	if (kit->failed)
		fprintf(out, "%s%s\n", kit->options->tap ? "# " : "        ", kit->reason);
	fflush(out);
}

static void run_checks(struct kit *kit, const struct kit_check *checks)
{
	for (; checks->name; checks++) {
		if ((checks->only && !(kit->flags & checks->only)) || (kit->flags & checks->never))
			continue;
		kit->failed = kit->skipped = false;
		kit->reason[0] = '\0';
		kit->fingerprint++;
		checks->run(kit);
		report(kit, checks->name);
	}
}

/* The first call opens what a sandbox keeps open, such as a VM; the second tells how quick calls
 * are. */
static void check_a_call(struct kit *kit)
{
	kit->patience_ms = MIN_PATIENCE_MS;
	for (int i = 0; i < 2; i++) {
		_cleanup_result_ struct hookbox_result *result = KIT_CALL(kit, PLAIN, "true");

		if (!kit_exited(kit, result, 0))
			return;
		if (i && (int64_t)result->duration_us / 100 > kit->patience_ms)
			kit->patience_ms = (int64_t)result->duration_us / 100;
	}
}

static const struct kit_check first_checks[] = {
	{"a command runs", check_a_call},
	{0},
};

static const struct kit_check sight_checks[] = {
	{"a running command is seen", kit_check_sight},
	{0},
};

static const struct kit_check left_checks[] = {
	{"no process of any check is left", kit_check_left},
	{0},
};

/* Made as a check of its own: it looks at all that the others left. */
static void check_descriptors_left(struct kit *kit, int before)
{
	int after = count_descriptors();

	kit->failed = kit->skipped = false;
	if (after != before)
		kit_fail(kit, "%d descriptors are open, %d were", after, before);
	report(kit, "no descriptor stays open");
}

/*
 * Every call went the way that was asked for. Only a box of a pool may be missing when two are
 * wanted, and a connection that calls share may be full or new, and then the call starts cold; but
 * most must have found one.
 */
static void check_way(struct kit *kit)
{
	uint64_t counts[CALL_N_WAYS], n = 0, all = 0, cold = 0;

	sandbox_count_ways(host_sandbox(kit->box, kit->sandbox), counts);
	for (int way = 0; way < CALL_N_WAYS; way++) {
		all += counts[way];
		if (!strcmp(call_way_names[way], kit->options->way))
			n = counts[way];
	}
	if (kit->pool || !strcmp(kit->options->way, call_way_names[CALL_SHARED]))
		cold = counts[CALL_ONE_OFF];
	EXPECT(kit, n > cold && n + cold == all, "%" PRIu64 " calls of %" PRIu64 " did", n, all);
}

static const struct kit_check way_checks[] = {
	{"calls go the way that they are meant to", check_way},
	{0},
};

static void run_all(struct kit *kit)
{
	int before;

	run_checks(kit, sight_checks);
	pool_wait_full(kit->pool, KIT_POOL_MS);
	before = count_descriptors();
	run_checks(kit, kit_stream_checks);
	run_checks(kit, kit_input_checks);
	run_checks(kit, kit_end_checks);
	run_checks(kit, kit_leftover_checks);
	run_checks(kit, left_checks);
	pool_wait_full(kit->pool, KIT_POOL_MS);
	check_descriptors_left(kit, before);
	if (kit->options->way)
		run_checks(kit, way_checks);
}

int conformance_run(struct hookbox *box, const char *sandbox,
		    const struct conformance_options *options)
{
	struct sandbox *checked = host_sandbox(box, sandbox);
	struct kit kit = {.box = box, .sandbox = sandbox, .options = options};
	unsigned int chosen;

	if (!checked)
		return -ENOENT;
	kit.flags = sandbox_plugin(checked)->flags;
	kit.pool = sandbox_pool(checked);
	/* Sleeps of many years, each with a number that no other process bears. Pids would not do:
	 * they come again in other containers, which may share a box. */
	if (getrandom(&chosen, sizeof(chosen), 0) != sizeof(chosen))
		return -EIO;
	kit.fingerprint = 300000000u + chosen % 1000000u * 100u;
	run_checks(&kit, backend_checks);
	if (options->plugin_file && strchr(options->plugin_file, '/'))
		run_checks(&kit, file_checks);
	run_checks(&kit, first_checks);
	if (!kit.failed)
		run_all(&kit);
	else
		fprintf(options->out, "%sno command runs, so nothing else was checked\n",
			options->tap ? "# " : "");
	if (options->tap)
		fprintf(options->out, "1..%d\n", kit.n);
	else
		fprintf(options->out, "%d ok, %d not ok, %d skipped\n",
			kit.n - kit.n_failed - kit.n_skipped, kit.n_failed, kit.n_skipped);
	return kit.n_failed;
}
