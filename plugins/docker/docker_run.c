/* SPDX-License-Identifier: MIT */
/* docker_run: every call in a fresh container, which is gone when the call is over. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "docker.h"

/* The container of a call is found by its name. */
#define NAME_PREFIX "hookbox-"
/* The engine itself refuses less. */
#define MEMORY_LEAST (6u * 1024 * 1024)

struct docker_run {
	struct docker_cli cli;
	const char *image;
	const char *network;
	struct sandbox_mount_list mounts;
	const char *user;
	uint64_t memory;
	const char *cpus;
	uint64_t pids_limit;
	struct sandbox_list tmpfs;
	bool read_only;
	bool new_privileges;
	struct sandbox_list cap_add;
	struct sandbox_list devices;
	const char *gpus;
	const char *runtime;
	const char *pull;
	struct sandbox_list labels;
	bool init;
	struct sandbox_list extra_args;
};

#define AT(member) .offset = offsetof(struct docker_run, member)

static const struct sandbox_param params[] = {
	{.key = "image", .type = SANDBOX_STRING,
	 .flags = SANDBOX_PARAM_REQUIRED | SANDBOX_PARAM_WORD,
	 .help = "The image to make containers of", AT(image), .metavar = "IMAGE"},
	{.key = "network", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD, .dflt = "none",
	 .help = "none, bridge, host, or a network's name", AT(network), .metavar = "NETWORK"},
	{.key = "mounts", .type = SANDBOX_MOUNT_LIST,
	 .help = "Host paths to show in the container, read-only unless :rw", AT(mounts)},
	{.key = "user", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .help = "Whom commands run as; else the image's own user", AT(user),
	 .metavar = "USER[:GROUP]"},
	{.key = "memory", .type = SANDBOX_SIZE, .dflt = "512m",
	 .help = "Limit of memory, swap included; 0 for none", AT(memory)},
	{.key = "cpus", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .help = "Limit of processors, such as 1.5", AT(cpus), .metavar = "NUMBER"},
	{.key = "pids_limit", .type = SANDBOX_UINT, .dflt = "256",
	 .help = "Limit of processes and threads; 0 for none", AT(pids_limit)},
	{.key = "tmpfs", .type = SANDBOX_LIST, .dflt = "/tmp",
	 .help = "Writable directories in memory, or none", AT(tmpfs),
	 .metavar = "PATH[:OPTION,...]"},
	{.key = "read_only", .type = SANDBOX_BOOL, .dflt = "yes",
	 .help = "Whether the container's root is read-only", AT(read_only)},
	{.key = "new_privileges", .type = SANDBOX_BOOL, .dflt = "no",
	 .help = "Whether setuid programs and the like may gain privileges", AT(new_privileges)},
	{.key = "cap_add", .type = SANDBOX_LIST,
	 .help = "Capabilities to keep; all others are dropped", AT(cap_add),
	 .metavar = "CAPABILITY"},
	{.key = "devices", .type = SANDBOX_LIST,
	 .help = "Devices of the host to show in the container", AT(devices),
	 .metavar = "HOST[:BOX[:rwm]]"},
	{.key = "gpus", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .help = "GPUs to show in the container: all, a number, device=ID", AT(gpus)},
	{.key = "runtime", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD,
	 .help = "The engine's runtime to use, such as runsc", AT(runtime), .metavar = "NAME"},
	{.key = "pull", .type = SANDBOX_STRING, .flags = SANDBOX_PARAM_WORD, .dflt = "never",
	 .help = "When to get the image from its registry: never, missing, always", AT(pull),
	 .metavar = "WHEN"},
	{.key = "labels", .type = SANDBOX_LIST,
	 .help = "Labels for the container", AT(labels), .metavar = "KEY=VALUE"},
	{.key = "init", .type = SANDBOX_BOOL, .dflt = "yes",
	 .help = "Whether a small init runs as process 1 and reaps orphans", AT(init)},
	{.key = "extra_args", .type = SANDBOX_LIST,
	 .help = "More options for the run command", AT(extra_args), .metavar = "--OPTION[=VALUE]"},
	DOCKER_CLI_PARAMS(docker_run),
};

/* ---- open ---- */

/* Options that would put the call's output, its end or its removal out of the host's sight. */
static const char *const refused_options[] = {
	"attach", "cidfile", "detach", "help", "interactive", "name", "restart", "rm", "sig-proxy",
	"tty", NULL,
};

static bool is_decimal(const char *text)
{
	size_t whole = strspn(text, "0123456789");
	size_t fraction = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
	size_t length = whole + (text[whole] == '.' ? 1 + fraction : 0);

	return whole && !text[length] && strpbrk(text, "123456789");
}

static int check_limits(const struct docker_run *run, char error[SANDBOX_ERROR_SIZE])
{
	if (run->memory && run->memory < MEMORY_LEAST)
		return backend_refuse(error,
				      "memory: %" PRIu64 " bytes are too few for a "
				      "container; write 6m or more, or 0 for no limit",
				      run->memory);
	if (run->memory > INT64_MAX || run->pids_limit > INT32_MAX)
		return backend_refuse(error, "%s: the number is too large; write 0 for no limit",
				      run->memory > INT64_MAX ? "memory" : "pids_limit");
	if (run->cpus && !is_decimal(run->cpus))
		return backend_refuse(error,
				      "cpus: \"%s\" is no number of processors; write one "
				      "such as 1.5",
				      run->cpus);
	if (strcmp(run->pull, "never") && strcmp(run->pull, "missing") &&
	    strcmp(run->pull, "always"))
		return backend_refuse(error, "pull: \"%s\" is none of never, missing and always",
				      run->pull);
	return 0;
}

static int check_mounts(const struct docker_run *run, char error[SANDBOX_ERROR_SIZE])
{
	for (size_t i = 0; i < run->mounts.n; i++) {
		const struct sandbox_mount *mount = &run->mounts.v[i];

		if (!docker_text_is_utf8(mount->host_path) || !docker_text_is_utf8(mount->box_path))
			return backend_refuse(error,
					      "mounts: \"%s\" is not UTF-8, and docker would "
					      "damage it; rename it",
					      mount->host_path);
		if (!strcmp(mount->box_path, "/"))
			return backend_refuse(error,
					      "mounts: nothing can be mounted on the "
					      "container's /; write another path behind \"%s:\"",
					      mount->host_path);
	}
	for (size_t i = 0; i < run->tmpfs.n; i++) {
		const char *path = run->tmpfs.v[i];
		const char *options = strchr(path, ':');

		if (!strcmp(path, "none") && run->tmpfs.n == 1)
			break;
		if (path[0] != '/' || !docker_text_is_utf8(path) ||
		    (options && (!options[1] || options[1 + strspn(options + 1,
			"abcdefghijklmnopqrstuvwxyz0123456789=,")])))
			return backend_refuse(error,
					      "tmpfs: \"%s\" is neither PATH nor PATH:OPTION,...; "
					      "write one such as /tmp:size=64m,exec, or none",
					      path);
	}
	return 0;
}

static int check_lists(const struct docker_run *run, char error[SANDBOX_ERROR_SIZE])
{
	for (size_t i = 0; i < run->cap_add.n; i++)
		if (run->cap_add.v[i][strspn(run->cap_add.v[i],
				"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")])
			return backend_refuse(error,
					      "cap_add: \"%s\" is no name of a capability; "
					      "write one such as NET_RAW",
					      run->cap_add.v[i]);
	for (size_t i = 0; i < run->devices.n; i++)
		if (run->devices.v[i][0] != '/' && !strchr(run->devices.v[i], '='))
			return backend_refuse(error,
					      "devices: \"%s\" is neither a path nor "
					      "VENDOR/CLASS=NAME; write one such as /dev/fuse",
					      run->devices.v[i]);
	for (size_t i = 0; i < run->labels.n; i++) {
		const char *label = run->labels.v[i];

		if (label[0] == '=' || !strchr(label, '='))
			return backend_refuse(error, "labels: \"%s\" is no KEY=VALUE", label);
		if (!strncmp(label, "hookbox.", 8))
			return backend_refuse(error,
					      "labels: \"%s\": keys that begin with hookbox. "
					      "are hookbox's own; use another",
					      label);
	}
	return 0;
}

static int docker_run_open(void *instance, const struct sandbox_host *host,
			   char error[SANDBOX_ERROR_SIZE])
{
	struct docker_run *run = instance;
	int code = docker_check_cli(&run->cli, error);

	run->cli.table = host;
	if (!code)
		code = check_limits(run, error);
	if (!code)
		code = check_mounts(run, error);
	if (!code)
		code = check_lists(run, error);
	return code ? code : docker_check_extra_args(&run->extra_args, refused_options, error);
}

/* ---- plan ---- */

/* What the engine refuses, or takes no notice of, in a container that shares another's network. */
static const char *const own_network_options[] = {
	"add-host", "dns", "dns-opt", "dns-option", "dns-search", "domainname", "expose",
	"hostname", "ip", "ip6", "link", "link-local-ip", "mac-address", "net", "net-alias",
	"network", "network-alias", "publish", "publish-all", NULL,
};

/* Can containers with these settings share one's network, and no more than that? */
static int check_shared_network(const struct docker_run *run, char error[SANDBOX_ERROR_SIZE])
{
	static const char *const read_only[] = {"read-only", NULL};
	bool writable = !run->read_only;

	if (!strcmp(run->network, "host") || strchr(run->network, ':'))
		return backend_refuse(error,
				      "network = %s is no network of the containers' own, which "
				      "one of them could keep for the others; set another",
				      run->network);
	for (size_t i = 0; i < run->extra_args.n; i++) {
		if (backend_option_is(run->extra_args.v[i], own_network_options))
			return backend_refuse(error,
					      "extra_args: \"%s\" is for a container with a "
					      "network of its own; remove it",
					      run->extra_args.v[i]);
		writable |= backend_option_is(run->extra_args.v[i], read_only);
	}
	/* The engine shows one /etc/hosts and /etc/resolv.conf in all of them. */
	if (writable)
		return backend_refuse(error,
				      "a root that is not read-only would let a call write what "
				      "later ones read in /etc/hosts, which belongs to the "
				      "network; set read_only = yes, and no --read-only in "
				      "extra_args");
	return 0;
}

static void add_network(struct backend_args *args, const struct docker_run *run,
			const struct sandbox_plan_request *request)
{
	if (request->network_of)
		backend_arg(args, "--network=container:" NAME_PREFIX "%s", request->network_of);
	else
		backend_arg(args, "--network=%s", run->network);
}

static void add_security(struct backend_args *args, const struct docker_run *run)
{
	backend_arg(args, "--cap-drop=ALL");
	backend_arg_list(args, "--cap-add", &run->cap_add);
	if (!run->new_privileges)
		backend_arg(args, "--security-opt=no-new-privileges");
	if (run->user)
		backend_arg(args, "--user=%s", run->user);
}

static void add_resources(struct backend_args *args, const struct docker_run *run)
{
	if (run->memory) {
		backend_arg(args, "--memory=%" PRIu64, run->memory);
		backend_arg(args, "--memory-swap=%" PRIu64, run->memory);
	}
	if (run->pids_limit)
		backend_arg(args, "--pids-limit=%" PRIu64, run->pids_limit);
	if (run->cpus)
		backend_arg(args, "--cpus=%s", run->cpus);
	backend_arg_list(args, "--device", &run->devices);
	if (run->gpus)
		backend_arg(args, "--gpus=%s", run->gpus);
	if (run->runtime)
		backend_arg(args, "--runtime=%s", run->runtime);
}

/* A field of the CSV that --mount takes: quoted, with quotes doubled. */
static char *csv_field(const char *name, const char *value)
{
	char *field = malloc(strlen(name) + 2 * strlen(value) + 4);
	char *end = field;

	if (!field)
		return NULL;
	*end++ = '"';
	end = stpcpy(stpcpy(end, name), "=");
	for (; *value; value++) {
		if (*value == '"')
			*end++ = '"';
		*end++ = *value;
	}
	strcpy(end, "\"");
	return field;
}

static void add_mount(struct backend_args *args, const struct sandbox_mount *mount)
{
	char *source = csv_field("source", mount->host_path);
	char *target = csv_field("target", mount->box_path);

	if (source && target)
		backend_arg(args, "--mount=type=bind,%s,%s%s", source, target,
			    mount->read_only ? ",readonly" : "");
	else
		args->failed = true;
	free(source);
	free(target);
}

static bool has_mount_at(const struct sandbox_mount_list *mounts, const char *path, size_t length)
{
	for (size_t i = 0; i < mounts->n; i++)
		if (strlen(mounts->v[i].box_path) == length &&
		    !strncmp(mounts->v[i].box_path, path, length))
			return true;
	return false;
}

/* A mount at the place of a tmpfs is what was asked for more exactly. */
static void add_files(struct backend_args *args, const struct docker_run *run,
		      const struct sandbox_mount_list *more)
{
	if (run->read_only)
		backend_arg(args, "--read-only");
	for (size_t i = 0; i < run->tmpfs.n; i++) {
		const char *tmpfs = run->tmpfs.v[i];
		size_t length = strcspn(tmpfs, ":");

		if (tmpfs[0] == '/' && !has_mount_at(&run->mounts, tmpfs, length) &&
		    !has_mount_at(more, tmpfs, length))
			backend_arg(args, "--tmpfs=%s", tmpfs);
	}
	for (size_t i = 0; i < run->mounts.n; i++)
		add_mount(args, &run->mounts.v[i]);
	for (size_t i = 0; i < more->n; i++)
		add_mount(args, &more->v[i]);
}

static void add_identity(struct backend_args *args, const struct docker_run *run,
			 const struct sandbox_plan_request *request)
{
	backend_arg(args, "--name=" NAME_PREFIX "%s", request->call_id);
	for (const char *const *label = request->labels; *label; label++)
		backend_arg(args, "--label=%s", *label);
	backend_arg_list(args, "--label", &run->labels);
}

static int docker_run_plan(const void *instance, const struct sandbox_plan_request *request,
			   const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	const struct docker_run *run = instance;
	struct backend_args args = docker_args_begin(&run->cli, sink);
	int code = request->network_of ? check_shared_network(run, error) : 0;

	if (code)
		return code;
	backend_arg(&args, "run");
	backend_arg(&args, "--rm");
	backend_arg(&args, "--interactive");
	if (request->tty)
		backend_arg(&args, "--tty");
	add_identity(&args, run, request);
	backend_arg(&args, "--log-driver=none");
	/* podman's rm --force asks first, and waits that long. */
	backend_arg(&args, "--stop-timeout=0");
	backend_arg(&args, "--pull=%s", run->pull);
	if (run->init)
		backend_arg(&args, "--init");
	add_network(&args, run, request);
	add_security(&args, run);
	add_resources(&args, run);
	add_files(&args, run, &request->mounts);
	code = docker_args_request(&args, request, error);
	if (code)
		return code;
	/* The image's entrypoint would be run with the command as its arguments. */
	backend_arg(&args, "--entrypoint=");
	for (size_t i = 0; i < run->extra_args.n; i++)
		backend_arg(&args, "%s", run->extra_args.v[i]);
	backend_arg(&args, "--");
	backend_arg(&args, "%s", run->image);
	for (const char *const *arg = request->argv; *arg; arg++)
		backend_arg(&args, "%s", *arg);
	return backend_args_end(&args, error);
}

/* ---- classify, plan_end ---- */

static struct docker_place place_of(const struct docker_run *run)
{
	return (struct docker_place){.kind = "image", .name = run->image, .own_125 = true};
}

static void docker_run_classify(const void *instance, const struct sandbox_process_end *end,
				struct sandbox_verdict *verdict)
{
	const struct docker_place place = place_of(instance);

	docker_classify(&place, end, verdict);
}

static int docker_run_plan_end(const void *instance, const struct sandbox_end_request *request,
			       const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	const struct docker_run *run = instance;
	char name[sizeof(NAME_PREFIX) + 64];
	struct backend_args args;

	snprintf(name, sizeof(name), NAME_PREFIX "%s", request->call_id);
	if (request->step == SANDBOX_END_KILL)
		return docker_args_remove(&run->cli, name, sink, error);
	args = docker_args_begin(&run->cli, sink);
	backend_arg(&args, "ps");
	backend_arg(&args, "--all");
	backend_arg(&args, "--quiet");
	backend_arg(&args, "--no-trunc");
	backend_arg(&args, "--filter=name=^/?%s$", name);
	return backend_args_end(&args, error);
}

/* ---- sandbox.box/1 ---- */

static int docker_run_list(void *instance, const struct sandbox_box_request *request,
			   const struct sandbox_box_list_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	const struct docker_run *run = instance;

	return docker_list(&run->cli, request->timeout_ms, sink, error);
}

static int docker_run_stop(void *instance, const struct sandbox_box_request *request,
			   const char *box_id, char error[SANDBOX_ERROR_SIZE])
{
	const struct docker_run *run = instance;

	return docker_remove(&run->cli, box_id, request->timeout_ms, error);
}

/* ---- sandbox.probe/1 ---- */

static bool probe_image(const struct docker_probe *probe, const struct docker_run *run)
{
	struct docker_failure failure;
	struct backend_command command;
	struct backend_args args;
	bool there;
	int status;

	backend_command_init(&command);
	args = docker_args_begin(&run->cli, &command.sink);
	backend_arg(&args, "image");
	backend_arg(&args, "inspect");
	backend_arg(&args, "--format={{.Id}}");
	backend_arg(&args, "--");
	backend_arg(&args, "%s", run->image);
	there = docker_probe_run(probe, &command, &failure, &status);
	if (there)
		backend_report(probe->sink, SANDBOX_PROBE_OK, NULL, "the image %s is there",
			       run->image);
	else if (strcmp(run->pull, "never"))
		backend_report(probe->sink, SANDBOX_PROBE_WARNING,
			       "the first call has to wait until it is pulled; pull it now to "
			       "save that",
			       "the image %s is not there yet", run->image);
	else
		docker_probe_report_failure(probe, &failure, false);
	backend_command_free(&command);
	return there;
}

/* Runs a shell that does nothing, as a call would be run: mounts, limits, network and all. */
static void probe_call(const struct docker_probe *probe, const struct docker_run *run)
{
	static const char *const argv[] = {"sh", "-c", ":", NULL};
	struct docker_failure failure;
	struct backend_command command;
	char error[SANDBOX_ERROR_SIZE] = "";
	char call_id[48], name[64];
	struct timespec now;
	int status;
	struct sandbox_plan_request request = backend_probe_request(argv, NULL);

	request.call_id = call_id;
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(call_id, sizeof(call_id), "probe-%x-%" PRIx64, (unsigned int)getpid(),
		 (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
	snprintf(name, sizeof(name), NAME_PREFIX "%s", call_id);
	backend_command_init(&command);
	command.failed = docker_run_plan(run, &request, &command.sink, error) != 0;
	if (docker_probe_run(probe, &command, &failure, &status)) {
		backend_report(probe->sink, SANDBOX_PROBE_OK, NULL,
			       "a container with these settings starts, and has sh");
	} else {
		/* Without sh, calls still run where the sandbox says shell = none. */
		docker_probe_report_failure(probe, &failure, failure.error_number == ENOENT);
		docker_remove(&run->cli, name, docker_probe_left_ms(probe) + 5000, error);
	}
	backend_command_free(&command);
}

static void docker_run_probe(void *instance, int64_t timeout_ms,
			     const struct sandbox_probe_sink *sink)
{
	const struct docker_run *run = instance;
	const struct docker_place place = place_of(run);
	const struct docker_probe probe = docker_probe_begin(&run->cli, &place, timeout_ms, sink);

	if (docker_probe_engine(&probe) && probe_image(&probe, run))
		probe_call(&probe, run);
}

static const void *docker_run_extension(const char *id)
{
	static const struct sandbox_box_v1 box = {
		.size = sizeof(box),
		.stop = docker_run_stop,
		.list = docker_run_list,
	};
	static const struct sandbox_probe_v1 probe = {
		.size = sizeof(probe),
		.probe = docker_run_probe,
	};

	return !strcmp(id, SANDBOX_BOX_EXTENSION) ? (const void *)&box :
	       !strcmp(id, SANDBOX_PROBE_EXTENSION) ? &probe : NULL;
}

SANDBOX_PLUGIN_EXPORT const struct sandbox_plugin_v1 sandbox_plugin_v1 = {
	.magic = SANDBOX_PLUGIN_MAGIC,
	.struct_size = sizeof(struct sandbox_plugin_v1),
	.name = "docker_run",
	.version = PACKAGE_VERSION,
	.summary = "Every call in a fresh container of a Docker image",
	.flags = SANDBOX_FRESH | SANDBOX_MOUNTS | SANDBOX_SIGNALS_AS_128N | SANDBOX_SHELL |
		 SANDBOX_SHARES_NETWORK,
	.params = params,
	.n_params = N_ELEMENTS(params),
	.param_size = sizeof(struct sandbox_param),
	.instance_size = sizeof(struct docker_run),
	.open = docker_run_open,
	.plan = docker_run_plan,
	.classify = docker_run_classify,
	.plan_end = docker_run_plan_end,
	.get_extension = docker_run_extension,
};
