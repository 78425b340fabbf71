/* SPDX-License-Identifier: MIT */
/* An instance of one of the built backends, made of settings. Include unit.h first. */
#ifndef TESTS_BOX_H
#define TESTS_BOX_H

#include "buf.h"
#include "plan.h"
#include "plugin.h"

struct box {
	const struct sandbox_plugin_v1 *plugin;
	void *instance;
	struct param_store *store;
	struct sandbox_host host;
	char error[SANDBOX_ERROR_SIZE];
};

static const struct sandbox_plugin_v1 *load(const char *name)
{
	const char *builddir = getenv("top_builddir");
	_cleanup_strv_ struct strv path = {0};
	const struct sandbox_plugin_v1 *plugin;
	struct hookbox_error error = {0};

	strv_printf(&path, "%s/plugins/.libs/%s.so", builddir ? builddir : "/nowhere", name);
	if (plugin_load(path.v[0], &plugin, &error))
		fail_msg("%s", error.message);
	return plugin;
}

/* settings: "key=value", NULL-terminated; a key that comes again is a list. Returns open's code. */
static int box_open(struct box *box, const char *name, const char *const *settings)
{
	struct param_value values[32] = {0};
	const char *lists[32][4] = {0};
	_cleanup_strv_ struct strv keys = {0};
	struct hookbox_error error = {0};
	size_t n = 0;

	*box = (struct box){.plugin = load(name), .host.size = sizeof(box->host)};
	for (; *settings; settings++) {
		size_t length = strcspn(*settings, "=");

		strv_printf(&keys, "%.*s", (int)length, *settings);
		if (!n || strcmp(values[n - 1].key, keys.v[keys.n - 1])) {
			values[n] = (struct param_value){
				.key = keys.v[keys.n - 1], .values = lists[n], .where = "test:1",
				.base_dir = "/conf",
			};
			n++;
		}
		lists[n - 1][values[n - 1].n_values++] = *settings + length + 1;
	}
	if (params_fill(box->plugin, values, n, "test:1", &box->instance, &box->store, &error))
		fail_msg("%s", error.message);
	return box->plugin->open(box->instance, &box->host, box->error);
}

static void box_close(struct box *box)
{
	params_free(box->instance, box->store);
}

#define OPEN(box, name, ...)                                                          \
	do {                                                                          \
		if (box_open(box, name, (const char *const[]){__VA_ARGS__, NULL}))      \
			fail_msg("%s", (box)->error);                                   \
	} while (0)

/* The argv as lines. */
static void assert_argv(const struct strv *argv, const char *expected)
{
	_cleanup_buf_ struct buf lines = {0};

	for (size_t i = 0; i < argv->n; i++)
		buf_printf(&lines, "%s\n", argv->v[i]);
	assert_string_equal(lines.data, expected);
}

/* ---- Plans ---- */

static const char *const none[] __attribute__((unused)) = {NULL};

/* A call's request, for an initializer. */
#define A_CALL(words, label_words)                                                    \
	{                                                                             \
		.size = sizeof(struct sandbox_plan_request),                          \
		.purpose = SANDBOX_PURPOSE_CALL, .call_id = "o-1", .argv = (words),   \
		.env = none, .labels = (label_words),                                 \
	}

static inline void assert_plan(const struct box *box,
			       const struct sandbox_plan_request *request, const char *expected)
{
	_cleanup_plan_ struct plan plan = {0};
	struct hookbox_error error = {0};

	if (plan_make(box->plugin, box->instance, request, &plan, &error))
		fail_msg("%s", error.message);
	assert_argv(&plan.argv, expected);
	assert_int_equal(plan.before_stdin.size, 0);
	assert_null(plan.dir);
}

#endif
