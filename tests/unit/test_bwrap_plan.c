/* SPDX-License-Identifier: MIT */
/* What bwrap_run plans, refuses, and makes of what bwrap says. */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../plugins/bwrap/bwrap.h"

static const char *const no_words[] = {NULL};
static const char *const true_argv[] = {"true", NULL};
static const char *const script_argv[] = {"sh", "-c", "SCRIPT", "hookbox", NULL};

/* All words of a plan, each in a line. */
struct planned {
	char argv[8192];
	char env[65536];
};

static void take_arg(const struct sandbox_plan_sink *sink, const char *arg)
{
	struct planned *planned = sink->host_data;

	assert_true(strlen(planned->argv) + strlen(arg) + 2 < sizeof(planned->argv));
	strcat(strcat(planned->argv, arg), "\n");
}

static void take_env(const struct sandbox_plan_sink *sink, const char *assignment)
{
	struct planned *planned = sink->host_data;

	assert_true(strlen(planned->env) + strlen(assignment) + 2 < sizeof(planned->env));
	strcat(strcat(planned->env, assignment), "\n");
}

static struct bwrap_run plain_run(void)
{
	return (struct bwrap_run){
		.rootfs = "/rootfs",
		.network = "none",
		.hostname = "sandbox",
		.new_session = true,
		.bwrap_path = "/bin/sh",
	};
}

static struct sandbox_plan_request request_for(const char *const *argv)
{
	return (struct sandbox_plan_request){
		.size = sizeof(struct sandbox_plan_request),
		.purpose = SANDBOX_PURPOSE_CALL,
		.call_id = "1",
		.argv = argv,
		.env = no_words,
		.labels = no_words,
	};
}

static int plan(const struct bwrap_run *run, const struct sandbox_plan_request *request,
		struct planned *planned, char error[SANDBOX_ERROR_SIZE])
{
	const struct sandbox_plan_sink sink = {
		.size = sizeof(sink),
		.host_data = planned,
		.arg = take_arg,
		.env = take_env,
	};

	*planned = (struct planned){0};
	error[0] = '\0';
	return bwrap_plan(run, request, &sink, error);
}

#define NAMESPACES "/bin/sh\n--unshare-user\n--unshare-pid\n--unshare-ipc\n--unshare-uts\n" \
		   "--unshare-cgroup-try\n--unshare-net\n--die-with-parent\n--cap-drop\nALL\n"
#define ROOT "--ro-bind\n/rootfs\n/\n--dev\n/dev\n--ro-bind\n/dev/null\n/dev/tty\n--proc\n/proc\n"

static void the_least(void **state)
{
	const struct sandbox_plan_request request = request_for(true_argv);
	const struct bwrap_run run = plain_run();
	struct planned planned;
	char error[SANDBOX_ERROR_SIZE];

	(void)state;
	assert_int_equal(plan(&run, &request, &planned, error), 0);
	assert_string_equal(planned.argv, NAMESPACES "--hostname\nsandbox\n" ROOT
			    "--chdir\n/\n--\ntrue\n");
}

static void everything(void **state)
{
	static const struct sandbox_mount binds[] = {{"/data", "/in", true},
						     {"/work", "/out", false}};
	static const struct sandbox_mount mounts[] = {{"/hooks", "/hooks", true}};
	static const char *const tmpfs[] = {"/tmp", "/var/tmp:size=4096"};
	static const char *const extra[] = {"--dir", "/x"};
	struct sandbox_plan_request request = request_for(script_argv);
	struct bwrap_run run = plain_run();
	struct planned planned;
	char error[SANDBOX_ERROR_SIZE];

	(void)state;
	run.hostname = "box";
	run.uid_set = run.gid_set = true;
	run.uid = 7;
	run.gid = 8;
	run.memory = 64 * 1024 * 1024;
	run.pids_limit = 9;
	run.binds = (struct sandbox_mount_list){2, binds};
	run.tmpfs = (struct sandbox_list){2, tmpfs};
	run.extra_args = (struct sandbox_list){2, extra};
	request.mounts = (struct sandbox_mount_list){1, mounts};
	request.cwd = "/in";
	assert_int_equal(plan(&run, &request, &planned, error), 0);
	assert_memory_equal(planned.argv, "sh\n-c\n", 6);
	assert_non_null(
		strstr(planned.argv,
		       "exec \"$@\"\n\nhookbox\n65536\n-\n" NAMESPACES
		       "--hostname\nbox\n--uid\n7\n--gid\n8\n--as-pid-1\n" ROOT
		       "--tmpfs\n/tmp\n--size\n4096\n--tmpfs\n/var/tmp\n"
		       "--ro-bind\n/data\n/in\n--bind\n/work\n/out\n--ro-bind\n/hooks\n/hooks\n"
		       "--dir\n/x\n--chdir\n/in\n--\nsh\n-c\n"));
	assert_non_null(strstr(planned.argv, "\nhookbox\n9\nsh\n-c\nSCRIPT\nhookbox\n"));
}

static void the_hosts_system(void **state)
{
	const struct sandbox_plan_request request = request_for(true_argv);
	struct bwrap_run run = plain_run();
	struct planned planned;
	char error[SANDBOX_ERROR_SIZE];

	(void)state;
	run.rootfs = "/";
	run.network = "host";
	run.new_session = false;
	assert_int_equal(plan(&run, &request, &planned, error), 0);
	assert_non_null(
		strstr(planned.argv, "\n--ro-bind\n/usr\n/usr\n--ro-bind-try\n/bin\n/bin\n"));
	assert_non_null(strstr(planned.argv, "\n--remount-ro\n/\n"));
	assert_null(strstr(planned.argv, "--unshare-net"));
	assert_null(strstr(planned.argv, "/dev/tty"));
	/* Nothing of people's, nothing of daemons'. */
	assert_null(strstr(planned.argv, "\n/\n/\n"));
	assert_null(strstr(planned.argv, "\n/home"));
	assert_null(strstr(planned.argv, "\n/root"));
	assert_null(strstr(planned.argv, "\n/var"));
	assert_null(strstr(planned.argv, "\n/run\n"));
}

static void root_becomes_nobody(void **state)
{
	const struct sandbox_plan_request request = request_for(true_argv);
	struct bwrap_run run = plain_run();
	struct planned planned;
	char error[SANDBOX_ERROR_SIZE];
	char *setpriv = bwrap_find_program("setpriv");
	bool there = setpriv != NULL;

	(void)state;
	free(setpriv);
	if (!there)
		skip();
	run.is_root = true;
	assert_int_equal(plan(&run, &request, &planned, error), 0);
	assert_non_null(strstr(planned.argv,
			       "/setpriv\n--reuid=65534\n--regid=65534\n--clear-groups\n"
			       "--no-new-privs\n--\n/bin/sh\n--unshare-user\n"));
	/* To be seen as root is no reason to be it. */
	run.uid_set = run.gid_set = true;
	assert_int_equal(plan(&run, &request, &planned, error), 0);
	assert_non_null(strstr(planned.argv, "--reuid=65534\n--regid=65534\n"));
	assert_non_null(strstr(planned.argv, "\n--uid\n0\n--gid\n0\n"));
	run.uid = run.gid = 1000;
	assert_int_equal(plan(&run, &request, &planned, error), 0);
	assert_non_null(strstr(planned.argv, "--reuid=1000\n--regid=1000\n"));
}

static void the_environment(void **state)
{
	static const char *const taken[] = {"LD_PRELOAD=x", "PATH=/x", "BASH_ENV=x", "ENV=x",
					    "GLIBC_TUNABLES=x", "IFS=x"};
	static const char *env[] = {"A=1", NULL};
	struct sandbox_plan_request request = request_for(true_argv);
	const struct bwrap_run run = plain_run();
	struct planned planned;
	char error[SANDBOX_ERROR_SIZE];

	(void)state;
	request.env = env;
	setenv("HOOKBOX_TEST_SECRET", "s3cret", 1);
	assert_int_equal(plan(&run, &request, &planned, error), 0);
	assert_non_null(strstr(planned.env, "\nHOOKBOX_TEST_SECRET\n"));
	assert_null(strstr(planned.env, "s3cret"));
	assert_non_null(strstr(planned.env, "\nHOME=/tmp\nLANG=C.UTF-8\nA=1\n"));
	assert_null(strstr(planned.argv, "A=1"));
	unsetenv("HOOKBOX_TEST_SECRET");
	for (size_t i = 0; i < N_ELEMENTS(taken); i++) {
		env[0] = taken[i];
		assert_int_equal(plan(&run, &request, &planned, error), -EINVAL);
		assert_non_null(strstr(error, "shell = none"));
	}
}

static void what_is_missing(void **state)
{
	const struct sandbox_plan_request request = request_for(true_argv);
	struct bwrap_run run = plain_run();
	struct planned planned;
	char error[SANDBOX_ERROR_SIZE];

	(void)state;
	run.bwrap_path = "/nonexistent/bwrap";
	assert_int_equal(plan(&run, &request, &planned, error), -ENOENT);
	assert_non_null(strstr(error, "install bubblewrap"));
	run = plain_run();
	run.seccomp = "/nonexistent/filter";
	assert_int_equal(plan(&run, &request, &planned, error), -EINVAL);
	assert_non_null(strstr(error, "cannot be read"));
	run.seccomp = "/dev/null";
	assert_int_equal(plan(&run, &request, &planned, error), -EINVAL);
	assert_non_null(strstr(error, "no compiled filter"));
}

/* ---- open ---- */

static void assert_refused(struct bwrap_run run, const char *why)
{
	char error[SANDBOX_ERROR_SIZE] = "";

	assert_int_equal(bwrap_open(&run, NULL, error), -EINVAL);
	assert_non_null(strstr(error, why));
}

#define REFUSED(why, ...)                                                                         \
	do {                                                                                      \
		struct bwrap_run run = plain_run();                                               \
		__VA_ARGS__;                                                                      \
		assert_refused(run, why);                                                         \
	} while (0)

static void bad_values(void **state)
{
	static const struct sandbox_mount on_root = {"/x", "/", true},
					  above = {"/x", "/a/../..", true};
	char long_name[301];

	(void)state;
	memset(long_name, 'a', 300);
	long_name[300] = '\0';
	REFUSED("network", run.network = "bridge");
	REFUSED("hostname", run.hostname = "");
	REFUSED("hostname", run.hostname = "a b");
	REFUSED("hostname", run.hostname = "a\nb");
	REFUSED("hostname", run.hostname = long_name);
	REFUSED("uid", run.uid = UINT32_MAX);
	REFUSED("gid", run.gid = UINT64_MAX);
	REFUSED("memory", run.memory = 4096);
	REFUSED("memory", run.memory = UINT64_MAX);
	REFUSED("pids_limit", run.pids_limit = UINT64_MAX);
	REFUSED("binds", run.binds = ((struct sandbox_mount_list){1, &on_root}));
	REFUSED("binds", run.binds = ((struct sandbox_mount_list){1, &above}));
}

static void bad_lists(void **state)
{
	static const char *const tmpfs[] = {"tmp",
					    "/",
					    "",
					    "/a/..",
					    "/tmp:",
					    "/tmp:size=",
					    "/tmp:size=0",
					    "/tmp:size=1m",
					    "/tmp:mode=1",
					    "/tmp:size=9999999999999999999"};
	static const char *const extra[] = {
		"--as-pid-1", "--new-session", "--share-net", "--args",	     "--userns",
		"--seccomp",  "--cap-add",     "--",	      "sh",	     "",
		"--block-fd", "--unshare-all", "--uid",	      "--bind-data", "--dir"};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(tmpfs); i++)
		REFUSED("tmpfs", run.tmpfs = ((struct sandbox_list){1, &tmpfs[i]}));
	for (size_t i = 0; i < N_ELEMENTS(extra); i++)
		REFUSED("extra_args", run.extra_args = ((struct sandbox_list){1, &extra[i]}));
}

static void good_values(void **state)
{
	static const char *const none = "none";
	static const char *const extra[] = {"--dir",	"--as-pid-1", "--disable-userns",
					    "--setenv", "A",	      "b"};
	struct bwrap_run run = plain_run();
	char error[SANDBOX_ERROR_SIZE] = "";

	(void)state;
	run.tmpfs = (struct sandbox_list){1, &none};
	/* What follows an option is its word, whatever it looks like. */
	run.extra_args = (struct sandbox_list){N_ELEMENTS(extra), extra};
	assert_int_equal(bwrap_open(&run, NULL, error), 0);
	assert_int_equal(run.is_root, geteuid() == 0);
}

/* ---- classify ---- */

static struct sandbox_verdict verdict_of(const struct bwrap_run *run, int status, const char *out,
					 const char *err)
{
	const struct sandbox_process_end end = {
		.size = sizeof(end),
		.status = status,
		.stdout_head = out,
		.stdout_head_size = strlen(out),
		.stdout_total = strlen(out),
		.stderr_tail = err,
		.stderr_tail_size = strlen(err),
		.stderr_total = strlen(err),
	};
	struct sandbox_verdict verdict = {
		.size = sizeof(verdict),
		.end = SANDBOX_END_COMMAND,
		.status = status,
	};

	bwrap_classify(run, &end, &verdict);
	return verdict;
}

static struct sandbox_verdict verdict_on(int status, const char *out, const char *err)
{
	const struct bwrap_run run = plain_run();

	return verdict_of(&run, status, out, err);
}

static void assert_not_started(const char *err, int error_number, const char *advice)
{
	const struct sandbox_verdict verdict = verdict_on(1, "", err);

	assert_int_equal(verdict.end, SANDBOX_END_NOT_STARTED);
	assert_int_equal(verdict.error_number, error_number);
	assert_int_equal(verdict.drop_stderr_tail, strlen(err));
	assert_non_null(strstr(verdict.message, advice));
	assert_null(strchr(verdict.message, '\n'));
}

static void bwraps_words(void **state)
{
	(void)state;
	assert_not_started("bwrap: execvp nosuch: No such file or directory\n", ENOENT, "nosuch");
	assert_not_started("bwrap: execvp /x: Permission denied\n", EACCES, "/x");
	assert_not_started("bwrap: execvp /x: Exec format error\n", ENOEXEC, "/x");
	assert_not_started("bwrap: Can't chdir to /x: No such file or directory\n", ENOENT,
			   "workdir");
	assert_not_started("bwrap: Can't find source path /x: No such file or directory\n", 0,
			   "binds");
	assert_not_started(
		"bwrap: No permissions to creating new namespace, likely because the kernel "
		"does not allow non-privileged user namespaces. On e.g. debian this can be "
		"enabled with 'sysctl kernel.unprivileged_userns_clone=1'.\n",
		0, "bwrap may not make a user namespace here");
	assert_not_started("bwrap: Creating new namespace failed: nesting depth or "
			   "/proc/sys/user/max_*_namespaces exceeded (ENOSPC)\n", 0, "sysctl");
	assert_not_started("bwrap: Can't mount proc on /newroot/proc: Operation not permitted\n", 0,
			   "systempaths=unconfined");
	assert_not_started("bwrap: Can't mkdir /x: Read-only file system\n", 0, "rootfs");
	assert_not_started("bwrap: Unknown option --size\n", 0, "too old");
}

/* They speak only where they take part. */
static void the_helpers_words(void **state)
{
	static const char setpriv[] = "setpriv: setresuid failed: Operation not permitted\n";
	static const char limits[] = "hookbox: 1: ulimit: error setting limit\n";
	struct bwrap_run run = plain_run();

	(void)state;
	assert_int_equal(verdict_of(&run, 1, "", setpriv).end, SANDBOX_END_COMMAND);
	assert_int_equal(verdict_of(&run, 125, "", limits).end, SANDBOX_END_COMMAND);
	run.is_root = true;
	run.memory = 1;
	assert_int_equal(verdict_of(&run, 1, "", setpriv).end, SANDBOX_END_NOT_STARTED);
	assert_int_equal(verdict_of(&run, 125, "", limits).end, SANDBOX_END_NOT_STARTED);
}

static void the_commands_words(void **state)
{
	(void)state;
	assert_int_equal(verdict_on(1, "x", "bwrap: x\n").end, SANDBOX_END_COMMAND);
	assert_int_equal(verdict_on(1, "", "").end, SANDBOX_END_COMMAND);
	assert_int_equal(verdict_on(2, "", "bwrap: x\n").end, SANDBOX_END_COMMAND);
	assert_int_equal(verdict_on(1, "", "x\nbwrap: x\n").end, SANDBOX_END_COMMAND);
	assert_int_equal(verdict_on(0, "", "bwrap: x\n").end, SANDBOX_END_COMMAND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least),
		cmocka_unit_test(everything),
		cmocka_unit_test(the_hosts_system),
		cmocka_unit_test(root_becomes_nobody),
		cmocka_unit_test(the_environment),
		cmocka_unit_test(what_is_missing),
		cmocka_unit_test(bad_values),
		cmocka_unit_test(bad_lists),
		cmocka_unit_test(good_values),
		cmocka_unit_test(bwraps_words),
		cmocka_unit_test(the_helpers_words),
		cmocka_unit_test(the_commands_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
