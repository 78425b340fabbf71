/* SPDX-License-Identifier: MIT */
/* Backends: finding, checking and loading them, and their parameters. */
#ifndef CORE_PLUGIN_H
#define CORE_PLUGIN_H

#include <stdbool.h>
#include <stdio.h>

#include "buf.h"
#include "error.h"
#include "hookbox/sandbox_plugin.h"

/* ---- Directories (plugin_dirs.c) ---- */

/*
 * Fills *dirs with the plugin directories in search order: `first` (--plugin-dir), then
 * HOOKBOX_PLUGIN_PATH (colon-separated, ignored when setuid), then `configured`, then the built-in
 * directory. Entries that do not exist are kept, repeated ones are left out; relative ones are an
 * error.
 */
int plugin_dirs_list(const char *const *first, const char *const *configured, struct strv *dirs,
		     struct hookbox_error *error);

struct plugin_file {
	char *name;	/* without .so */
	char *path;
	bool hidden;	/* an earlier directory has one of the same name */
};

struct plugin_files {
	struct plugin_file *v;
	size_t n;
};

/* Every NAME.so in the directories, in search order and then name order. Opens none. On failure
 * *files is empty. */
int plugin_files_find(const char *const *dirs, struct plugin_files *files,
		      struct hookbox_error *error);
void plugin_files_free(struct plugin_files *files);

/* Is this a legal backend name: [a-z][a-z0-9_]{0,31}? */
bool plugin_name_ok(const char *name);

/* Owner root or the caller, not writable by group or others; `what` names it in the sentence. For
 * config files too. */
int plugin_check_owner(const char *path, const char *what, struct hookbox_error *error);

/* ---- Loading (plugin_load.c) ---- */

/*
 * [any] Loads the file for good (it is never unloaded) and gives its descriptor, checked and copied
 * into a zeroed struct of our size. Whatever is wrong with the file itself is found before its code
 * runs. Errors name the file and what to do.
 */
int plugin_load(const char *path, const struct sandbox_plugin_v1 **plugin,
		struct hookbox_error *error);

/*
 * [any] The same for a descriptor that the program itself brings: check and copy. Equal descriptors
 * at one address have one copy, which lives as long as the process.
 */
int plugin_adopt(const struct sandbox_plugin_v1 *raw, const char *where,
		 const struct sandbox_plugin_v1 **plugin, struct hookbox_error *error);

/*
 * [any] Loads the file in a child process, which may crash or hang without harm, and gives what it
 * found as a JSON text. The child is `program --inspect-plugin PATH`, which calls plugin_load() and
 * plugin_describe() and prints what that gives, or an error that names PATH on stderr and exits
 * with 1. For listing and checking.
 */
#define PLUGIN_INSPECT_MS 10000
int plugin_inspect(const char *program, const char *path, int64_t timeout_ms, char **json,
		   struct hookbox_error *error);

/*
 * What a backend says of itself, as a JSON text: {"name","version","summary","abi":1,
 * "flags":["fresh",...],"params":[{"key","type","required","secret","default","help","metavar"}],
 * "extensions":["sandbox.box/1",...]}. default and metavar may be null.
 */
int plugin_describe(const struct sandbox_plugin_v1 *plugin, char **json,
		    struct hookbox_error *error);

/* The plugin's extension of that id, or NULL. */
const void *plugin_extension(const struct sandbox_plugin_v1 *plugin, const char *id);

/* ---- Registry (plugin_registry.c): name -> descriptor, for one host ---- */
struct plugin_registry;

struct plugin_registry *plugin_registry_new(void);
void plugin_registry_free(struct plugin_registry *registry);
/* Sets the directories that plugin_registry_add() and _get() look into; none before. */
void plugin_registry_set_dirs(struct plugin_registry *registry, const char *const *dirs);
/*
 * [any] Adds a descriptor under its name. A name that is there already, or a file of it in the
 * directories, is an error unless `replace`.
 */
int plugin_registry_add(struct plugin_registry *registry, const struct sandbox_plugin_v1 *raw,
			bool replace, struct hookbox_error *error);
/*
 * [any] The backend of that name: an added one, else the first NAME.so of the directories, which is
 * loaded. -ENOENT names the directories searched and the backends there are.
 */
int plugin_registry_get(struct plugin_registry *registry, const char *name,
			const struct sandbox_plugin_v1 **plugin, struct hookbox_error *error);

/* ---- Parameters (params.c) ---- */

/* The i-th entry of the plugin's table, whatever its stride, copied into a zeroed *param. */
void param_get(const struct sandbox_plugin_v1 *plugin, uint32_t i, struct sandbox_param *param);
/* The entry of that key; false when there is none. */
bool param_find(const struct sandbox_plugin_v1 *plugin, const char *key,
		struct sandbox_param *param);
/* Does the key belong to the host? */
bool param_reserved(const char *key);
/* Is it one line of text: neither NULL nor empty, without control characters? */
bool param_text_ok(const char *text);
/* "string", "size", ... */
const char *param_type_name(uint32_t type);
/* Checks the table itself: keys, types, offsets within instance_size, defaults that parse. */
int params_check(const struct sandbox_plugin_v1 *plugin, struct hookbox_error *error);

/*
 * One key of a section: a value for each time it stands there. where = "FILE:LINE: [sandbox NAME]
 * KEY", for errors; base_dir for relative paths, NULL when there is none (then they are refused).
 */
struct param_value {
	const char *key;
	const char *const *values;
	size_t n_values;
	const char *where;
	const char *base_dir;
};

/*
 * Allocates an instance (zeroed, aligned) and fills it from values and defaults. Checks unknown
 * keys (suggesting near ones), repeated keys that are no list, types, required ones. `where` names
 * the section for errors about what is missing. What the values point to lives in *store.
 */
struct param_store;	/* owns the strings of an instance */
int params_fill(const struct sandbox_plugin_v1 *plugin, const struct param_value *values,
		size_t n_values, const char *where, void **instance, struct param_store **store,
		struct hookbox_error *error);
/* Frees instance and store. */
void params_free(void *instance, struct param_store *store);

/* ---- Scalars, also for the host's own keys ---- */
int param_parse_bool(const char *text, bool *value);
int param_parse_uint(const char *text, uint64_t *value);
int param_parse_size(const char *text, uint64_t *value);
int param_parse_duration(const char *text, int64_t *ms);

#endif
