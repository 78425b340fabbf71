/* SPDX-License-Identifier: MIT */
/* The one truth about how a call ended. */
#include <errno.h>
#include <string.h>

#include "call.h"
#include "result.h"
#include "text.h"

static void not_started(struct call *call, int error_number)
{
	call->result->end = HOOKBOX_NOT_STARTED;
	call->result->error_number = error_number;
}

void call_set_no_workdir(struct call *call, const char *why)
{
	/* Never ENOENT or EACCES, which tell of the command. */
	not_started(call, ENOTDIR);
	result_set_message(call->result,
			   "the working directory \"%s\" in the sandbox %s; set workdir to a "
			   "directory that the command's user can enter",
			   call->cwd ? call->cwd : "", why);
}

void call_set_no_command(struct call *call, int error_number)
{
	not_started(call, error_number);
	result_set_message(
		call->result,
		error_number == ENOENT
			? "there is no command \"%s\" in the sandbox; check its name, the "
			  "mounts and PATH there"
			: "\"%s\" in the sandbox is not executable; chmod +x it, or name "
			  "another command",
		call->asked.argv[0]);
}

/* A "failed" mark: the box is there, the command is not. */
static void judge_failure(struct call *call, const struct mark_stream *marks)
{
	struct hookbox_result *result = call->result;
	int code = marks->code;

	/* What the shell said about it is no output of the command's. */
	buf_free(&call->output[1].kept);
	call->output[1].total = call->output[1].passed = 0;
	switch (marks->failure) {
	case MARK_FAILED_WORKDIR:
		call_set_no_workdir(call, code == ENOENT    ? "does not exist"
					  : code == ENOTDIR ? "is not a directory"
							    : "cannot be entered");
		break;
	case MARK_FAILED_COMMAND:
		call_set_no_command(call, code);
		break;
	case MARK_FAILED_EXEC:
		not_started(call, ENOEXEC);
		result_set_message(result,
				   "\"%s\" in the sandbox could not be executed; check its #! line "
				   "and that it is made for this architecture",
				   call->asked.argv[0]);
		break;
	case MARK_FAILED_INPUT:
		result->end = HOOKBOX_LOST;
		result_set_message(result,
				   "the connection to the sandbox was cut before the command was "
				   "started");
		break;
	default:
		not_started(call, EINVAL);
		result_set_message(result,
				   "the sandbox's shell refuses one of the environment variables; "
				   "leave out those that are read-only there (UID, EUID, PPID)");
	}
}

static void judge_command_end(struct call *call, bool signaled, int status)
{
	call->result->end = signaled ? HOOKBOX_SIGNALED : HOOKBOX_EXITED;
	call->result->status = status;
}

static void drop_cli_bytes(struct call *call, const struct sandbox_verdict *verdict)
{
	struct call_output *err = &call->output[1];

	if (verdict->drop_stdout) {
		buf_free(&call->output[0].kept);
		call->output[0].total = call->output[0].passed = 0;
	}
	if (verdict->drop_stderr_tail && verdict->drop_stderr_tail <= err->kept.size) {
		err->kept.size -= verdict->drop_stderr_tail;
		err->kept.data[err->kept.size] = '\0';
		err->total -= verdict->drop_stderr_tail;
		err->passed -= verdict->drop_stderr_tail;
	}
}

void call_apply_verdict(struct call *call, const struct sandbox_verdict *verdict)
{
	drop_cli_bytes(call, verdict);
	switch (verdict->end) {
	case SANDBOX_END_NOT_STARTED:
		not_started(call, verdict->error_number);
		break;
	case SANDBOX_END_COMMAND:
		judge_command_end(call, verdict->signaled, verdict->status);
		return;
	default:
		call->result->end = HOOKBOX_LOST;
	}
	result_set_message(call->result, "%s: %s", call->sandbox->plugin->name,
			   verdict->message[0] ? verdict->message : "the backend gave no reason");
}

/* The backend's own judgement; the default is the process's end. */
static struct sandbox_verdict ask_backend(struct call *call)
{
	const struct sandbox_plugin_v1 *plugin = call->sandbox->plugin;
	const struct sandbox_process_end end = {
		.size = sizeof(end),
		.signaled = call->spawn.end == SPAWN_SIGNALED,
		.status = call->spawn.status,
		.stdout_head = call->marks[0].head,
		.stdout_head_size = call->marks[0].head_size,
		.stderr_tail = call->marks[1].tail,
		.stderr_tail_size = call->marks[1].tail_size,
		.stdout_total = call->marks[0].total,
		.stderr_total = call->marks[1].total,
		.killed = call->spawn.killed,
		.trunk = call->trunk,
	};
	struct sandbox_verdict verdict = {
		.size = sizeof(verdict),
		.end = SANDBOX_END_COMMAND,
		.signaled = end.signaled,
		.status = end.status,
	};

	if (plugin->classify)
		plugin->classify(call->sandbox->instance, &end, &verdict);
	return verdict;
}

/* The last line of what the CLI printed behind the marks, which are nobody's to read. */
static void add_last_words(struct buf *said, const struct mark_stream *marks)
{
	const char *end = marks->tail + marks->tail_size;
	const char *text = marks->tail;
	const char *mark;

	while (marks->expected &&
	       (mark = memmem(text, (size_t)(end - text), marks->intro, marks->intro_size))) {
		text = memchr(mark, '\n', (size_t)(end - mark));
		text = text ? text + 1 : end;
	}
	text_add_last_line(said, text, (size_t)(end - text), 300);
}

/* The process ended by itself, but the marks do not tell how the command did. */
static void judge_without_marks(struct call *call)
{
	struct sandbox_verdict verdict = ask_backend(call);
	/* A CLI that is content did enter the box that stays: something may run there. */
	bool content = call->sandbox->plugin->flags & SANDBOX_KEPT &&
		       call->spawn.end == SPAWN_EXITED && !call->spawn.status;
	bool started = call->marks[0].started || call->marks[1].started || content;
	_cleanup_buf_ struct buf said = {0};

	/* Whatever the CLI's words look like: a command that began was started. */
	if (verdict.end == SANDBOX_END_NOT_STARTED &&
	    (call->marks[0].started || call->marks[1].started))
		verdict.end = SANDBOX_END_LOST;
	call->trunk_unused = call->trunk && verdict.trunk_unused &&
			     verdict.end == SANDBOX_END_NOT_STARTED;
	if (!call->scripted || verdict.end != SANDBOX_END_COMMAND) {
		call_apply_verdict(call, &verdict);
		return;
	}
	drop_cli_bytes(call, &verdict);
	add_last_words(&said, &call->marks[1]);
	if (started)
		call->result->end = HOOKBOX_LOST;
	else
		not_started(call, 0);
	result_set_message(call->result, "%s ended (%s %d) before %s%s%s; %s", call->plan.argv.v[0],
			   call->spawn.end == SPAWN_SIGNALED ? "signal" : "status",
			   call->spawn.status,
			   started ? "the command's end was reported" : "the command was started",
			   said.size ? ": " : "", said.size ? said.data : "",
			   started ? "its output is not whole"
				   : "run `hookbox doctor` to see what is missing");
}

/* Nothing could be started on the host. */
static void judge_not_spawned(struct call *call)
{
	bool own = call->sandbox->plugin->flags & SANDBOX_HOST_PROCESS;

	not_started(call, own ? call->spawn.error_number : 0);
	if (own)
		result_set_message(call->result, "%s", call->spawn.message);
	else
		result_set_message(call->result, "%s cannot be reached: %s",
				   call->sandbox->plugin->name, call->spawn.message);
}

static void judge_stopped(struct call *call)
{
	struct hookbox_result *result = call->result;

	switch (call->spawn.end) {
	case SPAWN_TIMED_OUT:
		result->end = HOOKBOX_TIMED_OUT;
		result_set_message(result, "it had not ended after %lld ms and was ended",
				   (long long)call->timeout_ms);
		break;
	case SPAWN_OUTPUT_LIMIT:
		result->end = HOOKBOX_OUTPUT_LIMIT;
		result_set_message(result,
				   "it wrote more than %llu bytes to stdout and was ended; raise "
				   "stdout_limit if that is wanted",
				   (unsigned long long)call->output[0].limit);
		break;
	default:
		result->end = HOOKBOX_CANCELLED;
		result_set_message(result, "it was cancelled");
	}
}

void call_judge(struct call *call)
{
	const struct mark_stream *marks = call->marks;

	if (call->spawn.end == SPAWN_TIMED_OUT || call->spawn.end == SPAWN_CANCELLED ||
	    call->spawn.end == SPAWN_OUTPUT_LIMIT) {
		judge_stopped(call);
		return;
	}
	if (marks[0].failure || marks[1].failure) {
		judge_failure(call, marks[0].failure ? &marks[0] : &marks[1]);
		return;
	}
	/* The command's own end outlives whatever befell the CLI after it. */
	if (call_marks_complete(call)) {
		judge_command_end(call, false, marks[0].code);
		return;
	}
	if (call->spawn.end == SPAWN_NOT_STARTED) {
		judge_not_spawned(call);
	} else if (call->spawn.end == SPAWN_LOST) {
		call->result->end = HOOKBOX_LOST;
		result_set_message(call->result, "%s", call->spawn.message);
	} else {
		judge_without_marks(call);
	}
}
