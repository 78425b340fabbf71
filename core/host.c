/* SPDX-License-Identifier: MIT */
/* Opening and closing a host, and plain calls in it. */
#include "host.h"
#include "agent_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "near.h"

/* Name and mode of the sandbox that needs no section. */
#define DIRECT "direct"
#define DIRECT_WHERE "built in"

struct hookbox {
	struct config *config;
	struct plugin_registry *registry;
	struct log log;
	struct ledger *ledger;
	struct sandbox_host_context context;
	struct sandbox **sandboxes;	/* those of the config in its order, then `direct` */
	size_t n_sandboxes;
	struct sandbox **hook_sandboxes; /* one for each hook of the config, lent from sandboxes */
	struct config_sandbox direct;	/* the implicit one's settings: lends the strings below */
	char direct_name[sizeof(DIRECT)];
	char direct_where[sizeof(DIRECT_WHERE)];
};

const char *hookbox_version(void)
{
	return PACKAGE_VERSION;
}

const struct config *host_config(const struct hookbox *box)
{
	return box->config;
}

struct sandbox *host_hook_sandbox(struct hookbox *box, const struct config_hook *hook)
{
	return box->hook_sandboxes[hook - box->config->hooks];
}

struct sandbox *host_sandbox(struct hookbox *box, const char *name)
{
	for (size_t i = 0; i < box->n_sandboxes; i++)
		if (!strcmp(sandbox_name(box->sandboxes[i]), name))
			return box->sandboxes[i];
	return NULL;
}

int host_read_struct(void *own, size_t own_size, const void *theirs, const char *what,
		     struct hookbox_error *error)
{
	size_t size = 0;

	if (theirs)
		memcpy(&size, theirs, sizeof(size));
	if (size <= sizeof(size))
		return error_set(error, -EINVAL,
				 "struct %s is missing or its size is not set: set it with sizeof",
				 what);
	memcpy(own, theirs, size < own_size ? size : own_size);
	memcpy(own, &own_size, sizeof(own_size));
	return 0;
}

static int host_unknown_sandbox(const struct hookbox *box, const char *name,
				struct hookbox_error *error)
{
	_cleanup_strv_ struct strv names = {0};

	for (size_t i = 0; i < box->n_sandboxes; i++)
		strv_add(&names, sandbox_name(box->sandboxes[i]));
	if (names.failed)
		return error_no_memory(error);
	return near_error(error, -ENOENT, name, strv_view(&names),
			  "no sandbox \"%s\" is configured", name);
}

/*
 * ---- Open and close ----
 */
static int host_load_config(struct hookbox *box, const struct hookbox_options *options,
			    struct hookbox_error *error)
{
	_cleanup_free_ char *found = NULL;
	const char *path = options->config_path;
	int r;

	if (path && options->config_text)
		return error_set(error, -EINVAL, "options: config_path or config_text, not both");
	if (options->config_text)
		return config_load_text(options->config_text, &box->config, error);
	if (!path) {
		r = config_find(&found, error);
		if (r < 0)
			return r;
		path = found;
	}
	return config_load(path, &box->config, error);
}

static int host_add_plugins(struct hookbox *box, const struct sandbox_plugin_v1 *const *plugins,
			    bool replace, struct hookbox_error *error)
{
	for (; plugins && *plugins; plugins++) {
		int r = plugin_registry_add(box->registry, *plugins, replace, error);

		if (r < 0)
			return r;
	}
	return 0;
}

static int host_make_registry(struct hookbox *box, const struct hookbox_options *options,
			      struct hookbox_error *error)
{
	_cleanup_strv_ struct strv dirs = {0};
	int r;

	box->registry = plugin_registry_new();
	if (!box->registry)
		return error_no_memory(error);
	/* Before the directories are known: a stray direct.so is hidden, and no reason to fail. */
	r = plugin_registry_add(box->registry, &direct_plugin, false, error);
	if (r < 0)
		return r;
	r = plugin_dirs_list(options->plugin_dirs, strv_view(&box->config->plugin_path), &dirs,
			     error);
	if (r < 0)
		return r;
	plugin_registry_set_dirs(box->registry, strv_view(&dirs));
	r = host_add_plugins(box, options->plugins, false, error);
	if (r < 0)
		return r;
	return host_add_plugins(box, options->replace_plugins, true, error);
}

static int host_open_sandbox(struct hookbox *box, const struct config_sandbox *config,
			     struct hookbox_error *error)
{
	const struct sandbox_plugin_v1 *plugin;
	int r = plugin_registry_get(box->registry, config->mode, &plugin, error);

	if (r < 0) {
		error_prefix(error, "%s: [sandbox %s] mode", config->where, config->name);
		return r;
	}
	r = sandbox_open(config, plugin, &box->context, &box->sandboxes[box->n_sandboxes], error);
	if (!r)
		box->n_sandboxes++;
	return r;
}

static int host_open_sandboxes(struct hookbox *box, struct hookbox_error *error)
{
	const struct config *config = box->config;
	int r;

	box->sandboxes = calloc(config->n_sandboxes + 1, sizeof(struct sandbox *));
	if (!box->sandboxes)
		return error_no_memory(error);
	for (size_t i = 0; i < config->n_sandboxes; i++) {
		r = host_open_sandbox(box, &config->sandboxes[i], error);
		if (r < 0)
			return r;
	}
	if (host_sandbox(box, DIRECT))
		return 0;
	strcpy(box->direct_name, DIRECT);
	strcpy(box->direct_where, DIRECT_WHERE);
	box->direct = (struct config_sandbox){
		.name = box->direct_name,
		.mode = box->direct_name,
		.where = box->direct_where,
		.shell = true,
	};
	return host_open_sandbox(box, &box->direct, error);
}

static int host_link_hooks(struct hookbox *box, struct hookbox_error *error)
{
	const struct config *config = box->config;

	box->hook_sandboxes = calloc(config->n_hooks + 1, sizeof(struct sandbox *));
	if (!box->hook_sandboxes)
		return error_no_memory(error);
	/* config_load() has seen to it that they exist. */
	for (size_t i = 0; i < config->n_hooks; i++)
		box->hook_sandboxes[i] = host_sandbox(box, config->hooks[i].sandbox);
	return 0;
}

static int host_open(struct hookbox *box, const struct hookbox_options *options,
		     struct hookbox_error *error)
{
	int r;

	box->log = (struct log){.write = options->log, .data = options->log_data};
	box->ledger = ledger_new();
	if (!box->ledger)
		return error_no_memory(error);
	box->context = (struct sandbox_host_context){
		.log = &box->log,
		.ledger = box->ledger,
		.agent_dir = agent_file_dir(),
		.no_pools = options->no_pools,
	};
	r = host_load_config(box, options, error);
	if (!r)
		r = host_make_registry(box, options, error);
	if (!r)
		r = host_open_sandboxes(box, error);
	if (!r)
		r = host_link_hooks(box, error);
	return r;
}

struct hookbox *hookbox_open(const struct hookbox_options *their_options,
			     struct hookbox_error *error)
{
	struct hookbox_options options = {0};
	struct hookbox *box;

	if (host_read_struct(&options, sizeof(options), their_options, "hookbox_options",
			     error) < 0)
		return NULL;
	box = calloc(1, sizeof(*box));
	if (!box) {
		error_no_memory(error);
		return NULL;
	}
	if (host_open(box, &options, error) < 0) {
		hookbox_close(box);
		return NULL;
	}
	return box;
}

void hookbox_close(struct hookbox *box)
{
	if (!box)
		return;
	for (size_t i = 0; i < box->n_sandboxes; i++)
		sandbox_close(box->sandboxes[i]);
	free(box->sandboxes);
	free(box->hook_sandboxes);
	if (box->registry)
		plugin_registry_free(box->registry);
	if (box->config)
		config_free(box->config);
	ledger_free(box->ledger);
	free(box);
}

/*
 * ---- Calls ----
 */
int hookbox_exec(struct hookbox *box, const char *sandbox, const struct hookbox_call *their_call,
		 struct hookbox_result **result, struct hookbox_error *error)
{
	struct hookbox_call call = {0};
	struct sandbox *where;
	int r = host_read_struct(&call, sizeof(call), their_call, "hookbox_call", error);

	*result = NULL;
	if (r < 0)
		return r;
	where = host_sandbox(box, sandbox);
	if (!where)
		return host_unknown_sandbox(box, sandbox, error);
	return sandbox_call(where, &call, result, error);
}
