/* SPDX-License-Identifier: MIT */
/* hookbox doctor: is everything there that the configuration needs? */
#include <errno.h>

#include "cli.h"
#include "host.h"
#include "plugin.h"
#include "sandbox.h"

#define PROBE_MS 30000

struct doctor {
	bool json;
	bool failed;
	const char *area;	/* "config", "sandbox" ... */
	const char *name;	/* which one, or NULL */
	struct buf out;		/* JSON */
};

static const struct {
	const char *name;
	const char *colour;
} statuses[] = {
	[SANDBOX_PROBE_OK] = {"ok", "\033[32m"},
	[SANDBOX_PROBE_WARNING] = {"warning", "\033[33m"},
	[SANDBOX_PROBE_FAILED] = {"failed", "\033[31m"},
};

/* Takes a status from a plugin: what is unknown counts as failed. */
static void add_finding(void *data, uint32_t status, const char *what, const char *remedy)
{
	struct doctor *doctor = data;

	if (status < SANDBOX_PROBE_OK || status > SANDBOX_PROBE_FAILED)
		status = SANDBOX_PROBE_FAILED;
	doctor->failed |= status == SANDBOX_PROBE_FAILED;
	if (doctor->json) {
		json_put_open(&doctor->out, NULL, '{');
		json_put_text(&doctor->out, "area", doctor->area);
		json_put_text_if(&doctor->out, "name", doctor->name);
		json_put_text(&doctor->out, "status", statuses[status].name);
		json_put_text(&doctor->out, "what", what);
		json_put_text_if(&doctor->out, "remedy", remedy);
		json_put_close(&doctor->out, '}');
		return;
	}
	printf("%s%-*s%s %s%s%s: %s\n", cli_colour(statuses[status].colour), cli_columns() ? 7 : 0,
	       statuses[status].name, cli_colour("\033[0m"), doctor->area, doctor->name ? " " : "",
	       doctor->name ? doctor->name : "", what);
	if (remedy)
		printf("%*s%s\n", cli_columns() ? 8 : 1, "", remedy);
	fflush(stdout);
}

static void examine_config(struct doctor *doctor, struct cli *cli, struct hookbox *box,
			   const struct hookbox_error *error)
{
	_cleanup_strv_ struct strv warnings = {0};
	char what[1024];

	doctor->area = "config";
	doctor->name = NULL;
	if (!box) {
		add_finding(doctor, SANDBOX_PROBE_FAILED, error->message, NULL);
		return;
	}
	snprintf(what, sizeof(what), "%s and all that it names were loaded",
		 host_config(box)->path);
	add_finding(doctor, SANDBOX_PROBE_OK, what, NULL);
	cli_config_warnings(cli, host_config(box), &warnings);
	for (size_t i = 0; i < warnings.n; i++)
		add_finding(doctor, SANDBOX_PROBE_WARNING, warnings.v[i], NULL);
}

static void examine_plugin(struct doctor *doctor, const struct plugin_file *file)
{
	_cleanup_free_ char *json = NULL;
	struct hookbox_error error = {0};

	doctor->name = file->name;
	if (file->hidden)
		add_finding(doctor, SANDBOX_PROBE_WARNING, file->path,
			    "another backend of this name comes first and hides it");
	else if (plugin_inspect("/proc/self/exe", file->path, PLUGIN_INSPECT_MS, &json, &error) < 0)
		add_finding(doctor, SANDBOX_PROBE_FAILED, error.message, NULL);
	else
		add_finding(doctor, SANDBOX_PROBE_OK, file->path, NULL);
}

static void examine_plugins(struct doctor *doctor, struct cli *cli)
{
	_cleanup_strv_ struct strv dirs = {0};
	struct plugin_files files = {0};
	struct hookbox_error error = {0};

	doctor->area = "plugin";
	doctor->name = NULL;
	if (cli_plugin_dirs(cli, &dirs, &error) < 0 ||
	    plugin_files_find(strv_view(&dirs), &files, &error) < 0) {
		/* A configuration that cannot be read has been reported. */
		if (!doctor->failed)
			add_finding(doctor, SANDBOX_PROBE_FAILED, error.message, NULL);
		return;
	}
	for (size_t i = 0; i < files.n; i++)
		examine_plugin(doctor, &files.v[i]);
	plugin_files_free(&files);
}

static void examine_sandboxes(struct doctor *doctor, struct hookbox *box)
{
	const struct config *config = host_config(box);

	doctor->area = "sandbox";
	for (size_t i = 0; i < config->n_sandboxes; i++) {
		doctor->name = config->sandboxes[i].name;
		if (sandbox_probe(host_sandbox(box, doctor->name), PROBE_MS, add_finding, doctor) ==
		    -ENOSYS)
			add_finding(doctor, SANDBOX_PROBE_OK, "its backend has nothing to look at",
				    NULL);
	}
}

static int run_doctor(struct cli *cli)
{
	struct doctor doctor = {0};
	struct hookbox_error error = {0};
	_cleanup_box_ struct hookbox *box = NULL;
	int status = CLI_OK;

	if (cli_no_options(cli) || !cli_operands(cli, 0, 0, ""))
		return cli->status;
	doctor.json = cli->json;
	if (doctor.json) {
		json_put_open(&doctor.out, NULL, '{');
		json_put_open(&doctor.out, "findings", '[');
	}
	box = cli_open(cli, NULL, &error);
	examine_config(&doctor, cli, box, &error);
	examine_plugins(&doctor, cli);
	if (box)
		examine_sandboxes(&doctor, box);
	if (doctor.json) {
		json_put_close(&doctor.out, ']');
		json_put_bool(&doctor.out, "ok", !doctor.failed);
		json_put_close(&doctor.out, '}');
		status = cli_print(cli, &doctor.out);
	}
	buf_free(&doctor.out);
	return status ? status : doctor.failed ? CLI_NO : CLI_OK;
}

const struct cli_command cmd_doctor = {
	.name = "doctor",
	.summary = "Looks at the configuration, the plugins and what each sandbox needs",
	.usage = "",
	.help = "One line for each finding, with what to do about it. Exit codes: 0 nothing\n"
		"failed, 1 something failed, 2 bad usage.\n\n",
	.run = run_doctor,
};
