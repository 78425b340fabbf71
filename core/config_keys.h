/* SPDX-License-Identifier: MIT */
/* How the keys of a section become settings: one table of setters for each kind of section. */
#ifndef CORE_CONFIG_KEYS_H
#define CORE_CONFIG_KEYS_H

#include "config.h"

/* Where a setter is, for errors and relative paths. */
struct key_place {
	const struct ini_section *section;
	const struct ini_key *key;
	struct hookbox_error *error;
};

struct key_setter {
	const char *key;
	int (*set)(const struct key_place *place, void *settings);
};

/* "FILE:LINE: [kind name] KEY: sentence"; returns -EINVAL. */
int key_error(const struct key_place *place, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The setter of a key in a table that ends with {0}; NULL when there is none. */
const struct key_setter *key_find(const struct key_setter *setters, const char *key);
/* "no such key", with the near one of the table. */
int key_unknown(const struct key_place *place, const struct key_setter *setters);
/* "FILE:LINE: [kind name]: KEY is missing: sentence" */
int key_missing(const struct ini_section *section, const char *key, const char *sentence,
		struct hookbox_error *error);

/* A section's key of that name, or NULL. */
const struct ini_key *key_named(const struct ini_section *section, const char *name);

/* The value of a key that may stand once; an error when it is empty or stands twice. */
int key_scalar(const struct key_place *place, const char **value);
int key_string(const struct key_place *place, char **value);
int key_bool(const struct key_place *place, bool *value);
int key_size(const struct key_place *place, uint64_t *value);
/* Milliseconds between min and max. */
int key_time(const struct key_place *place, int64_t min, int64_t max, int64_t *value);
/* Every item. */
int key_list(const struct key_place *place, struct strv *list);
/* Every item, cut at commas and blanks; an error when there is none. */
int key_words(const struct key_place *place, struct strv *words);
/* A path of the host: absolute, or relative to the config file. */
int key_path(const struct key_place *place, const char *text, char **path);
/* The same, each NAME or NAME=value. */
int key_env(const struct key_place *place, struct strv *list);
/* Is this a name for a sandbox or a hook: [A-Za-z0-9][A-Za-z0-9_.-]{0,47}? */
bool config_name_ok(const char *name);

int config_read_hook(const struct ini_section *section, struct config_hook *hook,
		     struct hookbox_error *error);
void config_hook_clear(struct config_hook *hook);
int config_read_sandbox(const struct ini_section *section, struct config_sandbox *sandbox,
			struct hookbox_error *error);
void config_sandbox_clear(struct config_sandbox *sandbox);

#endif
