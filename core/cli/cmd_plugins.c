/* SPDX-License-Identifier: MIT */
/* hookbox plugins list, info, check: the backends there are. Their files are loaded in a child. */
#include <errno.h>
#include <libgen.h>
#include <string.h>

#include <jansson.h>

#include "cli.h"
#include "conformance.h"
#include "error.h"
#include "host.h"
#include "near.h"
#include "path.h"
#include "plugin.h"
#include "print_backend.h"
#include "sandbox.h"

/* The real file even when argv[0] is a wrapper's or relative. */
#define THIS_PROGRAM "/proc/self/exe"

static void put_json(json_t **object)
{
	json_decref(*object);
}

#define _cleanup_json_ _cleanup_(put_json)

/* A file's name may be no UTF-8, which a JSON string cannot hold. */
static json_t *json_from(const char *text)
{
	json_t *string = json_string(text);

	return string ? string : json_string("(not UTF-8)");
}

/*
 * What a backend says of itself (plugin_describe() in plugin.h), or for a broken one
 * {"name", "error"}; "path" and "hidden" are added. NULL: no memory.
 */
static json_t *describe_file(const struct plugin_file *file)
{
	/* A person may name a file relative to where they are; the loader takes no such path. */
	_cleanup_free_ char *here = file->path[0] == '/' ? NULL : getcwd(NULL, 0);
	_cleanup_free_ char *absolute = here ? path_join(here, file->path) : NULL;
	_cleanup_free_ char *text = NULL;
	struct hookbox_error error = {0};
	json_t *object;

	if (!plugin_inspect(THIS_PROGRAM, absolute ? absolute : file->path, PLUGIN_INSPECT_MS,
			    &text, &error))
		object = json_loads(text, 0, NULL);
	else
		object = json_pack("{s:o, s:o}", "name", json_from(file->name), "error",
				   json_from(error.message));
	if (object && (json_object_set_new(object, "path", json_from(file->path)) ||
		       json_object_set_new(object, "hidden", json_boolean(file->hidden)))) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *describe_built_in(void)
{
	_cleanup_free_ char *text = NULL;
	json_t *object;

	if (plugin_describe(&direct_plugin, &text, NULL) < 0)
		return NULL;
	object = json_loads(text, 0, NULL);
	if (object)
		json_object_set_new(object, "hidden", json_false());
	return object;
}

/* Every plugin file of every directory. What is built in hides a file of its name. */
static int find_files(struct cli *cli, struct plugin_files *files)
{
	_cleanup_strv_ struct strv dirs = {0};
	struct hookbox_error error = {0};

	if (cli_plugin_dirs(cli, &dirs, &error) < 0 ||
	    plugin_files_find(strv_view(&dirs), files, &error) < 0)
		return cli_fail(cli, CLI_FAILED, "%s", error.message);
	for (size_t i = 0; i < files->n; i++)
		files->v[i].hidden |= !strcmp(files->v[i].name, direct_plugin.name);
	return CLI_OK;
}

static int print_json(struct cli *cli, const json_t *value)
{
	_cleanup_buf_ struct buf out = {0};
	char *text = json_dumps(value, JSON_COMPACT);

	buf_add_string(&out, text ? text : "");
	out.failed |= !text;
	free(text);
	return cli_print(cli, &out);
}

/*
 * ---- list ----
 */
static int widest(const json_t *list, const char *key)
{
	size_t width = 0;

	for (size_t i = 0; cli_columns() && i < json_array_size(list); i++) {
		size_t n = strlen(print_text_of(json_array_get(list, i), key));

		width = n > width ? n : width;
	}
	return (int)width;
}

static const char *or_else(const char *text, const char *otherwise)
{
	return *text ? text : otherwise;
}

static void print_entry(const json_t *entry, int names, int versions, int paths)
{
	const char *error = print_text_of(entry, "error");
	bool hidden = json_is_true(json_object_get(entry, "hidden"));

	printf("%s%-*s %-*s %-*s %s%s%s%s\n",
	       cli_colour(*error   ? "\033[31m"
			  : hidden ? "\033[2m"
				   : ""),
	       names, print_text_of(entry, "name"), versions,
	       or_else(print_text_of(entry, "version"), "-"), paths,
	       or_else(print_text_of(entry, "path"), PRINT_BUILT_IN), hidden ? "(hidden) " : "",
	       *error ? "broken: " : "", *error ? error : print_text_of(entry, "summary"),
	       cli_colour("\033[0m"));
}

static int run_list(struct cli *cli)
{
	struct plugin_files files = {0};
	_cleanup_json_ json_t *list = json_array();
	int status;

	if (cli_no_options(cli) || !cli_operands(cli, 0, 0, ""))
		return cli->status;
	status = find_files(cli, &files);
	if (status)
		return status;
	json_array_append_new(list, describe_built_in());
	for (size_t i = 0; i < files.n; i++)
		if (json_array_append_new(list, describe_file(&files.v[i])))
			status = cli_fail(cli, CLI_FAILED, "out of memory");
	plugin_files_free(&files);
	if (status || cli->json)
		return status ? status : print_json(cli, list);
	for (size_t i = 0; i < json_array_size(list); i++)
		print_entry(json_array_get(list, i), widest(list, "name"), widest(list, "version"),
			    widest(list, "path"));
	return CLI_OK;
}

/*
 * ---- info ----
 */
/* The backend of that name or in that file; NULL with the failure said. */
static json_t *find_backend(struct cli *cli, const char *name)
{
	struct plugin_file file = {.name = (char *)name, .path = (char *)name};
	struct plugin_files files = {0};
	_cleanup_strv_ struct strv names = {0};
	struct hookbox_error error = {0};
	json_t *found = NULL;

	if (!strcmp(name, direct_plugin.name))
		return describe_built_in();
	if (strchr(name, '/'))
		return describe_file(&file);
	if (find_files(cli, &files))
		return NULL;
	strv_add(&names, direct_plugin.name);
	for (size_t i = 0; i < files.n && !found; i++) {
		strv_add(&names, files.v[i].name);
		if (!strcmp(files.v[i].name, name))
			found = describe_file(&files.v[i]);
	}
	plugin_files_free(&files);
	if (!found) {
		near_error(&error, -ENOENT, name, strv_view(&names),
			   "there is no backend \"%s\"", name);
		cli_fail(cli, CLI_FAILED, "%s", error.message);
	}
	return found;
}

static int print_info(struct cli *cli, const char *format)
{
	_cleanup_json_ json_t *info = find_backend(cli, cli->operands.v[0]);

	if (!info)
		return CLI_FAILED;
	if (*print_text_of(info, "error"))
		return cli_fail(cli, CLI_FAILED, "%s", print_text_of(info, "error"));
	if (cli->json)
		return print_json(cli, info);
	if (!print_backend(info, format))
		return cli_fail(cli, CLI_USAGE, "--format is text, man or markdown, not \"%s\"",
				format);
	return CLI_OK;
}

enum { OPT_FORMAT = CLI_OPT_OWN };

static int run_info(struct cli *cli)
{
	static const struct option options[] = {
		CLI_OPTIONS,
		{"format", required_argument, NULL, OPT_FORMAT},
		{0},
	};
	const char *format = NULL;
	int option;

	while ((option = cli_option(cli, "-:" CLI_LETTERS, options)) != -1) {
		if (option == '?')
			return cli->status;
		format = optarg;
	}
	if (!cli_operands(cli, 1, 1, "the backend's NAME"))
		return cli->status;
	if (format && cli->json)
		return cli_fail(cli, CLI_USAGE, "--format and --json exclude each other");
	return print_info(cli, format ? format : "text");
}

/*
 * ---- check ----
 */
struct check {
	const char *file;	/* a path, or the name of what is built in */
	const char *sandbox;	/* or NULL */
	struct conformance_options kit;
};

static int check_failed(struct cli *cli, const char *sentence)
{
	_cleanup_buf_ struct buf json = {0};

	cli_fail(cli, CLI_NO, "%s", sentence);
	if (!cli->json)
		return CLI_NO;
	json_put_error(&json, sentence);
	return cli_print(cli, &json) ? CLI_FAILED : CLI_NO;
}

/* The host that has this very file under its name, and the sandbox that it is to be checked in. */
static int check_in_sandbox(struct cli *cli, struct check *check, const char *name)
{
	bool built_in = !strcmp(check->file, direct_plugin.name);
	_cleanup_free_ char *path = built_in ? NULL : realpath(check->file, NULL);
	_cleanup_free_ char *dir = path ? strdup(path) : NULL;
	struct hookbox_error error = {0};
	_cleanup_box_ struct hookbox *box = cli_open(cli, dir ? dirname(dir) : NULL, &error);
	struct sandbox *sandbox = box ? host_sandbox(box, check->sandbox) : NULL;
	const char *mode = sandbox ? sandbox_plugin(sandbox)->name : NULL;
	int failed;

	if (!box)
		return cli_fail(cli, CLI_FAILED, "%s", error.message);
	if (!sandbox)
		return cli_fail(cli, CLI_FAILED, "no sandbox \"%s\" is configured", check->sandbox);
	if (strcmp(mode, name))
		return cli_fail(cli, CLI_FAILED,
				"sandbox \"%s\" has mode = %s: name one with mode = %s",
				check->sandbox, mode, name);
	check->kit.size = sizeof(check->kit);
	check->kit.out = stdout;
	check->kit.plugin_file = path;
	failed = conformance_run(box, check->sandbox, &check->kit);
	if (failed < 0)
		return cli_fail(cli, CLI_FAILED, "the checks could not be run: %s",
				strerror(-failed));
	return failed ? CLI_NO : CLI_OK;
}

static int check_backend(struct cli *cli, struct check *check)
{
	struct plugin_file file = {.name = (char *)check->file, .path = (char *)check->file};
	bool built_in = !strcmp(check->file, direct_plugin.name);
	_cleanup_json_ json_t *info = built_in ? describe_built_in() : describe_file(&file);

	if (!info)
		return cli_fail(cli, CLI_FAILED, "out of memory");
	if (*print_text_of(info, "error"))
		return check_failed(cli, print_text_of(info, "error"));
	if (check->sandbox)
		return check_in_sandbox(cli, check, print_text_of(info, "name"));
	if (cli->json)
		return print_json(cli, info);
	printf("%s %s: the descriptor and its %zu parameters are as they should be\n",
	       print_text_of(info, "name"), print_text_of(info, "version"),
	       json_array_size(json_object_get(info, "params")));
	return CLI_OK;
}

enum { OPT_SANDBOX = CLI_OPT_OWN, OPT_TAP, OPT_FULL, OPT_WAY };

#define CHECK_WAYS "one-off, shared, agent, pool or socket"

static bool is_way(const char *name)
{
	for (int way = 0; way < CALL_N_WAYS; way++)
		if (!strcmp(call_way_names[way], name))
			return true;
	return false;
}

static int run_check(struct cli *cli)
{
	static const struct option options[] = {
		CLI_OPTIONS,
		{"sandbox", required_argument, NULL, OPT_SANDBOX},
		{"tap", no_argument, NULL, OPT_TAP},
		{"full", no_argument, NULL, OPT_FULL},
		{"way", required_argument, NULL, OPT_WAY},
		{0},
	};
	struct check check = {0};
	int option;

	while ((option = cli_option(cli, "-:" CLI_LETTERS, options)) != -1) {
		if (option == '?')
			return cli->status;
		if (option == OPT_SANDBOX)
			check.sandbox = optarg;
		else if (option == OPT_TAP)
			check.kit.tap = true;
		else if (option == OPT_WAY)
			check.kit.way = optarg;
		else
			check.kit.full = true;
	}
	if (!cli_operands(cli, 1, 1, "the plugin's FILE"))
		return cli->status;
	if ((check.kit.tap || check.kit.full || check.kit.way) && !check.sandbox)
		return cli_fail(cli, CLI_USAGE, "--tap, --full and --way need --sandbox");
	if (check.kit.way && !is_way(check.kit.way))
		return cli_fail(cli, CLI_USAGE, "--way is %s, not \"%s\"", CHECK_WAYS,
				check.kit.way);
	if (cli->json && check.sandbox)
		return cli_fail(cli, CLI_USAGE,
				"with --sandbox it is --tap that programs can read");
	check.file = cli->operands.v[0];
	return check_backend(cli, &check);
}

const struct cli_command cmd_plugins_list = {
	.name = "plugins list",
	.summary = "Lists the backends: name, version, file, what they are",
	.usage = "",
	.help = "Every plugin file is loaded in a child process. Broken ones are listed with\n"
		"their error, and so are those that an earlier directory hides.\n\n",
	.run = run_list,
};

const struct cli_command cmd_plugins_info = {
	.name = "plugins info",
	.summary = "Explains a backend: what it is, and the keys of its [sandbox] section",
	.usage = "NAME",
	.help = "NAME may also be the path of a plugin file.\n\n"
		"      --format FORMAT   text, or the keys alone: as man (the list of a man "
		"page's\n"
		"                        section PARAMETERS) or markdown (rows of a table)\n",
	.run = run_info,
};

const struct cli_command cmd_plugins_check = {
	.name = "plugins check",
	.summary = "Checks a plugin file; with --sandbox, also how it behaves there",
	.usage = "FILE.so",
	.help = "FILE.so may also be \"direct\", which is built in. Exit codes: 0 all is well,\n"
		"1 a check failed, 2 bad usage, 125 it could not be checked.\n\n"
		"      --sandbox NAME    run the conformance kit in this sandbox, which has the\n"
		"                        plugin's mode\n"
		"      --tap             print the kit's results as TAP\n"
		"      --full            run the kit's slow checks, too\n"
		"      --way WAY         fail unless calls went this way: " CHECK_WAYS "\n",
	.run = run_check,
};
