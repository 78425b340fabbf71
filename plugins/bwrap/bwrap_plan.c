/* SPDX-License-Identifier: MIT */
/*
 * The way to a box: [sh: limits, seccomp] [setpriv: no longer root] bwrap [sh: limit of processes].
 *
 * Everything is made a process of one group, which the host kills as a whole: bwrap's monitor, the
 * box's process 1 and, until it goes elsewhere, the command. Process 1 never leaves that group, and
 * the kernel ends a pid namespace with its process 1: so nothing outlives the group, whenever it is
 * killed. This is why bwrap's --new-session is not used: it takes process 1 out of the group a
 * moment before --die-with-parent ties it to the monitor, and a kill in between would leave the box
 * running. The command is kept from the caller's terminal by taking away /dev/tty instead.
 *
 * The environment of all of them is made of constants: the box's process 1 shows it to the command
 * in /proc/1/environ.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bwrap.h"

#define BOX_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

extern char **environ;

/* $1: KiB of address space or -; $2: seccomp filter or -; the rest: what to become. */
static const char outer_script[] =
	"[ \"$1\" = - ] || ulimit -v \"$1\" || exit 125\n"
	"[ \"$2\" = - ] || exec 9<\"$2\"\n"
	"shift 2\n"
	"exec \"$@\"\n";

/*
 * $1: number of processes; the rest: what to become. It runs in the box, because a limit that is
 * set there counts the box's processes only. bash has -u for it, dash and busybox have -p.
 */
static const char inner_script[] =
	"{ ulimit -u \"$1\" || ulimit -p \"$1\"; } 2>/dev/null || {\n"
	"echo \"hookbox: the limit of processes cannot be set\" >&2; exit 125; }\n"
	"shift\n"
	"exec \"$@\"\n";

/* Where distributions keep what /etc/resolv.conf links to. */
static const char *const resolver_files[] = {
	"/run/systemd/resolve/stub-resolv.conf",
	"/run/systemd/resolve/resolv.conf",
	"/run/resolvconf/resolv.conf",
	"/run/NetworkManager/resolv.conf",
};

/* The parts of the host's / that hold programs and what they need, and nothing of people's. */
static const char *const system_directories[] = {
	"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store",
	"/gnu/store",
};

static void add(const struct sandbox_plan_sink *sink, const char *a, const char *b, const char *c)
{
	sink->arg(sink, a);
	if (b)
		sink->arg(sink, b);
	if (c)
		sink->arg(sink, c);
}

static void add_number(const struct sandbox_plan_sink *sink, const char *option, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	add(sink, option, text, NULL);
}

char *bwrap_find_program(const char *name)
{
	const char *path = getenv("PATH");

	if (strchr(name, '/'))
		return strdup(name);
	for (path = path ? path : BOX_PATH;; path++) {
		size_t n = strcspn(path, ":");
		struct stat st;
		char *found;

		/* An empty entry is the working directory, where anybody may have put a bwrap. */
		if (n && asprintf(&found, "%.*s/%s", (int)n, path, name) < 0)
			return NULL;
		if (n && !stat(found, &st) && S_ISREG(st.st_mode) && !access(found, X_OK))
			return found;
		if (n)
			free(found);
		path += n;
		if (!*path)
			return NULL;
	}
}

/* ---- The environment ---- */

/* Does a variable of that name change what bwrap, setpriv, sh or their loader do? */
static bool name_is_taken(const char *name)
{
	static const char *const prefixes[] = {"LD_", "GLIBC_", "GCONV_", "MALLOC_", "BASH"};
	static const char *const names[] = {
		"PATH=", "ENV=", "IFS=", "LOCPATH=", "NLSPATH=", "SHELLOPTS="};

	for (size_t i = 0; i < N_ELEMENTS(prefixes); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	for (size_t i = 0; i < N_ELEMENTS(names); i++)
		if (!strncmp(name, names[i], strlen(names[i])))
			return true;
	return false;
}

/* The request has variables only for a box without sh: the others come in through the prologue. */
static int set_environment(const struct sandbox_plan_request *request,
			   const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	for (char **entry = environ; entry && *entry; entry++) {
		size_t n = strcspn(*entry, "=");
		char *name = strndup(*entry, n);

		if (!name) {
			snprintf(error, SANDBOX_ERROR_SIZE, "out of memory");
			return -ENOMEM;
		}
		if (n)
			sink->env(sink, name);
		free(name);
	}
	sink->env(sink, "PATH=" BOX_PATH);
	sink->env(sink, "HOME=/tmp");
	sink->env(sink, "LANG=C.UTF-8");
	for (const char *const *entry = request->env; *entry; entry++) {
		if (name_is_taken(*entry))
			return backend_refuse(
				error,
				"the variable %.*s means something to bwrap itself and cannot "
				"be set for a command without a shell; leave it out, or leave out "
				"shell = none",
				(int)strcspn(*entry, "="), *entry);
		sink->env(sink, *entry);
	}
	return 0;
}

/* ---- What comes before bwrap ---- */

static int check_seccomp(const struct bwrap_run *run, char error[SANDBOX_ERROR_SIZE])
{
	struct stat st;

	if (!run->seccomp)
		return 0;
	if (stat(run->seccomp, &st) || access(run->seccomp, R_OK))
		return backend_refuse(error, "seccomp: the filter %s cannot be read: %s",
				      run->seccomp, strerror(errno));
	/* A struct sock_filter has 8 bytes. */
	if (!S_ISREG(st.st_mode) || !st.st_size || st.st_size % 8)
		return backend_refuse(error,
				      "seccomp: %s holds no compiled filter; make one with "
				      "seccomp_export_bpf(3)",
				      run->seccomp);
	return 0;
}

static void add_outer_script(const struct bwrap_run *run, const struct sandbox_plan_sink *sink)
{
	char memory[24] = "-";

	if (!run->memory && !run->seccomp)
		return;
	if (run->memory)
		snprintf(memory, sizeof(memory), "%" PRIu64, run->memory / 1024);
	add(sink, "sh", "-c", outer_script);
	add(sink, "hookbox", memory, run->seccomp ? run->seccomp : "-");
}

static uint64_t id_for_root(bool set, uint64_t id)
{
	return set && id ? id : BWRAP_NOBODY;
}

/* In a user namespace root is still root to the host's files: it becomes somebody else first. */
static int add_setpriv(const struct bwrap_run *run, const struct sandbox_plan_sink *sink,
		       char error[SANDBOX_ERROR_SIZE])
{
	char *setpriv;
	char option[40];

	if (!run->is_root)
		return 0;
	setpriv = bwrap_find_program("setpriv");
	if (!setpriv) {
		snprintf(error, SANDBOX_ERROR_SIZE,
			 "root's sandboxes need setpriv, and it is not in PATH; "
			 "install util-linux, or run hookbox as another user");
		return -ENOENT;
	}
	sink->arg(sink, setpriv);
	free(setpriv);
	snprintf(option, sizeof(option), "--reuid=%" PRIu64, id_for_root(run->uid_set, run->uid));
	sink->arg(sink, option);
	snprintf(option, sizeof(option), "--regid=%" PRIu64, id_for_root(run->gid_set, run->gid));
	add(sink, option, "--clear-groups", "--no-new-privs");
	sink->arg(sink, "--");
	return 0;
}

static int add_bwrap(const struct bwrap_run *run, const struct sandbox_plan_sink *sink,
		     char error[SANDBOX_ERROR_SIZE])
{
	char *bwrap = bwrap_find_program(run->bwrap_path);
	bool usable = bwrap && !access(bwrap, X_OK);

	if (usable)
		sink->arg(sink, bwrap);
	else
		snprintf(error, SANDBOX_ERROR_SIZE,
			 "there is no program %s%s; install bubblewrap, or set "
			 "bwrap_path",
			 run->bwrap_path, strchr(run->bwrap_path, '/') ? "" : " in PATH");
	free(bwrap);
	return usable ? 0 : -ENOENT;
}

/* ---- bwrap's arguments ---- */

static void add_namespaces(const struct bwrap_run *run, const struct sandbox_plan_sink *sink)
{
	/* Not --unshare-all: it goes on without a user namespace where there can be none. */
	add(sink, "--unshare-user", "--unshare-pid", "--unshare-ipc");
	add(sink, "--unshare-uts", "--unshare-cgroup-try", NULL);
	if (strcmp(run->network, "host"))
		sink->arg(sink, "--unshare-net");
	sink->arg(sink, "--die-with-parent");
	add(sink, "--cap-drop", "ALL", NULL);
	add(sink, "--hostname", run->hostname, NULL);
	if (run->uid_set)
		add_number(sink, "--uid", run->uid);
	if (run->gid_set)
		add_number(sink, "--gid", run->gid);
	if (run->seccomp)
		add(sink, "--seccomp", "9", NULL);
}

static bool shows_host(const struct bwrap_run *run)
{
	return !strcmp(run->rootfs, "/");
}

static void add_root(const struct bwrap_run *run, const struct sandbox_plan_sink *sink)
{
	if (!shows_host(run)) {
		add(sink, "--ro-bind", run->rootfs, "/");
		return;
	}
	add(sink, "--ro-bind", "/usr", "/usr");
	for (size_t i = 0; i < N_ELEMENTS(system_directories); i++)
		add(sink, "--ro-bind-try", system_directories[i], system_directories[i]);
	for (size_t i = 0; !strcmp(run->network, "host") && i < N_ELEMENTS(resolver_files); i++)
		add(sink, "--ro-bind-try", resolver_files[i], resolver_files[i]);
}

static void add_tmpfs(const struct bwrap_run *run, const struct sandbox_plan_sink *sink)
{
	for (size_t i = 0; i < run->tmpfs.n && strcmp(run->tmpfs.v[i], "none"); i++) {
		const char *option = strchr(run->tmpfs.v[i], ':');
		char path[4096];

		snprintf(path, sizeof(path), "%.*s", (int)strcspn(run->tmpfs.v[i], ":"),
			 run->tmpfs.v[i]);
		if (option)
			add(sink, "--size", option + strlen(":size="), NULL);
		add(sink, "--tmpfs", path, NULL);
	}
}

static void add_mounts(const struct sandbox_mount_list *mounts,
		       const struct sandbox_plan_sink *sink)
{
	for (size_t i = 0; i < mounts->n; i++)
		add(sink, mounts->v[i].read_only ? "--ro-bind" : "--bind", mounts->v[i].host_path,
		    mounts->v[i].box_path);
}

static void add_files(const struct bwrap_run *run, const struct sandbox_plan_request *request,
		      const struct sandbox_plan_sink *sink)
{
	add_root(run, sink);
	add(sink, "--dev", "/dev", NULL);
	if (run->new_session && !request->tty)
		add(sink, "--ro-bind", "/dev/null", "/dev/tty");
	add(sink, "--proc", "/proc", NULL);
	add_tmpfs(run, sink);
	add_mounts(&run->binds, sink);
	add_mounts(&request->mounts, sink);
	for (size_t i = 0; i < run->extra_args.n; i++)
		sink->arg(sink, run->extra_args.v[i]);
	if (shows_host(run))
		add(sink, "--remount-ro", "/", NULL);
	add(sink, "--chdir", request->cwd ? request->cwd : "/", "--");
}

/*
 * The host's own scripts wait for the command and for orphans, and so does its agent: they can be
 * the box's process 1, and bwrap's monitor then outlives the whole box and reaps it. With an init
 * of its own, bwrap leaves that behind for the machine's process 1 to reap, whenever it does.
 */
static bool can_be_init(const struct sandbox_plan_request *request)
{
	const char *const *argv = request->argv;

	if (request->purpose == SANDBOX_PURPOSE_POOL)
		return true;
	return request->purpose == SANDBOX_PURPOSE_CALL && !strcmp(argv[0], "sh") && argv[1] &&
	       !strcmp(argv[1], "-c") && argv[2] && argv[3] && !strcmp(argv[3], "hookbox");
}

int bwrap_plan(const void *instance, const struct sandbox_plan_request *request,
	       const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	const struct bwrap_run *run = instance;
	int code = set_environment(request, sink, error);

	if (!code)
		code = check_seccomp(run, error);
	if (code)
		return code;
	add_outer_script(run, sink);
	code = add_setpriv(run, sink, error);
	if (!code)
		code = add_bwrap(run, sink, error);
	if (code)
		return code;
	add_namespaces(run, sink);
	if (can_be_init(request))
		sink->arg(sink, "--as-pid-1");
	add_files(run, request, sink);
	if (run->pids_limit) {
		add(sink, "sh", "-c", inner_script);
		add_number(sink, "hookbox", run->pids_limit);
	}
	for (const char *const *arg = request->argv; *arg; arg++)
		sink->arg(sink, *arg);
	return 0;
}
