/* SPDX-License-Identifier: MIT */
/* Configurations that are wrong: each mistake, and the one sentence that says where and what to do.
 */
#include "unit.h"

#include "config.h"
#include "files.h"

struct mistake {
	const char *text;
	const char *message; /* the whole of it */
};

#define HOOK "[hook h]\ncommand = sh\nhook = tool\n"
#define SESSION "[hook h]\ncommand = sh\nhook = session\n"
#define SANDBOX "[sandbox s]\nmode = docker_run\n"
#define X20 "xxxxxxxxxxxxxxxxxxxx"
#define X100 X20 X20 X20 X20 X20

static const struct mistake syntax_mistakes[] = {
	{"", "config: there is no section in it; write at least [hook NAME] with command = "
	     "/path/to/program and hook = tool, or remove it"},
	{"# only\n; comments\n\n",
	 "config: there is no section in it; write at least [hook NAME] with command "
	 "= /path/to/program and hook = tool, or remove it"},
	{"mode = direct\n",
	 "config:1: the key stands before any section; put it under [hookbox], [sandbox "
	 "NAME] or [hook NAME]"},
	{"  x = 1\n",
	 "config:1: an indented line continues the value above, but there is none; move it to "
	 "the line's beginning"},
	{"[hook h]\n  command = sh\n",
	 "config:2: an indented line continues the value above, but there is "
	 "none; move it to the line's beginning"},
	{HOOK "  [hook other]\n",
	 "config:4: an indented line continues the value above; move the [ to the "
	 "line's beginning"},
	{HOOK "\t[hookbox]\n",
	 "config:4: an indented line continues the value above; move the [ to the "
	 "line's beginning"},
	{HOOK "what is this\n",
	 "config:4: this is neither \"key = value\" nor a [section]; a line that "
	 "continues a value is indented"},
	{HOOK "mode: filter\n", "config:4: write \"key = value\", with = instead of :"},
	{HOOK "mo de = filter\n",
	 "config:4: the key before the = must be of letters, digits, _, . and -"},
	{HOOK "= filter\n",
	 "config:4: the key before the = must be of letters, digits, _, . and -"},
	{HOOK "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk = 1\n",
	 "config:4: the key is longer than 49 letters; see hookbox.ini(5) for the keys there are"},
	{HOOK "args = a ; b\n",
	 "config:4: \" ;\" would begin a comment within the line; put the comment on a "
	 "line of its own, write the ; without a blank before it, or ${X:-;} for it"},
	{HOOK "args = a\n  b\t;c\n",
	 "config:5: \" ;\" would begin a comment within the line; put the comment "
	 "on a line of its own, write the ; without a blank before it, or ${X:-;} "
	 "for it"},
	{HOOK "args = " X100 X100 "\n",
	 "config:4: the line has 207 bytes, more than 190; go on with the value "
	 "on the next line, indented (the parts are joined with one space)"},
	{HOOK "args = a\033[31m\n", "config:4: the line has the control character 0x1b; remove it"},
	{HOOK "args = a\rb\n", "config:4: the line has the control character 0x0d; remove it"},
	{"[hook h\n",
	 "config:1: a section's header ends in ] and stands alone on its line; write [sandbox "
	 "NAME] or [hook NAME], and a comment on a line of its own"},
	{"[hook h] # x\n",
	 "config:1: a section's header ends in ] and stands alone on its line; write "
	 "[sandbox NAME] or [hook NAME], and a comment on a line of its own"},
	{"[]\n",
	 "config:1: [] is no section's header; write [sandbox NAME] or [hook NAME], with a NAME of "
	 "letters, digits, _, . and -"},
	{"[hook a b]\n",
	 "config:1: [hook a b] is no section's header; write [sandbox NAME] or [hook NAME], "
	 "with a NAME of letters, digits, _, . and -"},
	{"[hook \"a\"]\n",
	 "config:1: [hook \"a\"] is no section's header; write [sandbox NAME] or [hook NAME], "
	 "with a NAME of letters, digits, _, . and -"},
	{"[hook " X20 X20 "xxxxx]\n",
	 "config:1: the section's header is longer than 49 letters; shorten its "
	 "name"},
	{HOOK SANDBOX "[hook h]\n",
	 "config:6: the section [hook h] stands at config:1 already; give one of "
	 "them another name or merge them"},
	{"[hookbox]\n[ hookbox]\n",
	 "config:2: the section [hookbox] stands at config:1 already; give one of "
	 "them another name or merge them"},
	{HOOK "args = ${HB_NONE}\n",
	 "config:4: the environment variable HB_NONE is not set; set it, or write "
	 "${HB_NONE:-default}"},
	{HOOK "args = x\n  ${HB_NONE\n",
	 "config:5: \"${HB_NONE\" has no closing brace; write $${ for a plain "
	 "${"},
};

static const struct mistake section_mistakes[] = {
	{"[hok h]\n", "config:1: [hok h]: \"hok\" is no kind of section: did you mean \"hook\"?"},
	{"[tools]\n",
	 "config:1: [tools]: \"tools\" is no kind of section: there is hookbox, sandbox, hook"},
	{"[hookbox x]\n", "config:1: [hookbox x]: this section has no name; write [hookbox]"},
	{"[hook]\n",
	 "config:1: [hook ]: a hook's name begins with a letter or a digit; write [hook NAME]"},
	{"[hook .h]\n",
	 "config:1: [hook .h]: a hook's name begins with a letter or a digit; write [hook "
	 "NAME]"},
	{"[sandbox]\n",
	 "config:1: [sandbox ]: a sandbox's name begins with a letter or a digit; write "
	 "[sandbox NAME]"},
	{"[sandbox -s]\n",
	 "config:1: [sandbox -s]: a sandbox's name begins with a letter or a digit; write "
	 "[sandbox NAME]"},
	{"[hookbox]\nplugin_pth = /x\n",
	 "config:2: [hookbox] plugin_pth: there is no such key: did you mean "
	 "\"plugin_path\"?"},
	{"[hookbox]\nplugin_path = x\n",
	 "config:2: [hookbox] plugin_path: \"x\" is relative, but there is no "
	 "config file that it could be relative to; write it from / on"},
};

static const struct mistake hook_mistakes[] = {
	{"[hook h]\nhook = tool\n",
	 "config:1: [hook h] command: the key is missing; name the program to run"},
	{"[hook h]\ncommand = sh\n",
	 "config:1: [hook h] hook: the key is missing; write hook = provider, tool, "
	 "session or eval"},
	{HOOK "timeout = 3\n", "config:4: [hook h] timeout: there is no such key: did you mean "
			       "\"timeout_ms\"?"},
	{HOOK "command = sh\n",
	 "config:2: [hook h] command: it stands again in line 4, but it is no list; "
	 "keep one of them"},
	{"[hook h]\ncommand = sh\nhook = tool\nmode = filter\nmode = observe\n  x\nmode = filter\n",
	 "config:4: [hook h] mode: it stands again in line 5, but it is no list; keep one of them"},
	{"[hook h]\ncommand =\n",
	 "config:2: [hook h] command: the value is empty; give one or remove the "
	 "key"},
	{"[hook h]\ncommand = -x\n",
	 "config:2: [hook h] command: \"-x\" begins with a dash; name the command "
	 "with its directory"},
	{"[hook h]\ncommand = python3 /x.py\n",
	 "config:2: [hook h] command: \"python3 /x.py\" is not split at "
	 "blanks; name one program here, and put what follows it into "
	 "args"},
	{"[hook h]\ncommand = ./x\n",
	 "config:2: [hook h] command: \"./x\" is relative, but there is no config "
	 "file that it could be relative to; write it from / on"},
	{"[hook h]\ncommand = ~/x\n",
	 "config:2: [hook h] command: \"~/x\": there is no shell that would expand "
	 "~; write ${HOME}, or ./~ for a file of that name"},
	{HOOK "env = A=1\n  2B=1\n",
	 "config:4: [hook h] env: \"2B=1\" is neither NAME=value nor NAME; a name is "
	 "of letters, digits and _"},
	{"[hook h]\nhook = tools\n",
	 "config:2: [hook h] hook: \"tools\" is no type of hook; write provider, "
	 "tool, session or eval"},
	{HOOK "phases = before_call\n",
	 "config:4: [hook h] phases: \"before_call\" is no phase of a tool hook: "
	 "there is before_execution, after_execution"},
	{SESSION "phases = session_start, session_ende\n",
	 "config:4: [hook h] phases: \"session_ende\" is no "
	 "phase of a session hook: did you mean "
	 "\"session_end\"?"},
	{HOOK "phases = ,\n",
	 "config:4: [hook h] phases: the value is empty; give one or remove the key"},
	{"[hook h]\ncommand = sh\nphases = x\nhook = eval\n",
	 "config:3: [hook h] phases: an eval hook has none; "
	 "remove the key"},
	{HOOK "mode = block\n", "config:4: [hook h] mode: \"block\" is neither filter nor observe"},
	{HOOK "timeout_ms = soon\n",
	 "config:4: [hook h] timeout_ms: \"soon\" is no time; write milliseconds, or "
	 "a number with s, m or h"},
	{HOOK "timeout_ms = -1\n",
	 "config:4: [hook h] timeout_ms: \"-1\" is no time; write milliseconds, or a "
	 "number with s, m or h"},
	{HOOK "timeout_ms = 0\n",
	 "config:4: [hook h] timeout_ms: 0 is out of range; write 1 to 86400000 ms"},
	{HOOK "timeout_ms = 25h\n",
	 "config:4: [hook h] timeout_ms: 25h is out of range; write 1 to 86400000 "
	 "ms"},
	{HOOK "on_error =\n",
	 "config:4: [hook h] on_error: the value is empty; give one or remove the key"},
	{HOOK "on_error = maybe\n",
	 "config:4: [hook h] on_error: \"maybe\" is not understood; write deny, "
	 "allow, or a list such as timeout:allow, lost:deny"},
	{HOOK "on_error = allow, lost:deny\n",
	 "config:4: [hook h] on_error: \"allow\" is not understood; write "
	 "deny, allow, or a list such as timeout:allow, lost:deny"},
	{HOOK "on_error = lost:ok\n",
	 "config:4: [hook h] on_error: \"lost:ok\" is not understood; write deny, "
	 "allow, or a list such as timeout:allow, lost:deny"},
	{HOOK "on_error = timeot:allow\n",
	 "config:4: [hook h] on_error: \"timeot\" is no cause: did you mean "
	 "\"timeout\"?"},
	{HOOK "on_error = answer:allow\n",
	 "config:4: [hook h] on_error: \"answer\" is no cause: there is exit, "
	 "signal, timeout, cancelled, output_limit, not_started, lost, "
	 "bad_answer"},
	{HOOK "on_error = lost:deny, lost:allow\n",
	 "config:4: [hook h] on_error: the cause lost stands twice; "
	 "keep one of them"},
	{HOOK "sandbox = bx\n[sandbox box]\nmode = direct\n",
	 "config:4: [hook h] sandbox: there is no [sandbox "
	 "bx]: there is box, direct"},
	{HOOK "sandbox = boxx\n[sandbox box]\nmode = direct\n",
	 "config:4: [hook h] sandbox: there is no "
	 "[sandbox boxx]: did you mean \"box\"?"},
};

static const struct mistake sandbox_mistakes[] = {
	{"[sandbox s]\nimage = x\n",
	 "config:1: [sandbox s] mode: the key is missing; name a backend, such as "
	 "mode = docker_run"},
	{"[sandbox s]\nmode = Docker-Run\n",
	 "config:2: [sandbox s] mode: \"Docker-Run\" is no name of a "
	 "backend; see `hookbox plugins list`"},
	{"[sandbox s]\nmode = ../x\n",
	 "config:2: [sandbox s] mode: \"../x\" is no name of a backend; see "
	 "`hookbox plugins list`"},
	{SANDBOX "env = A B\n",
	 "config:3: [sandbox s] env: \"A B\" is neither NAME=value nor NAME; a name is of "
	 "letters, digits and _"},
	{SANDBOX "workdir = w\n",
	 "config:3: [sandbox s] workdir: \"w\" is not absolute; write the path in the "
	 "sandbox from / on"},
	{SANDBOX "shell = bash\n", "config:3: [sandbox s] shell: \"bash\" is neither sh nor none"},
	{SANDBOX "timeout_ms = 1d\n",
	 "config:3: [sandbox s] timeout_ms: \"1d\" is no time; write milliseconds, "
	 "or a number with s, m or h"},
	{SANDBOX "pool = 257\n",
	 "config:3: [sandbox s] pool: \"257\" is no number of waiting boxes; write 0 to 256"},
	{SANDBOX "pool = many\n",
	 "config:3: [sandbox s] pool: \"many\" is no number of waiting boxes; write 0 to 256"},
	{SANDBOX "pool_max_age = 999\n",
	 "config:3: [sandbox s] pool_max_age: a box needs longer than that to be made; write 1s or "
	 "more, or 0 for no limit"},
	{SANDBOX "network_keeper = maybe\n",
	 "config:3: [sandbox s] network_keeper: \"maybe\" is neither yes nor no"},
	{SANDBOX "stdout_limit = 8MB\n",
	 "config:3: [sandbox s] stdout_limit: \"8MB\" is no size; write a number "
	 "of bytes, with k, m or g"},
	{SANDBOX "stderr_limit = -1\n",
	 "config:3: [sandbox s] stderr_limit: \"-1\" is no size; write a number "
	 "of bytes, with k, m or g"},
	{SANDBOX "image = a\ndocker_run.image = b\n",
	 "config:4: [sandbox s] image: it stands at config:3 "
	 "already; keep one of them"},
	{SANDBOX "docker_run.mode = direct\n",
	 "config:3: [sandbox s] mode: it stands at config:2 already; keep "
	 "one of them"},
	{SANDBOX "Docker.image = a\n",
	 "config:3: [sandbox s] Docker.image: a key with a dot is MODE.KEY, for "
	 "one mode alone; name the backend before the dot and its key behind it"},
	{SANDBOX "docker_run. = a\n",
	 "config:3: [sandbox s] docker_run.: a key with a dot is MODE.KEY, for one "
	 "mode alone; name the backend before the dot and its key behind it"},
	{"[sandbox direct]\nmode = docker_run\n",
	 "config:1: [sandbox direct]: the name \"direct\" stands for "
	 "no isolation; give a sandbox with mode = docker_run another "
	 "name"},
};

static void check_mistakes(const struct mistake *mistakes, size_t n)
{
	unsetenv("HB_NONE");
	for (size_t i = 0; i < n; i++) {
		struct hookbox_error error = {0};
		struct config *config = NULL;

		if (!config_load_text(mistakes[i].text, &config, &error)) {
			config_free(config);
			fail_msg("accepted: %s", mistakes[i].text);
		}
		assert_null(config);
		assert_int_equal(error.code, -EINVAL);
		assert_string_equal(error.message, mistakes[i].message);
		assert_int_equal(config_load_text(mistakes[i].text, &config, NULL), -EINVAL);
	}
}

#define MISTAKES_TEST(name)                                                                        \
	static void test_##name(void **state)                                                      \
	{                                                                                          \
		check_mistakes(name, sizeof(name) / sizeof((name)[0]));                            \
	}

MISTAKES_TEST(syntax_mistakes)
MISTAKES_TEST(section_mistakes)
MISTAKES_TEST(hook_mistakes)
MISTAKES_TEST(sandbox_mistakes)

/* ---- Files ---- */

static void refuse_file(const char *path, const char *first, const char *second)
{
	struct hookbox_error error = {0};
	struct config *config = NULL;

	assert_true(config_load(path, &config, &error) < 0);
	assert_null(config);
	assert_contains(error.message, first);
	assert_contains(error.message, second);
}

static void test_empty_files(void **state)
{
	const char *main_file = files_write("empty/hookbox.ini", "");

	refuse_file(main_file, main_file,
		    ": there is no section in it; write at least [hook NAME]");
	refuse_file(files_path("none.ini"), files_path("none.ini"),
		    "cannot be opened: No such file");
	files_write("empty/hookbox.ini", HOOK);
	refuse_file((files_write("empty/conf.d/x.ini", "# all is off\n"), main_file),
		    "conf.d/x.ini: there is no section in it", "or remove it");
}

static void test_the_same_section_in_two_files(void **state)
{
	char message[1200];

	files_write("twice/hookbox.ini", HOOK);
	files_write("twice/conf.d/10.ini", "\n[hook h]\n");
	snprintf(message, sizeof(message), "%s:2: the section [hook h] stands at %s:1 already",
		 files_path("twice/conf.d/10.ini"), files_path("twice/hookbox.ini"));
	refuse_file(files_path("twice/hookbox.ini"), message, "give one of them another name");
}

/* There is no include: a circle can only be made of links. */
static void test_circles(void **state)
{
	files_write("circle/hookbox.ini", HOOK);
	mkdir(files_path("circle/conf.d"), 0700);
	assert_int_equal(symlink("../hookbox.ini", files_path("circle/conf.d/main.ini")), 0);
	refuse_file(files_path("circle/hookbox.ini"),
		    "circle/conf.d/main.ini:1: the section [hook h] stands at",
		    "circle/hookbox.ini:1 already");
	files_write("circle2/hookbox.ini", HOOK);
	assert_int_equal(symlink("conf.d", files_path("circle2/conf.d")), 0);
	refuse_file(files_path("circle2/hookbox.ini"),
		    "circle2/conf.d\" cannot be read: Too many levels",
		    "make it readable, or remove it");
}

static void test_conf_d_that_is_none(void **state)
{
	const char *main_file = files_write("odd/hookbox.ini", HOOK);

	files_write("odd/conf.d", "x");
	refuse_file(main_file, "odd/conf.d\" cannot be read: Not a directory", "remove it");
	unlink(files_path("odd/conf.d"));
	mkdir(files_path("odd/conf.d"), 0700);
	assert_int_equal(chmod(files_path("odd/conf.d"), 0777), 0);
	refuse_file(main_file, "the config directory", "can be changed by others (mode 0777)");
	assert_int_equal(chmod(files_path("odd/conf.d"), 0700), 0);
	assert_int_equal(symlink("nowhere", files_path("odd/conf.d/x.ini")), 0);
	refuse_file(main_file, "odd/conf.d/x.ini\" cannot be opened: No such file", "create it");
}

static void test_a_relative_file_names_itself(void **state)
{
	char cwd[512];

	files_write("here.ini", "[hook h]\ncommand = ./x\nhok = tool\n");
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(chdir(files_dir), 0);
	refuse_file("here.ini", "here.ini:3: [hook h] hok: there is no such key", "\"hook\"");
	assert_int_equal(chdir(cwd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax_mistakes),
		cmocka_unit_test(test_section_mistakes),
		cmocka_unit_test(test_hook_mistakes),
		cmocka_unit_test(test_sandbox_mistakes),
		cmocka_unit_test(test_empty_files),
		cmocka_unit_test(test_the_same_section_in_two_files),
		cmocka_unit_test(test_circles),
		cmocka_unit_test(test_conf_d_that_is_none),
		cmocka_unit_test(test_a_relative_file_names_itself),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
