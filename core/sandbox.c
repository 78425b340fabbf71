/* SPDX-License-Identifier: MIT */
#include "sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "cleanup.h"
#include "pool.h"
#include "prologue.h"
#include "spawn.h"
#include "trunk.h"

#define BOX_ID_SIZE 256
#define BOX_STOP_MS 30000
#define RUN_OUTPUT_LIMIT (64 * 1024)

/* ---- The host table ---- */

static void table_log(const struct sandbox_host *host, uint32_t level, const char *message)
{
	const struct sandbox *sandbox = host->host_data;

	log_write(sandbox->context.log, (int)level, "[sandbox %s] %s", sandbox->name, message);
}

/* Of the call for which a box is being found or started by this thread. */
static const struct hookbox_cancel *cancel_of_this_thread(struct sandbox *sandbox)
{
	const struct hookbox_cancel *cancel = NULL;

	pthread_mutex_lock(&sandbox->lock);
	if (sandbox->preparing && pthread_equal(sandbox->preparer, pthread_self()))
		cancel = sandbox->prepare_cancel;
	pthread_mutex_unlock(&sandbox->lock);
	return cancel;
}

/* It has been told, and may still have something to end. */
static void forget_cancel(struct sandbox *sandbox)
{
	pthread_mutex_lock(&sandbox->lock);
	if (sandbox->preparing && pthread_equal(sandbox->preparer, pthread_self()))
		sandbox->prepare_cancel = NULL;
	pthread_mutex_unlock(&sandbox->lock);
}

static int table_run(const struct sandbox_host *host, const struct sandbox_command *command,
		     struct sandbox_command_result *result, char error[SANDBOX_ERROR_SIZE])
{
	_cleanup_strv_ struct strv env = {0};
	struct spawn_capture *capture = calloc(1, sizeof(*capture));
	struct spawn_command spawn = {
		.argv = command->argv,
		.cwd = command->cwd,
		.stdin_data = command->stdin_data,
		.stdin_size = command->stdin_size,
		.timeout_ms = command->timeout_ms,
		.limit = command->output_limit ? command->output_limit : RUN_OUTPUT_LIMIT,
	};

	if (!capture) {
		snprintf(error, SANDBOX_ERROR_SIZE, "out of memory");
		return -ENOMEM;
	}
	for (char **entry = environ; entry && *entry; entry++)
		strv_add(&env, *entry);
	for (const char *const *entry = command->env; entry && *entry; entry++)
		strv_set_env(&env, *entry);
	spawn.env = strv_view(&env);
	spawn.cancel = cancel_of_this_thread(host->host_data);
	spawn_run_captured(&spawn, capture);
	if (capture->result.end == SPAWN_CANCELLED) {
		forget_cancel(host->host_data);
		snprintf(error, SANDBOX_ERROR_SIZE, "the call that needed it was cancelled");
		spawn_capture_free(capture);
		free(capture);
		return -ECANCELED;
	}
	if (capture->result.end == SPAWN_NOT_STARTED || capture->result.end == SPAWN_LOST) {
		int code = capture->result.error_number ? -capture->result.error_number : -EIO;

		snprintf(error, SANDBOX_ERROR_SIZE, "%s", capture->result.message);
		spawn_capture_free(capture);
		free(capture);
		return code;
	}
	result->timed_out = capture->result.end == SPAWN_TIMED_OUT;
	result->signaled = capture->result.end == SPAWN_SIGNALED;
	result->status = capture->result.status;
	buf_add(&capture->out, "", 0);
	buf_add(&capture->err, "", 0);
	result->out = capture->out.data;
	result->out_size = capture->out.size;
	result->err = capture->err.data;
	result->err_size = capture->err.size;
	result->host_data = capture;
	return 0;
}

static void table_run_done(const struct sandbox_host *host, struct sandbox_command_result *result)
{
	if (result->host_data) {
		spawn_capture_free(result->host_data);
		free(result->host_data);
	}
	*result = (struct sandbox_command_result){.size = result->size};
}

static void table_quote(const struct sandbox_host *host, const char *text,
			const struct sandbox_text_sink *sink)
{
	_cleanup_buf_ struct buf quoted = {0};

	quote_add(&quoted, text, "\n");
	if (!quoted.failed)
		sink->text(sink, quoted.data);
}

static const void *table_extension(const struct sandbox_host *host, const char *id)
{
	return NULL;
}

/* ---- Open and close ---- */

/* Copies what a plugin's extension has into a zeroed struct of our size. */
static void extension_copy(const struct sandbox_plugin_v1 *plugin, const char *id, void *copy,
			   size_t size)
{
	const void *extension = plugin_extension(plugin, id);

	if (extension) {
		size_t theirs = *(const size_t *)extension;

		memcpy(copy, extension, theirs < size ? theirs : size);
	}
}

/* A list takes each continuation line for an item; for a scalar they are one value. */
static bool is_list(const struct sandbox *sandbox, const char *key)
{
	struct sandbox_param param;

	return param_find(sandbox->plugin, key, &param) &&
	       (param.type == SANDBOX_LIST || param.type == SANDBOX_MOUNT_LIST);
}

static int fill_instance(struct sandbox *sandbox, const struct config_sandbox *config,
			 struct hookbox_error *error)
{
	_cleanup_free_ struct param_value *values = calloc(config->n_params + 1, sizeof(*values));
	_cleanup_strv_ struct strv wheres = {0};
	_cleanup_free_ char *where = NULL;

	if (!values || asprintf(&where, "%s: [sandbox %s]", config->where, config->name) < 0)
		return error_no_memory(error);
	for (size_t i = 0; i < config->n_params; i++) {
		const struct ini_key *key = &config->params[i];
		bool list = is_list(sandbox, key->key);

		strv_printf(&wheres, "%s: [sandbox %s] %s", key->where, config->name, key->key);
		if (wheres.failed)
			return error_no_memory(error);
		values[i] = (struct param_value){
			.key = key->key,
			.values = (const char *const *)(list ? key->items : key->values),
			.n_values = list ? key->n_items : key->n_values,
			.where = wheres.v[i],
			.base_dir = config->dir,
		};
	}
	return params_fill(sandbox->plugin, values, config->n_params, where, &sandbox->instance,
			   &sandbox->store, error);
}

static int copy_settings(struct sandbox *sandbox, const struct config_sandbox *config,
			 struct hookbox_error *error)
{
	sandbox->name = strdup(config->name);
	for (size_t i = 0; i < config->env.n; i++)
		strv_add(&sandbox->env, config->env.v[i]);
	if (config->workdir)
		sandbox->workdir = strdup(config->workdir);
	if (config->agent_path)
		sandbox->agent_path = strdup(config->agent_path);
	strv_printf(&sandbox->labels, "hookbox.owner=%s", ledger_owner(sandbox->context.ledger));
	strv_printf(&sandbox->labels, "hookbox.sandbox=%s", config->name);
	if (!sandbox->name || sandbox->env.failed || sandbox->labels.failed ||
	    (config->workdir && !sandbox->workdir) ||
	    (config->agent_path && !sandbox->agent_path))
		return error_no_memory(error);
	sandbox->shell = config->shell && (sandbox->plugin->flags & SANDBOX_SHELL);
	sandbox->timeout_ms = config->timeout_ms;
	sandbox->agent = config->agent && (config->agent_path || sandbox->context.agent_dir);
	sandbox->agent_missing = config->agent && !sandbox->agent &&
				 (config->pool || sandbox->plugin->flags & SANDBOX_KEPT);
	sandbox->agent_idle_ms = config->agent_idle_ms;
	sandbox->stdout_limit = config->stdout_limit;
	sandbox->stderr_limit = config->stderr_limit;
	return 0;
}

static void sandbox_free(struct sandbox *sandbox)
{
	params_free(sandbox->instance, sandbox->store);
	pthread_mutex_destroy(&sandbox->lock);
	cleanup_close(&sandbox->opened_fd);
	strv_free(&sandbox->env);
	strv_free(&sandbox->labels);
	free(sandbox->workdir);
	free(sandbox->box_id);
	free(sandbox->channel_box);
	free(sandbox->agent_path);
	free(sandbox->gone_box_id);
	free(sandbox->name);
	free(sandbox);
}

static int call_open(struct sandbox *sandbox, const struct config_sandbox *config,
		     struct hookbox_error *error)
{
	char message[SANDBOX_ERROR_SIZE] = "";
	int code = 0;

	sandbox->host = (struct sandbox_host){
		.size = sizeof(sandbox->host),
		.host_data = sandbox,
		.log = table_log,
		.run = table_run,
		.run_done = table_run_done,
		.quote = table_quote,
		.sandbox_name = sandbox->name,
		.get_extension = table_extension,
	};
	if (sandbox->plugin->open)
		code = sandbox->plugin->open(sandbox->instance, &sandbox->host, message);
	if (!code)
		return 0;
	return error_set(error, code < 0 ? code : -EINVAL, "%s: [sandbox %s]: %s", config->where,
			 config->name, message[0] ? message : "the backend gave no reason");
}

int sandbox_open(const struct config_sandbox *config, const struct sandbox_plugin_v1 *plugin,
		 const struct sandbox_host_context *context, struct sandbox **result,
		 struct hookbox_error *error)
{
	struct sandbox *sandbox = calloc(1, sizeof(*sandbox));
	int code;

	if (!sandbox)
		return error_no_memory(error);
	pthread_mutex_init(&sandbox->lock, NULL);
	sandbox->opened_fd = -1;
	sandbox->plugin = plugin;
	sandbox->context = *context;
	extension_copy(plugin, SANDBOX_BOX_EXTENSION, &sandbox->box, sizeof(sandbox->box));
	extension_copy(plugin, SANDBOX_RUN_EXTENSION, &sandbox->run, sizeof(sandbox->run));
	code = copy_settings(sandbox, config, error);
	if (!code)
		code = fill_instance(sandbox, config, error);
	if (!code)
		code = call_open(sandbox, config, error);
	if (code) {
		sandbox_free(sandbox);
		return code;
	}
	code = pool_open(sandbox, config, &sandbox->pool, error);
	if (!code)
		code = trunk_open(sandbox, config, &sandbox->trunk, error);
	if (code) {
		sandbox_close(sandbox);
		return code;
	}
	*result = sandbox;
	return 0;
}

struct sandbox_box_request sandbox_box_request(struct sandbox *sandbox, int64_t timeout_ms)
{
	return (struct sandbox_box_request){
		.size = sizeof(struct sandbox_box_request),
		.labels = (const char *const *)sandbox->labels.v,
		.state_dir = ledger_state_dir(sandbox->context.ledger),
		.timeout_ms = timeout_ms,
	};
}

void sandbox_stop_box(struct sandbox *sandbox)
{
	_cleanup_free_ char *box_id = take_pointer(sandbox->started_box_id);
	struct sandbox_box_request request = sandbox_box_request(sandbox, BOX_STOP_MS);
	char message[SANDBOX_ERROR_SIZE] = "";

	if (!box_id || !sandbox->box.stop)
		return;
	if (sandbox->box.stop(sandbox->instance, &request, box_id, message)) {
		ledger_keep(sandbox->context.ledger);
		table_log(&sandbox->host, SANDBOX_LOG_WARNING, message);
	}
}

void sandbox_close(struct sandbox *sandbox)
{
	pool_close(sandbox->pool);
	call_close_channel(sandbox);
	trunk_close(sandbox->trunk);
	sandbox_stop_box(sandbox);
	if (sandbox->plugin->close)
		sandbox->plugin->close(sandbox->instance);
	sandbox_free(sandbox);
}

const char *sandbox_name(const struct sandbox *sandbox)
{
	return sandbox->name;
}

const struct sandbox_plugin_v1 *sandbox_plugin(const struct sandbox *sandbox)
{
	return sandbox->plugin;
}

void sandbox_count_ways(struct sandbox *sandbox, uint64_t counts[CALL_N_WAYS])
{
	pthread_mutex_lock(&sandbox->lock);
	memcpy(counts, sandbox->ways, sizeof(sandbox->ways));
	pthread_mutex_unlock(&sandbox->lock);
}

/* ---- Probe ---- */

struct probe_findings {
	void (*finding)(void *data, uint32_t status, const char *what, const char *remedy);
	void *data;
	bool failed;
};

static void probe_finding(const struct sandbox_probe_sink *sink, uint32_t status, const char *what,
			  const char *remedy)
{
	struct probe_findings *findings = sink->host_data;

	findings->failed |= status == SANDBOX_PROBE_FAILED;
	findings->finding(findings->data, status, what, remedy);
}

static void keep_box_id(const struct sandbox_text_sink *sink, const char *text)
{
	snprintf(sink->host_data, BOX_ID_SIZE, "%s", text);
}

static void report_agent(const struct probe_findings *findings, const char *where,
			 const struct frame_agent_hello *agent)
{
	char what[SANDBOX_ERROR_SIZE];

	snprintf(what, sizeof(what), "an agent runs %s: %s on %s %s", where, agent->name,
		 agent->system, agent->machine);
	findings->finding(findings->data, SANDBOX_PROBE_OK, what, NULL);
}

/* Does a box of the pool come up? */
static void probe_pool(struct sandbox *sandbox, struct probe_findings *findings)
{
	struct frame_agent_hello agent;
	struct hookbox_error error = {0};
	char what[SANDBOX_ERROR_SIZE];
	bool over_socket;

	if (!pool_probe(sandbox->pool, &agent, &over_socket, &error)) {
		report_agent(findings, over_socket ? "in the pool's boxes, and is spoken to over a "
						     "socket" : "in the pool's boxes", &agent);
		return;
	}
	snprintf(what, sizeof(what), "no box can be made for the pool: %.900s", error.message);
	findings->finding(findings->data, SANDBOX_PROBE_WARNING, what,
			  "until one can, every call starts cold; remove pool to do without");
}

/* Can an agent run in the box? Without one, each call takes a CLI's time. False: none runs. */
static bool probe_agent(struct sandbox *sandbox, int64_t timeout_ms,
			struct probe_findings *findings)
{
	struct sandbox_box_request request = sandbox_box_request(sandbox, timeout_ms);
	char message[SANDBOX_ERROR_SIZE] = "", box_id[BOX_ID_SIZE] = "";
	const struct sandbox_text_sink id = {
		.size = sizeof(id), .host_data = box_id, .text = keep_box_id,
	};
	struct frame_agent_hello agent;
	struct hookbox_error error = {0};

	/* One that is only to be started is not started to be looked at. */
	if (sandbox->box.find && sandbox->box.find(sandbox->instance, &request, &id, message))
		return true;
	if (call_probe_channel(sandbox, box_id[0] ? box_id : NULL, timeout_ms, &agent, &error)) {
		snprintf(message, sizeof(message), "no agent runs there: %.900s", error.message);
		findings->finding(findings->data, SANDBOX_PROBE_WARNING, message,
				  "calls are slow without one; agent = off does without");
		return false;
	}
	report_agent(findings, "there", &agent);
	return true;
}

int sandbox_probe(struct sandbox *sandbox, int64_t timeout_ms,
		  void (*finding)(void *data, uint32_t status, const char *what,
				  const char *remedy),
		  void *data)
{
	struct probe_findings findings = {.finding = finding, .data = data};
	struct sandbox_probe_sink sink = {
		.size = sizeof(sink),
		.host_data = &findings,
		.finding = probe_finding,
	};
	struct sandbox_probe_v1 probe = {0};
	bool agent = false;

	extension_copy(sandbox->plugin, SANDBOX_PROBE_EXTENSION, &probe, sizeof(probe));
	if (!probe.probe)
		return -ENOSYS;
	probe.probe(sandbox->instance, timeout_ms, &sink);
	if (!findings.failed && call_may_have_channel(sandbox))
		agent = probe_agent(sandbox, timeout_ms, &findings);
	if (!findings.failed && sandbox->pool)
		probe_pool(sandbox, &findings);
	if (!findings.failed && sandbox->agent_missing)
		finding(data, SANDBOX_PROBE_WARNING, "hookbox-agent is not installed: calls are slow",
			"install it, or set HOOKBOX_AGENT_DIR to where it is; agent = off does "
			"without");
	if (!findings.failed && !agent && sandbox->trunk)
		finding(data, SANDBOX_PROBE_OK, "without an agent, its calls may share a connection",
			NULL);
	return 0;
}
