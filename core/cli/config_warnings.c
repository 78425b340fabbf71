/* SPDX-License-Identifier: MIT */
/* What a configuration that works says, and that may be a slip all the same. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "cli.h"
#include "config.h"
#include "near.h"
#include "plugin.h"
#include "sandbox.h"

/* The names of all backends that a mode can be. */
static int find_backends(struct cli *cli, const struct config *config, struct strv *names,
			 struct hookbox_error *error)
{
	_cleanup_strv_ struct strv dirs = {0};
	struct plugin_files files = {0};
	int code = plugin_dirs_list(strv_view(&cli->plugin_dirs), strv_view(&config->plugin_path),
				    &dirs, error);

	if (!code)
		code = plugin_files_find(strv_view(&dirs), &files, error);
	strv_add(names, direct_plugin.name);
	for (size_t i = 0; i < files.n; i++)
		strv_add(names, files.v[i].name);
	plugin_files_free(&files);
	return code ? code : names->failed ? error_no_memory(error) : 0;
}

static bool is_among(const char *name, size_t length, const struct strv *names)
{
	for (size_t i = 0; i < names->n; i++)
		if (!strncmp(names->v[i], name, length) && !names->v[i][length])
			return true;
	return false;
}

/* "MODE.key" counts in that mode alone. Where no backend has the name, it may be a slip. */
static void check_key(const struct ini_section *section, const struct ini_key *key,
		      const struct strv *backends, struct strv *warnings)
{
	size_t length = strcspn(key->key, ".");
	struct hookbox_error error = {0};
	_cleanup_free_ char *mode = NULL;

	if (!key->key[length] || is_among(key->key, length, backends))
		return;
	mode = strndup(key->key, length);
	near_error(&error, -ENOENT, mode ? mode : "", strv_view(backends),
		   "%s: [sandbox %s] %s: the key counts for nothing, as there is no backend \"%s\"",
		   key->where, section->name, key->key, mode ? mode : "");
	strv_add(warnings, error.message);
}

void cli_config_warnings(struct cli *cli, const struct config *config, struct strv *warnings)
{
	_cleanup_strv_ struct strv backends = {0};
	struct hookbox_error error = {0};

	if (find_backends(cli, config, &backends, &error)) {
		strv_add(warnings, error.message);
		return;
	}
	for (size_t i = 0; i < config->ini.n_sections; i++) {
		const struct ini_section *section = &config->ini.sections[i];

		for (size_t k = 0; k < section->n_keys && !strcmp(section->kind, "sandbox"); k++)
			check_key(section, &section->keys[k], &backends, warnings);
	}
}
