/* SPDX-License-Identifier: MIT */
/* hookbox config check, show: what the configuration says, and what that comes to. */
#include <string.h>

#include "cli.h"
#include "host.h"
#include "plugin.h"

/* Stands for values that are not shown. */
#define HIDDEN "(hidden)"

/*
 * ---- check ----
 */
static int print_wrong(struct cli *cli, const char *sentence)
{
	_cleanup_buf_ struct buf json = {0};

	cli_fail(cli, CLI_NO, "%s", sentence);
	cli->error = (struct hookbox_error){0};
	if (!cli->json)
		return CLI_NO;
	json_put_open(&json, NULL, '{');
	json_put_bool(&json, "ok", false);
	json_put_text(&json, "error", sentence);
	json_put_close(&json, '}');
	return cli_print(cli, &json) ? CLI_FAILED : CLI_NO;
}

static int print_right(struct cli *cli, const struct config *config, const struct strv *warnings)
{
	_cleanup_buf_ struct buf out = {0};

	out.failed |= warnings->failed;
	for (size_t i = 0; i < warnings->n && !cli->json; i++)
		cli_warn("%s", warnings->v[i]);
	if (cli->json) {
		json_put_open(&out, NULL, '{');
		json_put_bool(&out, "ok", true);
		json_put_texts(&out, "warnings", strv_view(warnings));
		json_put_texts(&out, "files", strv_view(&config->files));
		json_put_int(&out, "hooks", (long long)config->n_hooks);
		json_put_int(&out, "sandboxes", (long long)config->n_sandboxes);
		json_put_close(&out, '}');
	} else {
		buf_printf(&out, "%s is fine: %zu hook%s, %zu sandbox%s", config->path,
			   config->n_hooks, config->n_hooks == 1 ? "" : "s", config->n_sandboxes,
			   config->n_sandboxes == 1 ? "" : "es");
	}
	return cli_print(cli, &out);
}

static int run_check(struct cli *cli)
{
	struct hookbox_error error = {0};
	_cleanup_strv_ struct strv warnings = {0};
	_cleanup_box_ struct hookbox *box = NULL;

	if (cli_no_options(cli) || !cli_operands(cli, 0, 0, ""))
		return cli->status;
	box = cli_open(cli, NULL, &error);
	if (!box)
		return print_wrong(cli, error.message);
	cli_config_warnings(cli, host_config(box), &warnings);
	return print_right(cli, host_config(box), &warnings);
}

/*
 * ---- show ----
 * One walk over the settings; a printer makes INI or JSON of them.
 */
struct printer {
	bool json;
	struct buf out;
};

static void begin_section(struct printer *printer, const char *kind, const char *name,
			  const char *where)
{
	if (printer->json) {
		json_put_open(&printer->out, NULL, '{');
		json_put_text(&printer->out, "name", name);
		json_put_text(&printer->out, "where", where);
		return;
	}
	buf_printf(&printer->out, "\n; %s\n[%s %s]\n", where, kind, name);
}

static void end_section(struct printer *printer)
{
	if (printer->json)
		json_put_close(&printer->out, '}');
}

static void show_text(struct printer *printer, const char *key, const char *value)
{
	if (printer->json)
		json_put_text(&printer->out, key, value);
	else if (value)
		buf_printf(&printer->out, "%s = %s\n", key, value);
}

static void show_int(struct printer *printer, const char *key, long long value)
{
	if (printer->json)
		json_put_int(&printer->out, key, value);
	else
		buf_printf(&printer->out, "%s = %lld\n", key, value);
}

static void show_list(struct printer *printer, const char *key, const char *const *values)
{
	if (printer->json) {
		json_put_texts(&printer->out, key, values);
		return;
	}
	for (; *values; values++)
		buf_printf(&printer->out, "%s = %s\n", key, *values);
}

/* Values of variables may well be secrets: only the names are shown. */
static void show_env(struct printer *printer, const struct strv *env)
{
	_cleanup_strv_ struct strv names = {0};

	for (size_t i = 0; i < env->n; i++) {
		const char *value = strchr(env->v[i], '=');

		if (value)
			strv_printf(&names, "%.*s=" HIDDEN, (int)(value - env->v[i]), env->v[i]);
		else
			strv_add(&names, env->v[i]);
	}
	printer->out.failed |= names.failed;
	show_list(printer, "env", strv_view(&names));
}

static void show_on_error(struct printer *printer, cause_set allow_on)
{
	_cleanup_strv_ struct strv causes = {0};

	for (int cause = HOOKBOX_CAUSE_EXIT; cause <= HOOKBOX_CAUSE_BAD_ANSWER; cause++)
		if (allow_on & (UINT32_C(1) << cause))
			strv_printf(&causes, "%s:allow", hookbox_cause_name(cause));
	if (!causes.n)
		strv_add(&causes, "deny");
	printer->out.failed |= causes.failed;
	show_list(printer, "on_error", strv_view(&causes));
}

static void show_hook(struct printer *printer, const struct config_hook *hook)
{
	begin_section(printer, "hook", hook->name, hook->where);
	show_text(printer, "command", hook->command);
	show_list(printer, "args", strv_view(&hook->args));
	show_env(printer, &hook->env);
	show_text(printer, "hook", hook_type_name(hook->type));
	show_list(printer, "phases", strv_view(&hook->phases));
	show_text(printer, "mode", hook_mode_name(hook->mode));
	show_int(printer, "timeout_ms", hook->timeout_ms);
	show_on_error(printer, hook->allow_on);
	show_text(printer, "sandbox", hook->sandbox);
	end_section(printer);
}

static const struct ini_key *find_key(const struct config_sandbox *sandbox, const char *key)
{
	for (size_t i = 0; i < sandbox->n_params; i++)
		if (!strcmp(sandbox->params[i].key, key))
			return &sandbox->params[i];
	return NULL;
}

/* A backend's key, as the section has it, or else its default. */
static void show_param(struct printer *printer, const struct config_sandbox *sandbox,
		       const struct sandbox_param *param)
{
	const struct ini_key *key = find_key(sandbox, param->key);
	bool list = param->type == SANDBOX_LIST || param->type == SANDBOX_MOUNT_LIST;
	const char *value = key ? key->values[key->n_values - 1] : param->dflt;
	_cleanup_strv_ struct strv items = {0};

	if (param->flags & SANDBOX_PARAM_SECRET) {
		show_text(printer, param->key, value ? HIDDEN : NULL);
		return;
	}
	if (!list) {
		show_text(printer, param->key, value);
		return;
	}
	for (size_t i = 0; key && i < key->n_items; i++)
		strv_add(&items, key->items[i]);
	if (!key && param->dflt)
		strv_add(&items, param->dflt);
	printer->out.failed |= items.failed;
	show_list(printer, param->key, strv_view(&items));
}

/* How calls reach a box: what the backend has no use for is left out. */
static void show_ways(struct printer *printer, const struct config_sandbox *sandbox,
		      const struct sandbox_plugin_v1 *plugin)
{
	const char *agent = sandbox->agent_path ? sandbox->agent_path : "auto";

	if (plugin->flags & (SANDBOX_KEPT | SANDBOX_FRESH))
		show_text(printer, "agent", sandbox->agent ? agent : "off");
	if (plugin->flags & SANDBOX_KEPT)
		show_int(printer, "agent_idle", sandbox->agent_idle_ms);
	if (plugin->flags & SANDBOX_TRUNK)
		show_text(printer, "multiplex",
			  sandbox->multiplex == CONFIG_NO || !sandbox->shell ? "no" : "yes");
	if (!(plugin->flags & SANDBOX_FRESH))
		return;
	show_int(printer, "pool", sandbox->pool);
	show_int(printer, "pool_max_age", sandbox->pool_max_age_ms);
	show_text(printer, "network_keeper", sandbox->network_keeper ? "yes" : "no");
	show_text(printer, "socket", sandbox->socket ? "auto" : "off");
}

static void show_sandbox(struct printer *printer, const struct config_sandbox *sandbox,
			 const struct sandbox_plugin_v1 *plugin)
{
	begin_section(printer, "sandbox", sandbox->name, sandbox->where);
	show_text(printer, "mode", sandbox->mode);
	show_env(printer, &sandbox->env);
	show_text(printer, "workdir", sandbox->workdir);
	show_text(printer, "shell", sandbox->shell ? "sh" : "none");
	show_int(printer, "timeout_ms", sandbox->timeout_ms);
	show_int(printer, "stdout_limit", (long long)sandbox->stdout_limit);
	show_int(printer, "stderr_limit", (long long)sandbox->stderr_limit);
	show_ways(printer, sandbox, plugin);
	for (uint32_t i = 0; i < plugin->n_params; i++) {
		struct sandbox_param param;

		param_get(plugin, i, &param);
		show_param(printer, sandbox, &param);
	}
	end_section(printer);
}

static void show_files(struct printer *printer, const struct config *config)
{
	if (printer->json) {
		json_put_texts(&printer->out, "files", strv_view(&config->files));
		json_put_texts(&printer->out, "plugin_path", strv_view(&config->plugin_path));
		return;
	}
	for (size_t i = 0; i < config->files.n; i++)
		buf_printf(&printer->out, "; read: %s\n", config->files.v[i]);
	if (!config->plugin_path.n)
		return;
	buf_add_string(&printer->out, "\n[hookbox]\n");
	show_list(printer, "plugin_path", strv_view(&config->plugin_path));
}

static void begin_sections(struct printer *printer, const char *key)
{
	if (printer->json)
		json_put_open(&printer->out, key, '[');
}

static void end_sections(struct printer *printer)
{
	if (printer->json)
		json_put_close(&printer->out, ']');
}

static void show_config(struct printer *printer, struct hookbox *box)
{
	const struct config *config = host_config(box);

	if (printer->json)
		json_put_open(&printer->out, NULL, '{');
	show_files(printer, config);
	begin_sections(printer, "sandboxes");
	for (size_t i = 0; i < config->n_sandboxes; i++)
		show_sandbox(printer, &config->sandboxes[i],
			     sandbox_plugin(host_sandbox(box, config->sandboxes[i].name)));
	end_sections(printer);
	begin_sections(printer, "hooks");
	for (size_t i = 0; i < config->n_hooks; i++)
		show_hook(printer, &config->hooks[i]);
	end_sections(printer);
	if (printer->json)
		json_put_close(&printer->out, '}');
}

static int run_show(struct cli *cli)
{
	_cleanup_box_ struct hookbox *box = NULL;
	struct printer printer = {0};
	int status;

	if (cli_no_options(cli) || !cli_operands(cli, 0, 0, ""))
		return cli->status;
	box = cli_open_or_fail(cli);
	if (!box)
		return CLI_FAILED;
	printer.json = cli->json;
	show_config(&printer, box);
	status = cli_print(cli, &printer.out);
	buf_free(&printer.out);
	return status;
}

const struct cli_command cmd_config_check = {
	.name = "config check",
	.summary = "Reads the configuration, loads what it names, and says what is wrong",
	.usage = "",
	.help = "Starts nothing. Exit codes: 0 all is well, 1 something is wrong, 2 bad usage.\n\n",
	.run = run_check,
};

const struct cli_command cmd_config_show = {
	.name = "config show",
	.summary = "Prints the settings that are in effect, with the defaults",
	.usage = "",
	.help = "Secrets and the values of env are not shown. Limits and times that are 0 are the\n"
		"default: 8 MiB of stdout and 1 MiB of stderr, no time limit.\n\n",
	.run = run_show,
};
