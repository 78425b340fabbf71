/* SPDX-License-Identifier: MIT */
/* docker_run and docker_exec: how they judge what happened, and what they ask an engine. */
#include "unit.h"

#include "box.h"

/* ---- Ends ---- */

#define RUN "docker_run"
#define EXEC "docker_exec"
#define IMAGE "the image img"
#define HELP "\n\nRun 'docker run --help' for more information\n"
#define OLD_HELP ".\nSee 'docker run --help'.\n"
#define CREATE_FAILED \
	"docker: Error response from daemon: failed to create shim task: OCI runtime create " \
	"failed: runc create failed: unable to start container process: "
#define EXEC_FAILED "OCI runtime exec failed: exec failed: unable to start container process: "
#define EOF_WAITING "time=\"2026-11-28T12:30:05Z\" level=error msg=\"error waiting for container: "

/* How a CLI ended, and what that means: as docker 20.10 and 28.2 print it. */
static const struct end_case {
	const char *mode;
	int status;
	const char *out, *err;
	uint32_t end;
	int error_number;
	const char *part;		/* of the message */
	const char *kept;		/* what is left of stderr; NULL: nothing */
} end_cases[] = {
	/* The command's own ends. */
	{RUN, 0, "", "", SANDBOX_END_COMMAND},
	{RUN, 1, "", "Error: bad input\n", SANDBOX_END_COMMAND, 0, NULL, "Error: bad input\n"},
	{RUN, 125, "", "", SANDBOX_END_COMMAND},
	{RUN, 125, "out", "err", SANDBOX_END_COMMAND, 0, NULL, "err"},
	{RUN, 126, "", "sh: x: Permission denied\n", SANDBOX_END_COMMAND, 0, NULL,
	 "sh: x: Permission denied\n"},
	{RUN, 127, "out", "docker: no\n", SANDBOX_END_COMMAND, 0, NULL, "docker: no\n"},
	{RUN, 1, "", "x\nError response from daemon: no\n", SANDBOX_END_COMMAND, 0, NULL,
	 "x\nError response from daemon: no\n"},
	{EXEC, 125, "", "something\n", SANDBOX_END_COMMAND, 0, NULL, "something\n"},
	{EXEC, 126, EXEC_FAILED "x", "err", SANDBOX_END_COMMAND, 0, NULL, "err"},
	{EXEC, 0, EXEC_FAILED "x", "", SANDBOX_END_COMMAND},
	{EXEC, 1, "", "Error: bad input\n", SANDBOX_END_COMMAND, 0, NULL, "Error: bad input\n"},
	{EXEC, 255, "", "", SANDBOX_END_COMMAND},
	/* Commands that could not be started. */
	{RUN, 127, "", "[FATAL tini (7)] exec sh failed: No such file or directory\n",
	 SANDBOX_END_NOT_STARTED, ENOENT, "no \"sh\" in " IMAGE "; use one that has a POSIX sh"},
	{RUN, 126, "", "[FATAL tini (7)] exec /tmp failed: Permission denied\n",
	 SANDBOX_END_NOT_STARTED, EACCES, "\"/tmp\" in " IMAGE " is not executable"},
	{RUN, 127, "",
	 CREATE_FAILED "exec: \"cmd\": executable file not found in $PATH: unknown" HELP,
	 SANDBOX_END_NOT_STARTED, ENOENT, "no \"cmd\" in " IMAGE},
	{RUN, 127, "",
	 CREATE_FAILED "exec: \"/c\": stat /c: no such file or directory: unknown" OLD_HELP,
	 SANDBOX_END_NOT_STARTED, ENOENT, "no \"/c\" in " IMAGE},
	{RUN, 126, "", CREATE_FAILED "exec: \"/etc/passwd\": permission denied: unknown" HELP,
	 SANDBOX_END_NOT_STARTED, EACCES, "\"/etc/passwd\" in " IMAGE " is not executable"},
	{RUN, 1, "", "exec /h/c: exec format error\n", SANDBOX_END_NOT_STARTED, ENOEXEC,
	 "\"/h/c\" in " IMAGE " could not be executed"},
	{RUN, 127, "",
	 "docker: Error response from daemon: exec: \"docker-init\": executable file not found "
	 "in $PATH" HELP, SANDBOX_END_NOT_STARTED, 0, "init = no"},
	{EXEC, 126, EXEC_FAILED "exec: \"sh\": executable file not found in $PATH: unknown\r\n",
	 "", SANDBOX_END_NOT_STARTED, ENOENT, "no \"sh\" in the container box"},
	{EXEC, 126, EXEC_FAILED "exec: \"/etc/passwd\": permission denied: unknown\r\n", "",
	 SANDBOX_END_NOT_STARTED, EACCES, "is not executable"},
	{EXEC, 126,
	 EXEC_FAILED "chdir to cwd (\"/no\") set in config.json failed: no such file or "
	 "directory: unknown\r\n", "", SANDBOX_END_NOT_STARTED, ENOENT, "set workdir"},
	{EXEC, 1, "", "exec /h/c: no such file or directory\n", SANDBOX_END_NOT_STARTED, ENOENT,
	 "no \"/h/c\""},
	{EXEC, 127, "",
	 "Error: crun: executable file `sh` not found in $PATH: No such file or directory: OCI "
	 "runtime attempted to invoke a command that was not found\n", SANDBOX_END_NOT_STARTED,
	 ENOENT, "no \"sh\""},
	/* Engines and settings. */
	{RUN, 125, "",
	 "docker: Cannot connect to the Docker daemon at unix:///n.sock. Is the docker daemon "
	 "running?" OLD_HELP, SANDBOX_END_NOT_STARTED, 0, "start the Docker daemon"},
	{EXEC, 1, "",
	 "Cannot connect to the Docker daemon at unix:///n.sock. Is the docker daemon running?\n",
	 SANDBOX_END_NOT_STARTED, 0, "start the Docker daemon"},
	{RUN, 126, "",
	 "docker: permission denied while trying to connect to the Docker daemon socket at "
	 "unix:///s: dial unix /s: connect: permission denied" HELP, SANDBOX_END_NOT_STARTED, 0,
	 "add this user to the group"},
	{EXEC, 1, "",
	 "permission denied while trying to connect to the Docker daemon socket at unix:///s\n",
	 SANDBOX_END_NOT_STARTED, 0, "add this user to the group"},
	{RUN, 125, "",
	 "docker: error during connect: Head \"http://h:1/_ping\": dial tcp: lookup h: no such "
	 "host" HELP, SANDBOX_END_NOT_STARTED, 0, "docker_host"},
	{RUN, 1, "",
	 "Failed to initialize: unable to resolve docker endpoint: context \"c\": context not "
	 "found\n", SANDBOX_END_NOT_STARTED, 0, "docker context ls"},
	{EXEC, 1, "", "unable to resolve docker endpoint: context \"c\" does not exist\n",
	 SANDBOX_END_NOT_STARTED, 0, "docker context ls"},
	{RUN, 125, "", "docker: Error response from daemon: No such image: img" HELP,
	 SANDBOX_END_NOT_STARTED, 0,
	 "No such image: img; run `docker pull img`, or set pull = missing"},
	{RUN, 125, "",
	 "Unable to find image 'img' locally\ndocker: Error response from daemon: Get "
	 "\"https://registry/v2/\": dial tcp: no such host" OLD_HELP, SANDBOX_END_NOT_STARTED, 0,
	 "its registry can be reached", "Unable to find image 'img' locally\n"},
	{RUN, 125, "",
	 "docker: invalid reference format: repository name must be lowercase" OLD_HELP,
	 SANDBOX_END_NOT_STARTED, 0, "correct the name of the image"},
	{RUN, 125, "",
	 "docker: Error response from daemon: unable to find user u: no matching entries in "
	 "passwd file.\n" EOF_WAITING "context canceled\"\n", SANDBOX_END_NOT_STARTED, 0,
	 "set user to one that exists in img"},
	{EXEC, 126, "unable to find user u: no matching entries in passwd file\r\n", "",
	 SANDBOX_END_NOT_STARTED, 0, "set user to one that exists in box"},
	{RUN, 125, "",
	 "docker: Error response from daemon: invalid mount config for type \"bind\": bind "
	 "source path does not exist: /no" HELP, SANDBOX_END_NOT_STARTED, 0, "correct mounts"},
	{RUN, 125, "", "unknown flag: --bogus\n\nUsage:  docker run\n" HELP,
	 SANDBOX_END_NOT_STARTED, 0, "correct extra_args"},
	{RUN, 125, "",
	 "docker: Error response from daemon: Conflict. The container name \"/hookbox-1\" is "
	 "already in use" HELP, SANDBOX_END_NOT_STARTED, 0, "remove that container"},
	{RUN, 125, "", CREATE_FAILED "can't get final child's PID from pipe: EOF: unknown" HELP,
	 SANDBOX_END_NOT_STARTED, 0, "from pipe: EOF; look into the engine's log"},
	{RUN, 125, "", "docker: Error response from daemon: a new kind of trouble" HELP,
	 SANDBOX_END_NOT_STARTED, 0, "a new kind of trouble; correct the sandbox's settings"},
	{RUN, 125, "", "Something never seen\n", SANDBOX_END_NOT_STARTED, 0,
	 "Something never seen; "},
	{EXEC, 1, "", "Error response from daemon: No such container: box\n",
	 SANDBOX_END_NOT_STARTED, 0, "create and start it"},
	{EXEC, 1, "", "Error: No such container: box\n", SANDBOX_END_NOT_STARTED, 0,
	 "create and start it"},
	{EXEC, 1, "", "Error response from daemon: Container 8068 is not running\n",
	 SANDBOX_END_NOT_STARTED, 0, "docker start box"},
	{EXEC, 1, "",
	 "Error response from daemon: Container box is paused, unpause the container before "
	 "exec\n", SANDBOX_END_NOT_STARTED, 0, "docker unpause box"},
	/* Ways that broke. */
	{RUN, 125, "", EOF_WAITING "unexpected EOF\"\n", SANDBOX_END_LOST, 0, "broke"},
	{RUN, 125, "out", "err\n" EOF_WAITING "unexpected EOF\"\n", SANDBOX_END_LOST, 0, "broke",
	 "err\n"},
	{RUN, 125, "", "docker: error during connect: Post \"http://h/start\": EOF" HELP,
	 SANDBOX_END_LOST, 0, "broke"},
};

static struct sandbox_verdict judge(const struct box *box, const struct sandbox_process_end *end)
{
	struct sandbox_verdict verdict = {
		.size = sizeof(verdict),
		.end = SANDBOX_END_COMMAND,
		.signaled = end->signaled,
		.status = end->status,
	};

	box->plugin->classify(box->instance, end, &verdict);
	return verdict;
}

static void check_end(const struct box *box, const struct end_case *c)
{
	const struct sandbox_process_end end = {
		.size = sizeof(end),
		.status = c->status,
		.stdout_head = c->out,
		.stdout_head_size = strlen(c->out),
		.stderr_tail = c->err,
		.stderr_tail_size = strlen(c->err),
		.stdout_total = strlen(c->out),
		.stderr_total = strlen(c->err),
	};
	struct sandbox_verdict verdict = judge(box, &end);

	if (verdict.end != c->end || verdict.error_number != c->error_number)
		fail_msg("%s %d \"%s%s\": end %u, errno %d: %s", c->mode, c->status, c->out, c->err,
			 verdict.end, verdict.error_number, verdict.message);
	assert_int_equal(verdict.status, c->status);
	assert_int_equal(strlen(c->err) - verdict.drop_stderr_tail, c->kept ? strlen(c->kept) : 0);
	if (c->kept)
		assert_memory_equal(c->err, c->kept, strlen(c->kept));
	assert_int_equal(verdict.drop_stdout, c->end == SANDBOX_END_NOT_STARTED && c->out[0]);
	if (c->part)
		assert_contains(verdict.message, c->part);
	if (c->part)
		assert_contains(verdict.message, "; ");
}

static void test_ends_are_told_apart(void **state)
{
	struct box run, exec;

	OPEN(&run, "docker_run", "image=img");
	OPEN(&exec, "docker_exec", "container=box");
	for (size_t i = 0; i < sizeof(end_cases) / sizeof(end_cases[0]); i++)
		check_end(!strcmp(end_cases[i].mode, "docker_run") ? &run : &exec, &end_cases[i]);
	box_close(&run);
	box_close(&exec);
}

static void test_a_killed_cli_is_lost(void **state)
{
	const struct sandbox_process_end end = {
		.size = sizeof(end), .signaled = true, .status = 9,
		.stdout_head = "", .stderr_tail = "",
	};
	struct sandbox_verdict verdict;
	struct box box;

	OPEN(&box, "docker_exec", "container=box");
	verdict = judge(&box, &end);
	assert_int_equal(verdict.end, SANDBOX_END_LOST);
	assert_contains(verdict.message, "signal 9");
	box_close(&box);
}

/* What does not fit is no reason to read or write beyond it. */
static void test_long_and_binary_output(void **state)
{
	char text[4096];
	struct sandbox_process_end end = {
		.size = sizeof(end), .status = 125, .stdout_head = "", .stderr_tail = text,
		.stderr_tail_size = sizeof(text), .stderr_total = sizeof(text),
	};
	struct sandbox_verdict verdict;
	struct box box;

	OPEN(&box, "docker_run", "image=img");
	memset(text, 0xc3, sizeof(text));
	memcpy(text, "docker: ", 8);
	verdict = judge(&box, &end);
	assert_int_equal(verdict.end, SANDBOX_END_NOT_STARTED);
	assert_int_equal(verdict.drop_stderr_tail, sizeof(text));
	memset(text, 0, sizeof(text));
	verdict = judge(&box, &end);
	assert_int_equal(verdict.end, SANDBOX_END_NOT_STARTED);
	end.stderr_total = 1000000;
	end.status = 1;
	memcpy(text, "Error response from daemon: ", 28);
	verdict = judge(&box, &end);
	assert_int_equal(verdict.end, SANDBOX_END_COMMAND);
	box_close(&box);
}

static void test_ending_a_call(void **state)
{
	struct sandbox_end_request request = {.size = sizeof(request), .call_id = "o-1"};
	struct hookbox_error error = {0};
	struct plan plan = {0};
	struct box box;

	OPEN(&box, "docker_run", "image=img", "context=c");
	request.step = SANDBOX_END_KILL;
	assert_int_equal(plan_make_end(box.plugin, box.instance, &request, &plan, &error), 0);
	assert_argv(&plan.argv, "docker\n--context=c\nrm\n--force\n--volumes\n--\nhookbox-o-1\n");
	plan_free(&plan);
	request.step = SANDBOX_END_CHECK;
	assert_int_equal(plan_make_end(box.plugin, box.instance, &request, &plan, &error), 0);
	assert_argv(&plan.argv, "docker\n--context=c\nps\n--all\n--quiet\n--no-trunc\n"
				"--filter=name=^/?hookbox-o-1$\n");
	plan_free(&plan);
	box_close(&box);
}

/* ---- Extensions, with a host that only pretends to run commands ---- */

struct pretence {
	const char *const *answers;	/* "STATUS stdout|stderr" for each command in turn */
	struct buf asked;		/* a line for each command */
	struct buf found;		/* a line for each box or finding */
};

static int pretend_run(const struct sandbox_host *host, const struct sandbox_command *command,
		       struct sandbox_command_result *result, char error[SANDBOX_ERROR_SIZE])
{
	struct pretence *pretence = host->host_data;
	const char *answer = *pretence->answers;
	const char *split;

	for (size_t i = 0; command->argv[i]; i++)
		buf_printf(&pretence->asked, "%s%s", i ? " " : "", command->argv[i]);
	buf_add_char(&pretence->asked, '\n');
	assert_true(command->timeout_ms > 0);
	assert_non_null(answer);
	pretence->answers++;
	if (!strcmp(answer, "missing")) {
		snprintf(error, SANDBOX_ERROR_SIZE, "there is no command \"docker\"");
		return -ENOENT;
	}
	result->status = atoi(answer);
	answer += strcspn(answer, " ") + 1;
	split = strchr(answer, '|');
	result->host_data = strndup(answer, (size_t)(split - answer));
	result->out = result->host_data;
	result->out_size = (size_t)(split - answer);
	result->err = split + 1;
	result->err_size = strlen(split + 1);
	return 0;
}

static void pretend_run_done(const struct sandbox_host *host, struct sandbox_command_result *result)
{
	free(result->host_data);
	*result = (struct sandbox_command_result){.size = result->size};
}

static void pretend(struct box *box, struct pretence *pretence, const char *const *answers)
{
	*pretence = (struct pretence){.answers = answers};
	box->host.host_data = pretence;
	box->host.run = pretend_run;
	box->host.run_done = pretend_run_done;
}

/* Every answer was asked for. */
static void pretence_end(struct pretence *pretence)
{
	assert_null(*pretence->answers);
	buf_free(&pretence->asked);
	buf_free(&pretence->found);
}

static void note_box(const struct sandbox_box_list_sink *sink, const char *box_id,
		     const char *owner)
{
	buf_printf(sink->host_data, "%s of %s\n", box_id, owner);
}

static void note_finding(const struct sandbox_probe_sink *sink, uint32_t status, const char *what,
			 const char *remedy)
{
	buf_printf(sink->host_data, "%u %s%s%s\n", status, what, remedy ? "; " : "",
		   remedy ? remedy : "");
}

static void test_boxes_are_listed_and_stopped(void **state)
{
	static const char *const answers[] = {
		"0 abc hookbox.call=c,hookbox.owner=own-1,x=y\n"
		"def map[a:b hookbox.owner:own-2 x:y]\nghi a=b\nlast hookbox.owner=own-3\n|",
		"1 |Cannot connect to the Docker daemon\n",
		"0 abc|",
		"1 |Error: No such container: abc\n",
		"1 |removal of container abc is already in progress\n",
		"0 |",
		"1 |cannot kill\n",
		"missing",
		NULL,
	};
	const struct sandbox_box_request request = {.size = sizeof(request), .timeout_ms = 5000};
	struct pretence pretence;
	struct sandbox_box_list_sink sink = {
		.size = sizeof(sink), .host_data = &pretence.found, .box = note_box,
	};
	const struct sandbox_box_v1 *ext;
	struct box box;

	OPEN(&box, "docker_run", "image=img");
	pretend(&box, &pretence, answers);
	ext = box.plugin->get_extension(SANDBOX_BOX_EXTENSION);
	assert_null(ext->find);
	assert_null(ext->start);
	assert_int_equal(ext->list(box.instance, &request, &sink, box.error), 0);
	assert_string_equal(pretence.found.data, "abc of own-1\ndef of own-2\nlast of own-3\n");
	assert_int_equal(ext->list(box.instance, &request, &sink, box.error), -EIO);
	assert_contains(box.error, "Cannot connect");
	assert_int_equal(ext->stop(box.instance, &request, "abc", box.error), 0);
	assert_int_equal(ext->stop(box.instance, &request, "abc", box.error), 0);
	assert_int_equal(ext->stop(box.instance, &request, "abc", box.error), 0);
	assert_int_equal(ext->stop(box.instance, &request, "abc", box.error), -EIO);
	assert_contains(box.error, "cannot kill");
	assert_int_equal(ext->stop(box.instance, &request, "abc", box.error), -EIO);
	assert_contains(pretence.asked.data,
			"docker ps --all --no-trunc --filter=label=hookbox.owner --format={{.ID}} "
			"{{.Labels}}\n");
	assert_contains(pretence.asked.data, "docker rm --force --volumes -- abc\n");
	pretence_end(&pretence);
	box_close(&box);
}

/* Probes a sandbox whose commands answer so. */
static void assert_findings(const char *name, const char *const *settings,
			    const char *const *answers, const char *expected)
{
	struct pretence pretence;
	const struct sandbox_probe_sink sink = {
		.size = sizeof(sink), .host_data = &pretence.found, .finding = note_finding,
	};
	const struct sandbox_probe_v1 *probe;
	struct box box;

	assert_int_equal(box_open(&box, name, settings), 0);
	pretend(&box, &pretence, answers);
	probe = box.plugin->get_extension(SANDBOX_PROBE_EXTENSION);
	probe->probe(box.instance, 5000, &sink);
	assert_string_equal(pretence.found.data, expected);
	pretence_end(&pretence);
	box_close(&box);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define VERSION_28 "0 Docker version 28\n|"
#define FOUND_ENGINE "1 Docker version 28\n1 the engine answers\n"

static void test_probing_a_run_sandbox(void **state)
{
	const char *const *plain = LIST("image=img");
	const char *const *pulling = LIST("image=img", "pull=missing");

	assert_findings("docker_run", plain, LIST("missing"),
			"3 there is no command \"docker\"; install the docker CLI, or set "
			"docker_path\n");
	assert_findings("docker_run", plain, LIST("1 |"),
			"3 \"docker --version\" fails; set docker_path to a docker CLI\n");
	assert_findings("docker_run", plain,
			LIST(VERSION_28, "1 |Cannot connect to the Docker daemon at x\n"),
			"1 Docker version 28\n3 Cannot connect to the Docker daemon at x; start "
			"the Docker daemon, or set docker_host to one that runs\n");
	assert_findings("docker_run", plain,
			LIST(VERSION_28, "0 |", "1 \n|Error: No such image: img\n"),
			FOUND_ENGINE "3 No such image: img; run `docker pull img`, or set pull = "
			"missing\n");
	assert_findings("docker_run", pulling,
			LIST(VERSION_28, "0 |", "1 |Error: No such image: img\n"),
			FOUND_ENGINE "2 the image img is not there yet; the first call has to wait "
			"until it is pulled; pull it now to save that\n");
	assert_findings("docker_run", plain, LIST(VERSION_28, "0 |", "0 |", "0 |"),
			FOUND_ENGINE "1 the image img is there\n1 a container with these settings "
			"starts, and has sh\n");
	assert_findings("docker_run", plain,
			LIST(VERSION_28, "0 |", "0 |",
			     "127 |[FATAL tini (7)] exec sh failed: No such file or directory\n",
			     "0 |"),
			FOUND_ENGINE "1 the image img is there\n2 there is no \"sh\" in the image "
			"img; use one that has a POSIX sh, or set shell = none\n");
}

static void test_probing_an_exec_sandbox(void **state)
{
	const char *const *settings = LIST("container=box");

	assert_findings("docker_exec", settings, LIST(VERSION_28, "0 |", "0 |"),
			FOUND_ENGINE "1 commands start in the container box, and it has sh\n");
	assert_findings("docker_exec", settings, LIST(VERSION_28, "0 |", "3 |"),
			FOUND_ENGINE "2 the container box has no grep or no readable /proc; "
			"install grep there and mount /proc, or what calls leave is not found\n");
	assert_findings("docker_exec", settings,
			LIST(VERSION_28, "0 |",
			     "1 |Error response from daemon: Container box is paused\n"),
			FOUND_ENGINE "3 Container box is paused; run `docker unpause box`\n");
	assert_findings("docker_exec", settings, LIST(VERSION_28, "0 |", "7 |strange\n"),
			FOUND_ENGINE "3 the CLI ended with status 7: strange; run the same with "
			"the CLI by hand\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends_are_told_apart),
		cmocka_unit_test(test_a_killed_cli_is_lost),
		cmocka_unit_test(test_long_and_binary_output),
		cmocka_unit_test(test_ending_a_call),
		cmocka_unit_test(test_boxes_are_listed_and_stopped),
		cmocka_unit_test(test_probing_a_run_sandbox),
		cmocka_unit_test(test_probing_an_exec_sandbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
