/* SPDX-License-Identifier: MIT */
/* The configuration: INI files read into sections, then checked into settings. */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

/* ---- Text to sections (ini.c): knows no key ---- */

struct ini_key {
	char *key;
	char **values;		/* one for each "key =", its indented lines joined with one space */
	int *value_lines;	/* line of each "key =" */
	size_t n_values;	/* at least 1 */
	char **items;		/* the list view: each line's part of a value that is not empty */
	int *item_lines;	/* line of each item */
	size_t n_items;
	char *where;		/* "FILE:LINE" of its first line */
};

struct ini_section {
	char *kind;		/* "sandbox" of [sandbox pii_runner] */
	char *name;		/* "pii_runner", or NULL */
	char *where;		/* "FILE:LINE" */
	char *dir;		/* directory of its file, for relative paths; NULL for a text */
	struct ini_key *keys;
	size_t n_keys;
};

struct ini {
	struct ini_section *sections; /* in file order */
	size_t n_sections;
};

/*
 * Adds a file's sections to *ini. Refuses, with FILE:LINE and the way out: what is no regular file,
 * over 1 MiB, not owned well (plugin_check_owner), control characters, a line over 190 bytes
 * (continue it on an indented line), " ;" inside a value, a section twice, a key outside a section,
 * anything else that is no INI. ${VAR} and ${VAR:-default} in values are expanded ("$${" gives
 * "${"), once. After an error *ini holds what came before it; free it all the same.
 */
int ini_read_file(struct ini *ini, const char *path, struct hookbox_error *error);
/* The same for a text; errors say NAME:LINE. */
int ini_read_text(struct ini *ini, const char *text, size_t size, const char *name,
		  struct hookbox_error *error);
void ini_free(struct ini *ini);

/* ---- Sections to settings (config.c, config_hook.c ...): knows the host's keys ---- */

enum hook_type { HOOK_PROVIDER = 1, HOOK_TOOL, HOOK_SESSION, HOOK_EVAL };
enum hook_mode { HOOK_FILTER = 1, HOOK_OBSERVE };

/* A set of causes, one bit (1 << enum hookbox_cause) each. */
typedef uint32_t cause_set;

struct config_hook {
	char *name;
	char *where;		/* "FILE:LINE" */
	char *command;		/* absolute, or a bare name searched in the PATH of where it runs; a
				 * relative path is resolved against the config file's directory */
	struct strv args;
	struct strv env;	/* NAME=value or NAME */
	enum hook_type type;
	struct strv phases;
	enum hook_mode mode;
	int64_t timeout_ms;	/* default 10000 */
	cause_set allow_on;	/* failures that on_error turns into an allow */
	char *sandbox;		/* name of a [sandbox], or "direct" */
};

/* How many boxes a pool may hold. */
#define CONFIG_POOL_MAX 256

/* A key that may be left out. */
enum config_choice { CONFIG_UNSET = 0, CONFIG_YES, CONFIG_NO };

struct config_sandbox {
	char *name;
	char *where;		/* "FILE:LINE" */
	const struct ini_section *section; /* lent from config.ini; NULL: it is none of a file's */
	char *dir;		/* directory of its file, or NULL */
	char *mode;
	struct strv env;	/* NAME=value or NAME; set for every call */
	char *workdir;		/* absolute, or NULL */
	bool shell;		/* shell = sh (default) or none */
	int64_t timeout_ms;	/* for calls that set none; default 0: no limit */
	uint64_t stdout_limit;	/* 0: the default */
	uint64_t stderr_limit;
	bool agent;		/* agent = auto (default) or PATH; not off */
	char *agent_path;	/* where it lies in the box, or NULL */
	int64_t agent_idle_ms;	/* default 5 minutes */
	enum config_choice multiplex; /* calls share a connection; default: where they can */
	unsigned int pool;	/* fresh boxes that wait for calls; default 0 */
	int64_t pool_max_age_ms; /* how long one may wait; 0: without end; default 10 minutes */
	bool network_keeper;	/* ... and share the network of one more box; default no */
	bool socket;		/* ... and are spoken to over one, where they can be; default yes */
	/* The backend's own keys: an owned array whose strings are lent from config.ini. A key
	 * "MODE.key" counts, as "key", when MODE is this sandbox's mode and is left out otherwise,
	 * so that a mode can be swapped in one line. */
	struct ini_key *params;
	size_t n_params;
};

struct config {
	struct ini ini;		/* owns the strings that params lends */
	char *path;		/* the main file, NULL for a text */
	struct strv files;	/* every file that was read */
	struct strv plugin_path;
	struct config_hook *hooks;	/* in config order */
	size_t n_hooks;
	struct config_sandbox *sandboxes;
	size_t n_sandboxes;
};

/* The path that hookbox_options.config_path = NULL means; an error names every place looked at. */
int config_find(char **path, struct hookbox_error *error);

/* Reads the file and conf.d beside it (*.ini in name order), or a text, and checks all of it except
 * the backends' own keys. */
int config_load(const char *path, struct config **config, struct hookbox_error *error);
int config_load_text(const char *text, struct config **config, struct hookbox_error *error);
void config_free(struct config *config);

/* "FILE:LINE" of the sandbox's key, or of the sandbox when it has no such key. */
const char *config_key_where(const struct config_sandbox *sandbox, const char *key);

/* Words of enums, for reading and printing; 0 / NULL when unknown. */
const char *hook_type_name(enum hook_type type);
enum hook_type hook_type_from(const char *name);
const char *hook_mode_name(enum hook_mode mode);
/* "before_call", ... of a type, NULL-terminated; none for eval. */
const char *const *hook_type_phases(enum hook_type type);

/* NAME of an environment entry is [A-Za-z_][A-Za-z0-9_]*; is "NAME" or "NAME=..." legal? */
bool env_entry_ok(const char *entry);

#endif
