/* SPDX-License-Identifier: MIT */
/* docker_run and docker_exec: what they plan, and what they refuse. */
#include "unit.h"

#include "box.h"

static const char *const shell_argv[] = {"sh", "-c", "script", "hookbox", NULL};
static const char *const labels[] = {"hookbox.owner=o", "hookbox.call=o-1", NULL};
static const struct sandbox_plan_request shell_request = A_CALL(shell_argv, labels);

static void test_run_is_closed_by_default(void **state)
{
	struct box box;

	OPEN(&box, "docker_run", "image=some/image:1");
	assert_plan(&box, &shell_request,
		    "docker\nrun\n--rm\n--interactive\n--name=hookbox-o-1\n"
		    "--label=hookbox.owner=o\n--label=hookbox.call=o-1\n"
		    "--log-driver=none\n--stop-timeout=0\n"
		    "--pull=never\n--init\n--network=none\n--cap-drop=ALL\n"
		    "--security-opt=no-new-privileges\n"
		    "--memory=536870912\n--memory-swap=536870912\n--pids-limit=256\n--read-only\n"
		    "--tmpfs=/tmp\n--entrypoint=\n--\nsome/image:1\nsh\n-c\nscript\nhookbox\n");
	box_close(&box);
}

static void test_run_with_everything(void **state)
{
	struct box box;

	OPEN(&box, "docker_run", "image=i", "network=host", "mounts=./hooks", "mounts=/a:/b:rw",
	     "user=1000:1000", "memory=64m", "cpus=1.5", "pids_limit=10", "tmpfs=/run:size=1m,exec",
	     "tmpfs=/b", "read_only=no", "new_privileges=yes", "cap_add=NET_RAW", "cap_add=CHOWN",
	     "devices=/dev/fuse:/dev/fuse:r", "gpus=all", "runtime=runsc", "pull=missing",
	     "labels=team=a b", "init=no", "extra_args=--ulimit=nofile=100",
	     "extra_args=--privileged", "docker_path=./bin/docker", "docker_host=tcp://engine:1");
	assert_plan(&box, &shell_request,
		    "/conf/bin/docker\n--host=tcp://engine:1\nrun\n--rm\n--interactive\n"
		    "--name=hookbox-o-1\n--label=hookbox.owner=o\n--label=hookbox.call=o-1\n"
		    "--label=team=a b\n--log-driver=none\n--stop-timeout=0\n--pull=missing\n"
		    "--network=host\n"
		    "--cap-drop=ALL\n--cap-add=NET_RAW\n--cap-add=CHOWN\n--user=1000:1000\n"
		    "--memory=67108864\n--memory-swap=67108864\n--pids-limit=10\n--cpus=1.5\n"
		    "--device=/dev/fuse:/dev/fuse:r\n--gpus=all\n--runtime=runsc\n"
		    "--tmpfs=/run:size=1m,exec\n"
		    "--mount=type=bind,\"source=/conf/hooks\",\"target=/conf/hooks\",readonly\n"
		    "--mount=type=bind,\"source=/a\",\"target=/b\"\n"
		    "--entrypoint=\n--ulimit=nofile=100\n--privileged\n--\ni\nsh\n-c\nscript\n"
		    "hookbox\n");
	box_close(&box);
}

static void test_run_without_limits(void **state)
{
	struct box box;

	OPEN(&box, "docker_run", "image=i", "memory=0", "pids_limit=0", "tmpfs=none",
	     "context=far");
	assert_plan(&box, &shell_request,
		    "docker\n--context=far\nrun\n--rm\n--interactive\n--name=hookbox-o-1\n"
		    "--label=hookbox.owner=o\n--label=hookbox.call=o-1\n"
		    "--log-driver=none\n--stop-timeout=0\n"
		    "--pull=never\n--init\n--network=none\n--cap-drop=ALL\n"
		    "--security-opt=no-new-privileges\n--read-only\n--entrypoint=\n--\ni\nsh\n-c\n"
		    "script\nhookbox\n");
	box_close(&box);
}

static void test_mounts_are_quoted_and_come_before_tmpfs(void **state)
{
	const struct sandbox_mount more = {"/x,y", "/tmp", true};
	struct sandbox_plan_request request = shell_request;
	_cleanup_plan_ struct plan plan = {0};
	struct hookbox_error error = {0};
	bool quoted = false, passed = false;
	struct box box;

	OPEN(&box, "docker_run", "image=i", "mounts=/a,b \"c\" =d:/e\"f");
	request.mounts = (struct sandbox_mount_list){1, &more};
	assert_int_equal(plan_make(box.plugin, box.instance, &request, &plan, &error), 0);
	for (size_t i = 0; i < plan.argv.n; i++) {
		assert_null(strstr(plan.argv.v[i], "--tmpfs"));
		quoted |= !strcmp(plan.argv.v[i], "--mount=type=bind,\"source=/a,b \"\"c\"\" =d\","
						  "\"target=/e\"\"f\",readonly");
		passed |= !strcmp(plan.argv.v[i], "--mount=type=bind,\"source=/x,y\","
						  "\"target=/tmp\",readonly");
	}
	assert_true(quoted);
	assert_true(passed);
	box_close(&box);
}

static void test_a_shared_network(void **state)
{
	struct sandbox_plan_request request = shell_request;
	struct box box;

	request.network_of = "o-0";
	OPEN(&box, "docker_run", "image=i", "network=bridge", "memory=0", "pids_limit=0",
	     "tmpfs=none", "extra_args=--shm-size=1m", "docker_path=podman");
	assert_plan(&box, &request,
		    "podman\nrun\n--rm\n--interactive\n--name=hookbox-o-1\n"
		    "--label=hookbox.owner=o\n--label=hookbox.call=o-1\n"
		    "--log-driver=none\n--stop-timeout=0\n--pull=never\n--init\n"
		    "--network=container:hookbox-o-0\n--cap-drop=ALL\n"
		    "--security-opt=no-new-privileges\n--read-only\n--entrypoint=\n"
		    "--shm-size=1m\n--\ni\nsh\n-c\nscript\nhookbox\n");
	box_close(&box);
}

static void test_exec(void **state)
{
	struct sandbox_plan_request request = shell_request;
	struct box box;

	OPEN(&box, "docker_exec", "container=box");
	assert_plan(&box, &request,
		    "docker\nexec\n--interactive\n--\nbox\nsh\n-c\nscript\nhookbox\n");
	request.purpose = SANDBOX_PURPOSE_SHELL;
	request.tty = true;
	assert_plan(&box, &request,
		    "docker\nexec\n--interactive\n--tty\n--\nbox\nsh\n-c\nscript\nhookbox\n");
	box_close(&box);
	OPEN(&box, "docker_exec", "container=box", "user=nobody", "privileged=yes",
	     "extra_args=--env-file=/e", "docker_path=podman");
	assert_plan(&box, &shell_request,
		    "podman\nexec\n--interactive\n--user=nobody\n--privileged\n--env-file=/e\n--\n"
		    "box\nsh\n-c\nscript\nhookbox\n");
	box_close(&box);
}

/* ---- Boxes without a shell ---- */

static void test_environment_without_a_shell(void **state)
{
	static const char *const argv[] = {"cat", "--", "\xc3\xa9", "", NULL};
	static const char *const env[] = {"A=one two", "PATHS=x", "EMPTY=", NULL};
	struct sandbox_plan_request request = shell_request;
	_cleanup_plan_ struct plan plan = {0};
	struct hookbox_error error = {0};
	struct box box;
	int found = 0;

	OPEN(&box, "docker_exec", "container=box");
	request.argv = argv;
	request.env = env;
	request.cwd = "/some dir";
	assert_int_equal(plan_make(box.plugin, box.instance, &request, &plan, &error), 0);
	assert_argv(&plan.argv, "docker\nexec\n--interactive\n--env=A\n--env=PATHS\n--env=EMPTY\n"
				"--workdir=/some dir\n--\nbox\ncat\n--\n\xc3\xa9\n\n");
	for (size_t i = 0; i < plan.env.n; i++)
		found += !strcmp(plan.env.v[i], "A=one two") || !strcmp(plan.env.v[i], "EMPTY=");
	assert_int_equal(found, 2);
	box_close(&box);
}

static void assert_refused(const struct box *box, const struct sandbox_plan_request *request,
			   const char *part)
{
	_cleanup_plan_ struct plan plan = {0};
	struct hookbox_error error = {0};

	assert_int_equal(plan_make(box->plugin, box->instance, request, &plan, &error), -EINVAL);
	assert_contains(error.message, part);
	assert_contains(error.message, "use a box that has sh");
}

static void test_what_the_cli_would_take_or_damage_is_refused(void **state)
{
	static const char *const taken[] = {
		"LD_PRELOAD=x", "PATH=/", "HOME=/", "DOCKER_HOST=x", "DOCKER_CONFIG=",
		"XDG_CONFIG_HOME=", "HTTP_PROXY=", "https_proxy=x", "No_Proxy=", "KUBECONFIG=x",
		"GODEBUG=x", "GOMAXPROCS=1",
		"CONTAINER_HOST=x", "OTEL_EXPORTER_OTLP_ENDPOINT=x", "SSH_AUTH_SOCK=x", "TMPDIR=/x",
	};
	static const char *const damaged[] = {
		"\xff", "a\x80", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
		"\xf4\x90\x80\x80", "\xf5", "\xc3", "\xe2\x82", "\xf0\x9f\x98",
	};
	struct sandbox_plan_request request = shell_request;
	struct box box;

	OPEN(&box, "docker_run", "image=i");
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		request.env = (const char *const[]){taken[i], NULL};
		assert_refused(&box, &request, "would change what the docker CLI does");
	}
	for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		char value[16];

		snprintf(value, sizeof(value), "V=%s", damaged[i]);
		request.env = (const char *const[]){value, NULL};
		assert_refused(&box, &request, "the value of \"V\" is not UTF-8");
		request.env = none;
		request.argv = (const char *const[]){"cat", damaged[i], NULL};
		assert_refused(&box, &request, "an argument of the command is not UTF-8");
		request.argv = shell_argv;
	}
	request.cwd = "/\xff";
	assert_refused(&box, &request, "the working directory is not UTF-8");
	box_close(&box);
}

/* Settings that are well until a network is to be shared. */
static void test_what_no_shared_network_can_have_is_refused(void **state)
{
	static const struct {
		const char *setting;
		const char *part;
	} cases[] = {
		{"network=host", "network = host is no network of the containers' own"},
		{"network=container:x", "network = container:x is no network"},
		{"network=ns:/run/netns/x", "network = ns:/run/netns/x is no network"},
		{"read_only=no", "a root that is not read-only would let a call write"},
		{"extra_args=--read-only=false", "a root that is not read-only would let"},
		{"extra_args=--hostname=x", "\"--hostname=x\" is for a container with a network"},
		{"extra_args=--publish=80:80", "\"--publish=80:80\" is for a container"},
		{"extra_args=--dns=192.0.2.1", "\"--dns=192.0.2.1\" is for a container"},
		{"extra_args=--add-host=a:192.0.2.1", "\"--add-host=a:192.0.2.1\" is for"},
		{"extra_args=--network=none", "\"--network=none\" is for a container"},
		{"extra_args=--publish-all", "\"--publish-all\" is for a container"},
	};
	struct sandbox_plan_request request = shell_request;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_plan_ struct plan plan = {0};
		struct hookbox_error error = {0};
		struct box box;

		OPEN(&box, "docker_run", "image=i", cases[i].setting);
		request.network_of = NULL;
		assert_int_equal(plan_make(box.plugin, box.instance, &request, &plan, &error), 0);
		request.network_of = "o-0";
		assert_int_equal(plan_make(box.plugin, box.instance, &request, &plan, &error),
				 -EINVAL);
		assert_contains(error.message, cases[i].part);
		box_close(&box);
	}
}

/* ---- Settings ---- */

static void test_settings_are_checked(void **state)
{
	static const struct {
		const char *setting;
		const char *part;
	} cases[] = {
		{"memory=5m", "memory"},
		{"pids_limit=99999999999", "pids_limit"},
		{"cpus=1,5", "cpus"},
		{"cpus=0", "cpus"},
		{"cpus=.5", "cpus"},
		{"cpus=1e3", "cpus"},
		{"cpus=0.0", "cpus"},
		{"pull=sometimes", "pull"},
		{"mounts=/a:/", "mounts"},
		{"mounts=/\xff", "not UTF-8"},
		{"tmpfs=tmp", "tmpfs"},
		{"tmpfs=/tmp:", "tmpfs"},
		{"tmpfs=/tmp:size=1m:exec", "tmpfs"},
		{"cap_add=NET RAW", "cap_add"},
		{"devices=fuse", "devices"},
		{"labels=team", "labels"},
		{"labels==x", "labels"},
		{"labels=hookbox.owner=x", "hookbox's own"},
		{"docker_host=a", "keep one"},
		{"extra_args=-it", "no long option"},
		{"extra_args=image", "no long option"},
		{"extra_args=--", "no long option"},
		{"extra_args=--=x", "no long option"},
		{"extra_args=--detach", "would break"},
		{"extra_args=--tty=true", "would break"},
		{"extra_args=--name=x", "would break"},
		{"extra_args=--rm=false", "would break"},
		{"extra_args=--cidfile=x", "would break"},
		{"extra_args=--attach=stdin", "would break"},
		{"extra_args=--restart=always", "would break"},
		{"extra_args=--sig-proxy=false", "would break"},
		{"extra_args=--help", "would break"},
		{"extra_args=--env=SECRET=x", "env = NAME=VALUE"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *settings[] = {"image=i", cases[i].setting, NULL, NULL};
		struct box box;

		if (!strncmp(cases[i].setting, "docker_host", 11))
			settings[2] = "context=b";
		assert_int_equal(box_open(&box, "docker_run", settings), -EINVAL);
		assert_contains(box.error, cases[i].part);
		box_close(&box);
	}
}

static void test_settings_of_exec_are_checked(void **state)
{
	static const char *const refused[] = {
		"extra_args=--detach", "extra_args=--tty", "extra_args=-d",
		"extra_args=--interactive=false",
	};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct box box;

		assert_int_equal(box_open(&box, "docker_exec",
					  (const char *const[]){"container=c", refused[i], NULL}),
				 -EINVAL);
		assert_contains(box.error, "extra_args");
		box_close(&box);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_is_closed_by_default),
		cmocka_unit_test(test_run_with_everything),
		cmocka_unit_test(test_run_without_limits),
		cmocka_unit_test(test_mounts_are_quoted_and_come_before_tmpfs),
		cmocka_unit_test(test_a_shared_network),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_environment_without_a_shell),
		cmocka_unit_test(test_what_the_cli_would_take_or_damage_is_refused),
		cmocka_unit_test(test_what_no_shared_network_can_have_is_refused),
		cmocka_unit_test(test_settings_are_checked),
		cmocka_unit_test(test_settings_of_exec_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
