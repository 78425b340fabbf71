/* SPDX-License-Identifier: MIT */
/* Configurations that are right: what each key becomes, files, and where they are found. */
#include "unit.h"

#include "cleanup.h"
#include "config.h"
#include "files.h"

static void free_config(struct config **config)
{
	config_free(*config);
}

#define _cleanup_config_ __attribute__((cleanup(free_config)))

static struct config *load_text(const char *text)
{
	struct hookbox_error error = {0};
	struct config *config = NULL;

	if (config_load_text(text, &config, &error))
		fail_msg("%s", error.message);
	return config;
}

static struct config *load_file(const char *path)
{
	struct hookbox_error error = {0};
	struct config *config = NULL;

	if (config_load(path, &config, &error))
		fail_msg("%s", error.message);
	return config;
}

/* The strings of a vector, with a bar behind each. */
static void assert_strv(const struct strv *strv, const char *expected)
{
	_cleanup_buf_ struct buf joined = {0};

	buf_add_string(&joined, "");
	for (size_t i = 0; i < strv->n; i++)
		buf_printf(&joined, "%s|", strv->v[i]);
	assert_string_equal(joined.data, expected);
}

static void test_a_hook_with_every_key(void **state)
{
	_cleanup_config_ struct config *config =
		load_text("[sandbox box]\nmode = direct\n[hook all]\ncommand = /bin/a b/c\nargs = "
			  "-x\n  two words\n"
			  "args = ${HB_NONE:-}\nenv = A=1=2\n  B\nhook = provider\nphases = "
			  "after_call, before_call\n"
			  "mode = observe\ntimeout_ms = 3s\non_error = timeout:allow, lost:deny\n  "
			  "exit:allow\n"
			  "sandbox = box\n");
	const struct config_hook *hook = &config->hooks[0];

	assert_int_equal(config->n_hooks, 1);
	assert_string_equal(hook->name, "all");
	assert_string_equal(hook->where, "config:3");
	assert_string_equal(hook->command, "/bin/a b/c");
	assert_strv(&hook->args, "-x|two words||");
	assert_strv(&hook->env, "A=1=2|B|");
	assert_int_equal(hook->type, HOOK_PROVIDER);
	assert_strv(&hook->phases, "after_call|before_call|");
	assert_int_equal(hook->mode, HOOK_OBSERVE);
	assert_int_equal(hook->timeout_ms, 3000);
	assert_int_equal(hook->allow_on, 1u << HOOKBOX_CAUSE_TIMEOUT | 1u << HOOKBOX_CAUSE_EXIT);
	assert_string_equal(hook->sandbox, "box");
	assert_null(config->path);
}

static void test_what_a_hook_leaves_out(void **state)
{
	_cleanup_config_ struct config *config =
		load_text("[hook a]\ncommand = sh\nhook = session\n"
			  "[hook b]\nhook = eval\ncommand = sh\n"
			  "[hook c]\nhook = tool\ncommand = sh\n"
			  "[hook d]\nhook = provider\ncommand = sh\n");

	assert_int_equal(config->n_hooks, 4);
	assert_string_equal(config->hooks[0].command, "sh");
	assert_int_equal(config->hooks[0].args.n, 0);
	assert_int_equal(config->hooks[0].env.n, 0);
	assert_int_equal(config->hooks[0].mode, HOOK_FILTER);
	assert_int_equal(config->hooks[0].timeout_ms, 10000);
	assert_int_equal(config->hooks[0].allow_on, 0);
	assert_string_equal(config->hooks[0].sandbox, "direct");
	assert_strv(&config->hooks[0].phases, "session_start|session_update|session_end|");
	assert_strv(&config->hooks[1].phases, "");
	assert_strv(&config->hooks[2].phases, "before_execution|after_execution|");
	assert_strv(&config->hooks[3].phases, "before_call|after_call|");
}

static void test_lists_of_phases_and_causes(void **state)
{
	_cleanup_config_ struct config *config = load_text(
		"[hook a]\ncommand = sh\nhook = session\nphases = session_end "
		"session_start\non_error = allow\n"
		"[hook b]\ncommand = sh\nhook = tool\nphases =\n  before_execution\n  "
		"after_execution\n"
		"on_error = deny\n[hook c]\ncommand = sh\nhook = tool\nphases = before_execution\n"
		"phases = after_execution\non_error = bad_answer:allow\non_error = signal:deny\n");
	cause_set all = 0;

	for (int cause = HOOKBOX_CAUSE_EXIT; cause <= HOOKBOX_CAUSE_BAD_ANSWER; cause++)
		all |= 1u << cause;
	assert_strv(&config->hooks[0].phases, "session_end|session_start|");
	assert_int_equal(config->hooks[0].allow_on, all);
	assert_false(all & (1u << HOOKBOX_CAUSE_ANSWER | 1u << HOOKBOX_CAUSE_NOT_GATING));
	assert_strv(&config->hooks[1].phases, "before_execution|after_execution|");
	assert_int_equal(config->hooks[1].allow_on, 0);
	assert_strv(&config->hooks[2].phases, "before_execution|after_execution|");
	assert_int_equal(config->hooks[2].allow_on, 1u << HOOKBOX_CAUSE_BAD_ANSWER);
}

static void test_a_sandbox_with_every_key(void **state)
{
	_cleanup_config_ struct config *config =
		load_text("[sandbox s]\nimage = python:3.12-slim\nmode = docker_run\nenv = "
			  "A=1\nenv = B\nworkdir = /w\n"
			  "shell = none\ntimeout_ms = 2m\nstdout_limit = 64k\nstderr_limit = "
			  "7\nmounts = ./a:/a\n  ./b:/b\n");
	const struct config_sandbox *sandbox = &config->sandboxes[0];

	assert_int_equal(config->n_sandboxes, 1);
	assert_string_equal(sandbox->name, "s");
	assert_string_equal(sandbox->where, "config:1");
	assert_null(sandbox->dir);
	assert_string_equal(sandbox->mode, "docker_run");
	assert_strv(&sandbox->env, "A=1|B|");
	assert_string_equal(sandbox->workdir, "/w");
	assert_false(sandbox->shell);
	assert_int_equal(sandbox->timeout_ms, 120000);
	assert_int_equal(sandbox->stdout_limit, 65536);
	assert_int_equal(sandbox->stderr_limit, 7);
	assert_int_equal(sandbox->n_params, 2);
	assert_string_equal(sandbox->params[0].key, "image");
	assert_string_equal(sandbox->params[0].values[0], "python:3.12-slim");
	assert_string_equal(sandbox->params[0].where, "config:2");
	assert_string_equal(sandbox->params[1].key, "mounts");
	assert_int_equal(sandbox->params[1].n_items, 2);
}

static void test_what_a_sandbox_leaves_out(void **state)
{
	_cleanup_config_ struct config *config = load_text("[sandbox direct]\nmode = direct\n");
	const struct config_sandbox *sandbox = &config->sandboxes[0];

	assert_true(sandbox->shell);
	assert_null(sandbox->workdir);
	assert_int_equal(sandbox->env.n, 0);
	assert_int_equal(sandbox->timeout_ms, 0);
	assert_int_equal(sandbox->stdout_limit, 0);
	assert_int_equal(sandbox->stderr_limit, 0);
	assert_int_equal(sandbox->n_params, 0);
}

/* The keys of several modes in one section: changing one line changes where it runs. */
static void test_keys_of_one_mode(void **state)
{
	static const char text[] =
		"[sandbox s]\nuser = me\ndocker_run.image = i\ndocker_exec.container = c\n"
		"docker_exec.workdir = /w\ndocker_run.env = A=1\nmode = %s\n";
	char run_text[300], exec_text[300];
	_cleanup_config_ struct config *run = NULL;
	_cleanup_config_ struct config *exec = NULL;

	snprintf(run_text, sizeof(run_text), text, "docker_run");
	snprintf(exec_text, sizeof(exec_text), text, "docker_exec");
	run = load_text(run_text);
	exec = load_text(exec_text);
	assert_int_equal(run->sandboxes[0].n_params, 2);
	assert_string_equal(run->sandboxes[0].params[0].key, "user");
	assert_string_equal(run->sandboxes[0].params[1].key, "image");
	assert_string_equal(run->sandboxes[0].params[1].values[0], "i");
	assert_strv(&run->sandboxes[0].env, "A=1|");
	assert_null(run->sandboxes[0].workdir);
	assert_int_equal(exec->sandboxes[0].n_params, 2);
	assert_string_equal(exec->sandboxes[0].params[1].key, "container");
	assert_string_equal(exec->sandboxes[0].workdir, "/w");
	assert_int_equal(exec->sandboxes[0].env.n, 0);
}

static void test_long_scalars_and_the_environment(void **state)
{
	_cleanup_config_ struct config *config = NULL;

	setenv("HB_BOX", "box.1", 1);
	config = load_text(
		"[sandbox box.1]\nmode = direct\ndescription = a long\n\ttext, ${HB_NONE:-of}\n"
		"  three lines\n[hook a]\ncommand = sh\nhook = tool\nsandbox = ${HB_BOX}\n");
	assert_string_equal(config->sandboxes[0].params[0].values[0],
			    "a long text, of three lines");
	assert_string_equal(config->hooks[0].sandbox, "box.1");
}

/* ---- Files ---- */

static void test_relative_paths_are_of_the_file(void **state)
{
	_cleanup_free_ char *real = realpath(files_dir, NULL);
	_cleanup_config_ struct config *config = load_file(files_write(
		"rel.ini",
		"[hookbox]\nplugin_path = ./plugins/\n  /opt/x\nplugin_path = more\n[sandbox "
		"s]\nmode = direct\n"
		"[hook a]\ncommand = ./bin/../a b\nhook = tool\n[hook b]\ncommand = bin/b\nhook = "
		"tool\n"
		"[hook c]\ncommand = c\nhook = tool\n[hook d]\ncommand = ././/d\nhook = tool\n"));
	char expected[1200];

	snprintf(expected, sizeof(expected), "%s/plugins|/opt/x|%s/more|", real, real);
	assert_strv(&config->plugin_path, expected);
	assert_string_equal(config->sandboxes[0].dir, real);
	snprintf(expected, sizeof(expected), "%s/bin/../a b", real);
	assert_string_equal(config->hooks[0].command, expected);
	snprintf(expected, sizeof(expected), "%s/bin/b", real);
	assert_string_equal(config->hooks[1].command, expected);
	assert_string_equal(config->hooks[2].command, "c");
	snprintf(expected, sizeof(expected), "%s/d", real);
	assert_string_equal(config->hooks[3].command, expected);
}

static void test_conf_d_in_name_order(void **state)
{
	_cleanup_config_ struct config *config = NULL;
	char expected[2000];

	files_write("main/hookbox.ini", "[hook m]\ncommand = sh\nhook = tool\nsandbox = s10\n");
	files_write("main/conf.d/20-b.ini", "[hook b]\ncommand = ./b\nhook = tool\n");
	files_write("main/conf.d/10-a.ini", "[hook a]\ncommand = sh\nhook = tool\n"
					    "[sandbox s10]\nmode = direct\n");
	files_write("main/conf.d/.hidden.ini", "broken");
	files_write("main/conf.d/30-c.ini.dpkg-old", "broken");
	files_write("main/conf.d/README", "broken");
	config = load_file(files_path("main/hookbox.ini"));
	assert_int_equal(config->n_hooks, 3);
	assert_string_equal(config->hooks[0].name, "m");
	assert_string_equal(config->hooks[1].name, "a");
	assert_string_equal(config->hooks[2].name, "b");
	assert_string_equal(config->path, files_path("main/hookbox.ini"));
	snprintf(expected, sizeof(expected), "%s|%s|%s|", files_path("main/hookbox.ini"),
		 files_path("main/conf.d/10-a.ini"), files_path("main/conf.d/20-b.ini"));
	assert_strv(&config->files, expected);
	assert_contains(config->hooks[2].command, "/main/conf.d/b");
}

static void test_many_hooks_and_sandboxes(void **state)
{
	_cleanup_buf_ struct buf text = {0};
	_cleanup_config_ struct config *config = NULL;

	for (int i = 0; i < 20; i++)
		buf_printf(&text, "[sandbox box%d]\nmode = docker_run\nimage = image%d\nuser = u\n",
			   i, i);
	for (int i = 0; i < 100; i++)
		buf_printf(&text,
			   "[hook hook%d]\ncommand = /bin/c%d\nargs = a\n  b\nhook = tool\n"
			   "phases = before_execution\nsandbox = box%d\n",
			   i, i, i % 20);
	config = load_file(files_write("many.ini", text.data));
	assert_int_equal(config->n_hooks, 100);
	assert_int_equal(config->n_sandboxes, 20);
	for (int i = 0; i < 100; i++) {
		char name[32];

		snprintf(name, sizeof(name), "hook%d", i);
		assert_string_equal(config->hooks[i].name, name);
		snprintf(name, sizeof(name), "box%d", i % 20);
		assert_string_equal(config->hooks[i].sandbox, name);
	}
	assert_string_equal(config->sandboxes[19].params[0].values[0], "image19");
}

/* ---- Where it is found ---- */

static void find(int code, const char *part)
{
	struct hookbox_error error = {0};
	_cleanup_free_ char *path = NULL;

	assert_int_equal(config_find(&path, &error), code);
	if (code)
		assert_contains(error.message, part);
	else
		assert_string_equal(path, part);
}

static void test_where_a_configuration_is_found(void **state)
{
	unsetenv("HOOKBOX_CONFIG");
	setenv("HOME", files_path("home"), 1);
	setenv("XDG_CONFIG_HOME", files_path("xdg"), 1);
	if (access(HOOKBOX_SYSCONF_DIR "/hookbox.ini", F_OK)) {
		find(-ENOENT, "xdg/hookbox/hookbox.ini");
		find(-ENOENT, HOOKBOX_SYSCONF_DIR "/hookbox.ini");
	}
	mkdir(files_path("home"), 0700);
	mkdir(files_path("home/.config"), 0700);
	files_write("home/.config/hookbox/hookbox.ini", "");
	mkdir(files_path("xdg"), 0700);
	mkdir(files_path("xdg/hookbox"), 0700);
	/* A link that leads nowhere is there: it must not be passed over. */
	assert_int_equal(symlink("nowhere", files_path("xdg/hookbox/hookbox.ini")), 0);
	find(0, files_path("xdg/hookbox/hookbox.ini"));
	setenv("XDG_CONFIG_HOME", "relative", 1);
	find(0, files_path("home/.config/hookbox/hookbox.ini"));
	unsetenv("XDG_CONFIG_HOME");
	find(0, files_path("home/.config/hookbox/hookbox.ini"));
	setenv("HOOKBOX_CONFIG", "/none/such.ini", 1);
	find(0, "/none/such.ini");
	setenv("HOOKBOX_CONFIG", "hookbox.ini", 1);
	find(-EINVAL,
	     "HOOKBOX_CONFIG is \"hookbox.ini\", which would be another file in every directory");
	unsetenv("HOOKBOX_CONFIG");
}

static void test_words(void **state)
{
	assert_int_equal(hook_type_from("eval"), HOOK_EVAL);
	assert_int_equal(hook_type_from("evil"), 0);
	assert_string_equal(hook_type_name(HOOK_TOOL), "tool");
	assert_null(hook_type_phases(HOOK_EVAL)[0]);
	assert_string_equal(hook_mode_name(HOOK_OBSERVE), "observe");
	assert_true(env_entry_ok("A"));
	assert_true(env_entry_ok("_a1="));
	assert_false(env_entry_ok(""));
	assert_false(env_entry_ok("=x"));
	assert_false(env_entry_ok("1A=x"));
	assert_false(env_entry_ok("A-B=x"));
	config_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_hook_with_every_key),
		cmocka_unit_test(test_what_a_hook_leaves_out),
		cmocka_unit_test(test_lists_of_phases_and_causes),
		cmocka_unit_test(test_a_sandbox_with_every_key),
		cmocka_unit_test(test_what_a_sandbox_leaves_out),
		cmocka_unit_test(test_keys_of_one_mode),
		cmocka_unit_test(test_long_scalars_and_the_environment),
		cmocka_unit_test(test_relative_paths_are_of_the_file),
		cmocka_unit_test(test_conf_d_in_name_order),
		cmocka_unit_test(test_many_hooks_and_sandboxes),
		cmocka_unit_test(test_where_a_configuration_is_found),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
