/* SPDX-License-Identifier: MIT */
/* bwrap_run: its parameters, and what their types cannot check. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bwrap.h"

#define AT(member) .offset = offsetof(struct bwrap_run, member)
#define SET_AT(member) .set_offset = offsetof(struct bwrap_run, member)

static const struct sandbox_param params[] = {
	{.key = "rootfs",
	 .type = SANDBOX_PATH,
	 .dflt = "/",
	 .help = "Directory of an unpacked image to show as /, read-only; / for the host's "
		 "programs",
	 AT(rootfs)},
	{.key = "binds",
	 .type = SANDBOX_MOUNT_LIST,
	 .help = "Host paths to show in the sandbox, read-only unless :rw",
	 AT(binds)},
	{.key = "tmpfs",
	 .type = SANDBOX_LIST,
	 .dflt = "/tmp",
	 .help = "Writable directories in memory, or none",
	 AT(tmpfs),
	 .metavar = "PATH[:size=BYTES]"},
	{.key = "network",
	 .type = SANDBOX_STRING,
	 .flags = SANDBOX_PARAM_WORD,
	 .dflt = "none",
	 .help = "none, or host for the host's own network",
	 AT(network),
	 .metavar = "none|host"},
	{.key = "hostname",
	 .type = SANDBOX_STRING,
	 .flags = SANDBOX_PARAM_WORD,
	 .dflt = "sandbox",
	 .help = "Name of the host that commands see",
	 AT(hostname),
	 .metavar = "NAME"},
	{.key = "uid",
	 .type = SANDBOX_UINT,
	 .help = "User id that commands see; started by root, also the one that they have",
	 AT(uid),
	 SET_AT(uid_set)},
	{.key = "gid",
	 .type = SANDBOX_UINT,
	 .help = "Group id that commands see; started by root, also the one that they have",
	 AT(gid),
	 SET_AT(gid_set)},
	{.key = "new_session",
	 .type = SANDBOX_BOOL,
	 .dflt = "yes",
	 .help = "Whether commands are kept from the terminal that hookbox runs on",
	 AT(new_session)},
	{.key = "seccomp",
	 .type = SANDBOX_PATH,
	 .help = "File with a compiled seccomp filter (BPF) for commands",
	 AT(seccomp)},
	{.key = "memory",
	 .type = SANDBOX_SIZE,
	 .dflt = "0",
	 .help = "Limit of address space of each process; 0 for none",
	 AT(memory)},
	{.key = "pids_limit",
	 .type = SANDBOX_UINT,
	 .dflt = "0",
	 .help = "Limit of processes and threads; 0 for none",
	 AT(pids_limit)},
	{.key = "extra_args",
	 .type = SANDBOX_LIST,
	 .help = "More options for bwrap, one word each",
	 AT(extra_args),
	 .metavar = "WORD"},
	{.key = "bwrap_path",
	 .type = SANDBOX_PROGRAM,
	 .dflt = "bwrap",
	 .help = "The bwrap program",
	 AT(bwrap_path)},
};

/* ---- open ---- */

static bool is_hostname(const char *name)
{
	return strlen(name) <= 64 && name[0] &&
	       !name[strspn(name,
			    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")];
}

static int check_words(const struct bwrap_run *run, char error[SANDBOX_ERROR_SIZE])
{
	if (strcmp(run->network, "none") && strcmp(run->network, "host"))
		return backend_refuse(error, "network: \"%s\" is neither none nor host",
				      run->network);
	if (!is_hostname(run->hostname))
		return backend_refuse(
			error,
			"hostname: \"%s\" is no host name; write up to 64 letters, digits, "
			"dots and dashes",
			run->hostname);
	return 0;
}

static int check_numbers(const struct bwrap_run *run, char error[SANDBOX_ERROR_SIZE])
{
	/* The largest value means "leave it as it is" to the kernel. */
	if (run->uid >= UINT32_MAX || run->gid >= UINT32_MAX)
		return backend_refuse(error, "%s: the number is too large for an id",
				      run->uid >= UINT32_MAX ? "uid" : "gid");
	if (run->memory && run->memory < 16u * 1024 * 1024)
		return backend_refuse(error,
				      "memory: %" PRIu64
				      " bytes are too few to start anything; write "
				      "16m or more, or 0 for no limit",
				      run->memory);
	if (run->memory > INT64_MAX || run->pids_limit > INT32_MAX)
		return backend_refuse(error, "%s: the number is too large; write 0 for no limit",
				      run->memory > INT64_MAX ? "memory" : "pids_limit");
	return 0;
}

/* A place in the box: absolute, and it leads where it says. */
static bool is_box_path(const char *path, size_t n)
{
	if (n < 2 || path[0] != '/')
		return false;
	for (const char *at = path; at < path + n; at++)
		if (at[0] == '/' && at[1] == '.' && at[2] == '.' &&
		    (at + 3 == path + n || at[3] == '/'))
			return false;
	return true;
}

static int check_places(const struct bwrap_run *run, char error[SANDBOX_ERROR_SIZE])
{
	for (size_t i = 0; i < run->binds.n; i++) {
		const char *path = run->binds.v[i].box_path;

		if (!is_box_path(path, strlen(path)))
			return backend_refuse(
				error,
				"binds: nothing can be mounted on the sandbox's \"%s\"; "
				"write a path below / without .. behind \"%s:\"",
				path, run->binds.v[i].host_path);
	}
	for (size_t i = 0; i < run->tmpfs.n; i++) {
		const char *path = run->tmpfs.v[i];
		size_t n = strcspn(path, ":");
		const char *size = path[n] && !strncmp(path + n, ":size=", 6) ? path + n + 6 : NULL;

		if (!strcmp(path, "none") && run->tmpfs.n == 1)
			break;
		if (!is_box_path(path, n) ||
		    (path[n] && (!size || !*size || *size == '0' || strlen(size) > 18 ||
				 size[strspn(size, "0123456789")])))
			return backend_refuse(
				error,
				"tmpfs: \"%s\" is neither PATH nor PATH:size=BYTES; write "
				"one such as /tmp:size=67108864, or none",
				path);
	}
	return 0;
}

/* Options that add something and break nothing, and how many words follow each. */
static const struct {
	const char *name;
	size_t n_words;
} extra_options[] = {
	{"--bind", 2},		 {"--bind-try", 2},
	{"--dev-bind", 2},	 {"--dev-bind-try", 2},
	{"--ro-bind", 2},	 {"--ro-bind-try", 2},
	{"--remount-ro", 1},	 {"--tmpfs", 1},
	{"--mqueue", 1},	 {"--dir", 1},
	{"--symlink", 2},	 {"--perms", 1},
	{"--size", 1},		 {"--chmod", 2},
	{"--setenv", 2},	 {"--unsetenv", 1},
	{"--exec-label", 1},	 {"--file-label", 1},
	{"--disable-userns", 0}, {"--assert-userns-disabled", 0},
};

static int check_extra_args(const struct bwrap_run *run, char error[SANDBOX_ERROR_SIZE])
{
	const struct sandbox_list *args = &run->extra_args;

	for (size_t i = 0; i < args->n; i++) {
		size_t option = 0;

		while (option < N_ELEMENTS(extra_options) &&
		       strcmp(args->v[i], extra_options[option].name))
			option++;
		if (option == N_ELEMENTS(extra_options))
			return backend_refuse(
				error,
				"extra_args: \"%s\" is no option that can be added, because "
				"hookbox sets it itself or could not keep its word with it; see "
				"hookbox-plugin-bwrap_run(7) for those that can",
				args->v[i]);
		if (args->n - i - 1 < extra_options[option].n_words)
			return backend_refuse(
				error,
				"extra_args: %s needs %zu more; write each word on a line of "
				"its own",
				args->v[i], extra_options[option].n_words);
		i += extra_options[option].n_words;
	}
	return 0;
}

int bwrap_open(void *instance, const struct sandbox_host *host, char error[SANDBOX_ERROR_SIZE])
{
	struct bwrap_run *run = instance;
	int code = check_words(run, error);

	run->host = host;
	run->is_root = geteuid() == 0;
	if (!code)
		code = check_numbers(run, error);
	if (!code)
		code = check_places(run, error);
	return code ? code : check_extra_args(run, error);
}

static const void *bwrap_extension(const char *id)
{
	static const struct sandbox_probe_v1 probe = {
		.size = sizeof(probe),
		.probe = bwrap_probe,
	};

	return strcmp(id, SANDBOX_PROBE_EXTENSION) ? NULL : &probe;
}

SANDBOX_PLUGIN_EXPORT const struct sandbox_plugin_v1 sandbox_plugin_v1 = {
	.magic = SANDBOX_PLUGIN_MAGIC,
	.struct_size = sizeof(struct sandbox_plugin_v1),
	.name = "bwrap_run",
	.version = PACKAGE_VERSION,
	.summary = "Every call in a fresh bubblewrap sandbox, without a daemon or root",
	.flags = SANDBOX_FRESH | SANDBOX_MOUNTS | SANDBOX_SIGNALS_AS_128N | SANDBOX_SHELL |
		 SANDBOX_ENDS_WITH_PROCESS,
	.params = params,
	.n_params = N_ELEMENTS(params),
	.param_size = sizeof(struct sandbox_param),
	.instance_size = sizeof(struct bwrap_run),
	.open = bwrap_open,
	.plan = bwrap_plan,
	.classify = bwrap_classify,
	.get_extension = bwrap_extension,
};
