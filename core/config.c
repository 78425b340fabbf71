/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "config_keys.h"
#include "near.h"
#include "plugin.h"

/* ---- [hookbox] ---- */

static int set_plugin_path(const struct key_place *place, void *settings)
{
	struct config *config = settings;

	for (size_t i = 0; i < place->key->n_items; i++) {
		char *path = NULL;
		int code = key_path(place, place->key->items[i], &path);

		if (code)
			return code;
		strv_add_owned(&config->plugin_path, path);
	}
	return config->plugin_path.failed ? error_no_memory(place->error) : 0;
}

static const struct key_setter host_setters[] = {
	{"plugin_path", set_plugin_path},
	{0},
};

static int read_host(const struct ini_section *section, struct config *config,
		     struct hookbox_error *error)
{
	int code = 0;

	if (section->name)
		return error_set(error, -EINVAL,
				 "%s: [hookbox %s]: this section has no name; write [hookbox]",
				 section->where, section->name);
	for (size_t i = 0; i < section->n_keys && !code; i++) {
		struct key_place place = {section, &section->keys[i], error};
		const struct key_setter *setter = key_find(host_setters, place.key->key);

		code = setter ? setter->set(&place, config) : key_unknown(&place, host_setters);
	}
	return code;
}

/* ---- Sections to settings ---- */

/* The element is in the array even when reading it fails, so that it is freed with the rest. */
static int add_hook(const struct ini_section *section, struct config *config,
		    struct hookbox_error *error)
{
	struct config_hook *hooks =
		reallocarray(config->hooks, config->n_hooks + 1, sizeof(*hooks));

	if (!hooks)
		return error_no_memory(error);
	config->hooks = hooks;
	hooks[config->n_hooks] = (struct config_hook){0};
	return config_read_hook(section, &hooks[config->n_hooks++], error);
}

static int add_sandbox(const struct ini_section *section, struct config *config,
		       struct hookbox_error *error)
{
	struct config_sandbox *sandboxes =
		reallocarray(config->sandboxes, config->n_sandboxes + 1, sizeof(*sandboxes));

	if (!sandboxes)
		return error_no_memory(error);
	config->sandboxes = sandboxes;
	sandboxes[config->n_sandboxes] = (struct config_sandbox){0};
	return config_read_sandbox(section, &sandboxes[config->n_sandboxes++], error);
}

static int read_section(const struct ini_section *section, struct config *config,
			struct hookbox_error *error)
{
	static const char *const kinds[] = {"hookbox", "sandbox", "hook", NULL};

	if (!strcmp(section->kind, "hookbox"))
		return read_host(section, config, error);
	if (!strcmp(section->kind, "sandbox"))
		return add_sandbox(section, config, error);
	if (!strcmp(section->kind, "hook"))
		return add_hook(section, config, error);
	return near_error(error, -EINVAL, section->kind, kinds,
			  "%s: [%s%s%s]: \"%s\" is no kind of section", section->where,
			  section->kind, section->name ? " " : "",
			  section->name ? section->name : "", section->kind);
}

/* "FILE:LINE" of a hook's key `sandbox`. */
static const char *hook_sandbox_where(const struct config *config, const struct config_hook *hook)
{
	const struct ini_key *key = NULL;

	for (size_t i = 0; i < config->ini.n_sections && !key; i++)
		if (!strcmp(config->ini.sections[i].where, hook->where))
			key = key_named(&config->ini.sections[i], "sandbox");
	return key ? key->where : hook->where;
}

static int check_hook_sandboxes(const struct config *config, struct hookbox_error *error)
{
	_cleanup_strv_ struct strv names = {0};

	for (size_t i = 0; i < config->n_sandboxes; i++)
		strv_add(&names, config->sandboxes[i].name);
	strv_add(&names, "direct");
	if (names.failed)
		return error_no_memory(error);
	for (size_t i = 0; i < config->n_hooks; i++) {
		const struct config_hook *hook = &config->hooks[i];
		size_t k = 0;

		while (k < names.n && strcmp(names.v[k], hook->sandbox))
			k++;
		if (k == names.n)
			return near_error(error, -EINVAL, hook->sandbox, strv_view(&names),
					  "%s: [hook %s] sandbox: there is no [sandbox %s]",
					  hook_sandbox_where(config, hook), hook->name,
					  hook->sandbox);
	}
	return 0;
}

static int read_settings(struct config *config, struct hookbox_error *error)
{
	int code = 0;

	for (size_t i = 0; i < config->ini.n_sections && !code; i++)
		code = read_section(&config->ini.sections[i], config, error);
	return code ? code : check_hook_sandboxes(config, error);
}

/* ---- Files ---- */

static int is_config(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 4 && !strcmp(entry->d_name + length - 4, ".ini");
}

/* A file without a section has lost what it held, or never was a configuration. */
static int check_not_empty(const struct config *config, size_t n_before, const char *name,
			   struct hookbox_error *error)
{
	if (config->ini.n_sections > n_before)
		return 0;
	return error_set(error, -EINVAL,
			 "%s: there is no section in it; write at least [hook NAME] with "
			 "command = /path/to/program and hook = tool, or remove it",
			 name);
}

static int read_file(struct config *config, const char *path, struct hookbox_error *error)
{
	size_t n_before = config->ini.n_sections;
	int code;

	strv_add(&config->files, path);
	if (config->files.failed)
		return error_no_memory(error);
	code = ini_read_file(&config->ini, path, error);
	return code ? code : check_not_empty(config, n_before, path, error);
}

/* conf.d/NAME.ini beside the main file, in name order. */
static int read_conf_d(struct config *config, const char *main_file, struct hookbox_error *error)
{
	_cleanup_free_ char *copy = strdup(main_file);
	_cleanup_free_ char *dir = NULL;
	struct dirent **entries;
	int code = 0;
	int n;

	if (!copy || asprintf(&dir, "%s/conf.d", dirname(copy)) < 0)
		return error_no_memory(error);
	n = scandir(dir, &entries, is_config, alphasort);
	if (n < 0)
		return errno == ENOENT ? 0
				       : error_set(error, -errno,
						   "the directory \"%s\" cannot be read: "
						   "%s; make it readable, or remove it",
						   dir, strerror(errno));
	code = plugin_check_owner(dir, "the config directory", error);
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = NULL;

		if (!code && asprintf(&path, "%s/%s", dir, entries[i]->d_name) < 0)
			code = error_no_memory(error);
		if (!code)
			code = read_file(config, path, error);
		free(entries[i]);
	}
	free(entries);
	return code;
}

static int finish(struct config *config, int code, struct config **result)
{
	if (code)
		config_free(config);
	else
		*result = config;
	return code;
}

int config_load(const char *path, struct config **result, struct hookbox_error *error)
{
	struct config *config = calloc(1, sizeof(*config));
	int code;

	if (!config || !(config->path = strdup(path)))
		return finish(config, error_no_memory(error), result);
	code = read_file(config, path, error);
	if (!code)
		code = read_conf_d(config, path, error);
	if (!code)
		code = read_settings(config, error);
	return finish(config, code, result);
}

int config_load_text(const char *text, struct config **result, struct hookbox_error *error)
{
	struct config *config = calloc(1, sizeof(*config));
	int code;

	if (!config)
		return error_no_memory(error);
	code = ini_read_text(&config->ini, text, strlen(text), "config", error);
	if (!code)
		code = check_not_empty(config, 0, "config", error);
	if (!code)
		code = read_settings(config, error);
	return finish(config, code, result);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->n_hooks; i++)
		config_hook_clear(&config->hooks[i]);
	for (size_t i = 0; i < config->n_sandboxes; i++)
		config_sandbox_clear(&config->sandboxes[i]);
	free(config->hooks);
	free(config->sandboxes);
	strv_free(&config->plugin_path);
	strv_free(&config->files);
	ini_free(&config->ini);
	free(config->path);
	free(config);
}
