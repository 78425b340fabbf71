/* SPDX-License-Identifier: MIT */
/* Arguments, environment and working directory: nothing is lost, cut or parsed. */
#include "kit.h"

#include <errno.h>
#include <stdlib.h>

#include "hookbox/sandbox_plugin.h"

static void every_byte(char text[256])
{
	for (int i = 1; i < 256; i++)
		text[i - 1] = (char)i;
	text[255] = '\0';
}

static void args_awkward(struct kit *kit)
{
	static const char expected[] = "[][-n][--][*][?][$HOME][$(id)][`id`][a  "
				       "b]['][\"][\\][\n\n][\t][!][#][~][%s][;][&][|]";
	_cleanup_result_ struct hookbox_result *result =
		KIT_CALL(kit, PLAIN, "sh", "-c", "for a; do printf '[%s]' \"$a\"; done", "sh", "",
			 "-n", "--", "*", "?", "$HOME", "$(id)", "`id`", "a  b", "'", "\"", "\\",
			 "\n\n", "\t", "!", "#", "~", "%s", ";", "&", "|");

	kit_said(kit, result, expected, strlen(expected));
}

static void args_utf8_and_not(struct kit *kit)
{
	static const char text[] =
		"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xb3 \xff\xfe\x80 \xc3(";
	_cleanup_result_ struct hookbox_result *result = KIT_CALL(kit, PLAIN, "printf", "%s", text);

	kit_said(kit, result, text, strlen(text));
}

static void args_every_byte(struct kit *kit)
{
	_cleanup_result_ struct hookbox_result *result = NULL;
	char text[256];

	every_byte(text);
	result = KIT_CALL(kit, PLAIN, "sh", "-c", "printf %s \"$1\"", "sh", text);
	kit_said(kit, result, text, 255);
}

static void args_large(struct kit *kit)
{
	_cleanup_free_ char *text = kit_bytes(100000, 0);
	_cleanup_result_ struct hookbox_result *result = NULL;

	memset(text, 'x', 100000);
	text[100000] = '\0';
	result = KIT_CALL(kit, PLAIN, "sh", "-c", "printf %s \"$1\"", "sh", text);
	kit_said(kit, result, text, 100000);
}

static void args_many(struct kit *kit)
{
	const char *argv[1005] = {"sh", "-c", "echo $# ${1000}", "sh"};
	_cleanup_result_ struct hookbox_result *result = NULL;

	for (int i = 4; i < 1004; i++)
		argv[i] = i == 1003 ? "last" : "argument";
	result = kit_call(kit, PLAIN, argv);
	kit_said(kit, result, "1000 last\n", 10);
}

static void print_variable(struct kit *kit, const char *assignment, const char *expected)
{
	const char *const env[] = {assignment, NULL};
	struct hookbox_call call = {.env = env};
	_cleanup_result_ struct hookbox_result *result =
		KIT_CALL(kit, call, "sh", "-c", "printf %s \"${KIT_VARIABLE-unset}\"");

	kit_said(kit, result, expected, strlen(expected));
}

static void env_every_byte(struct kit *kit)
{
	char assignment[300], text[256];

	every_byte(text);
	snprintf(assignment, sizeof(assignment), "KIT_VARIABLE=%s", text);
	print_variable(kit, assignment, text);
}

static void env_empty(struct kit *kit)
{
	print_variable(kit, "KIT_VARIABLE=", "");
}

static void env_newlines(struct kit *kit)
{
	print_variable(kit, "KIT_VARIABLE=\n a\n\n", "\n a\n\n");
}

static void env_forwarded(struct kit *kit)
{
	setenv("KIT_VARIABLE", "from outside", 1);
	print_variable(kit, "KIT_VARIABLE", "from outside");
	unsetenv("KIT_VARIABLE");
	print_variable(kit, "KIT_VARIABLE", "unset");
}

static void env_large(struct kit *kit)
{
	static const char name[] = "KIT_VARIABLE=";
	_cleanup_free_ char *assignment = kit_bytes(sizeof(name) + 65536, 0);

	memcpy(assignment, name, sizeof(name));
	memset(assignment + sizeof(name) - 1, 'y', 65536);
	assignment[sizeof(name) - 1 + 65536] = '\0';
	print_variable(kit, assignment, assignment + sizeof(name) - 1);
}

static void env_override(struct kit *kit)
{
	const char *const env[] = {"KIT_VARIABLE=1", "HOME=/kit", "KIT_VARIABLE=2", NULL};
	struct hookbox_call call = {.env = env};
	_cleanup_result_ struct hookbox_result *result =
		KIT_CALL(kit, call, "sh", "-c", "printf %s \"$KIT_VARIABLE$HOME\"");

	kit_said(kit, result, "2/kit", 5);
}

static void env_gone(struct kit *kit)
{
	print_variable(kit, "KIT_VARIABLE=here", "here");
	print_variable(kit, "KIT_OTHER=1", "unset");
}

static void env_of_loaders(struct kit *kit)
{
	const char *const env[] = {"LD_PRELOAD=/kit/none.so", "DOCKER_HOST=tcp://127.0.0.1:1",
				   "KUBECONFIG=/kit/none", "PATH=/usr/local/bin:/usr/bin:/bin",
				   NULL};
	struct hookbox_call call = {.env = env};
	_cleanup_result_ struct hookbox_result *result =
		KIT_CALL(kit, call, "sh", "-c",
			 "printf %s \"$LD_PRELOAD $DOCKER_HOST $KUBECONFIG\" 2>/dev/null");

	kit_said(kit, result, "/kit/none.so tcp://127.0.0.1:1 /kit/none", 40);
}

static void workdir_set(struct kit *kit)
{
	struct hookbox_call call = {.workdir = "/tmp"};
	_cleanup_result_ struct hookbox_result *result = KIT_CALL(kit, call, "pwd");

	kit_said(kit, result, "/tmp\n", 5);
}

/* The directory must outlive the call that makes it. */
static void workdir_awkward(struct kit *kit)
{
	char path[64], expected[80], sleep_text[16];
	struct hookbox_call call = {.workdir = path};
	_cleanup_result_ struct hookbox_result *made = NULL, *result = NULL, *removed = NULL;

	snprintf(path, sizeof(path), "/tmp/-kit %s 'a\"b$c`d\\e*\n\xc3\xbc\xff",
		 kit_sleep(kit, sleep_text));
	snprintf(expected, sizeof(expected), "%s\n", path);
	made = KIT_CALL(kit, PLAIN, "mkdir", path);
	if (!kit_exited(kit, made, 0))
		return;
	result = KIT_CALL(kit, call, "pwd");
	removed = KIT_CALL(kit, PLAIN, "rmdir", path);
	if (kit_said(kit, result, expected, strlen(expected)))
		kit_exited(kit, removed, 0);
}

static void expect_not_started(struct kit *kit, const struct hookbox_result *result, int number,
			       const char *name)
{
	if (!result)
		return;
	EXPECT(kit, result->end == HOOKBOX_NOT_STARTED,
	       "expected that it does not start, got \"%s\" %d: %.200s",
	       hookbox_end_name(result->end), result->status,
	       result->message ? result->message : result->err);
	EXPECT(kit, result->error_number == number, "expected errno %d, got %d: %.300s", number,
	       result->error_number, result->message ? result->message : "");
	EXPECT(kit, result->message && strstr(result->message, name),
	       "the message does not name \"%s\": %.300s", name,
	       result->message ? result->message : "");
	EXPECT(kit, !result->out_size && !result->err_size,
	       "there is output of a command that did not run");
}

static void workdir_missing(struct kit *kit)
{
	struct hookbox_call call = {.workdir = "/kit/no such 'directory"};
	_cleanup_result_ struct hookbox_result *result = KIT_CALL(kit, call, "pwd");

	expect_not_started(kit, result, ENOTDIR, "no such 'directory");
}

static void command_missing(struct kit *kit)
{
	_cleanup_result_ struct hookbox_result *result =
		KIT_CALL(kit, PLAIN, "kit-no-such-command");

	expect_not_started(kit, result, ENOENT, "kit-no-such-command");
}

static void command_path_missing(struct kit *kit)
{
	_cleanup_result_ struct hookbox_result *result =
		KIT_CALL(kit, PLAIN, "/kit/no/command", "arg");

	expect_not_started(kit, result, ENOENT, "/kit/no/command");
}

static void command_not_executable(struct kit *kit)
{
	_cleanup_result_ struct hookbox_result *result = KIT_CALL(kit, PLAIN, "/etc/passwd");

	if (result && result->end == HOOKBOX_NOT_STARTED && result->error_number == ENOENT)
		kit_skip(kit, "the sandbox has no /etc/passwd to try");
	else
		expect_not_started(kit, result, EACCES, "/etc/passwd");
}

static void command_directory(struct kit *kit)
{
	_cleanup_result_ struct hookbox_result *result = KIT_CALL(kit, PLAIN, "/tmp");

	expect_not_started(kit, result, EACCES, "/tmp");
}

const struct kit_check kit_input_checks[] = {
	{"awkward arguments stay as they are", args_awkward},
	{"arguments may be UTF-8, or not", args_utf8_and_not},
	{"an argument may hold every byte", args_every_byte},
	{"an argument may have 100 KB", args_large},
	{"there may be 1000 arguments", args_many},
	{"a variable may hold every byte", env_every_byte},
	{"a variable may be empty", env_empty},
	{"a variable keeps its newlines", env_newlines},
	{"a variable is passed on by name, if there is one", env_forwarded},
	{"a variable may have 64 KiB", env_large},
	{"a variable overrides older ones", env_override},
	{"a variable is gone in the next call", env_gone},
	{"variables for loaders and CLIs reach the command and nobody else", env_of_loaders},
	{"the working directory is the one asked for", workdir_set},
	{"a working directory may have an awkward name", workdir_awkward, .never = SANDBOX_FRESH},
	{"a missing working directory is told", workdir_missing},
	{"a missing command is told", command_missing},
	{"a missing path is told", command_path_missing},
	{"a file that is not executable is told", command_not_executable},
	{"a directory is no command", command_directory},
	{0},
};
