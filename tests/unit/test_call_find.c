/* SPDX-License-Identifier: MIT */
/* Calls in boxes that are found or started: looked for anew, and cleared of what was left. */
#include "unit.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#include "sandboxes.h"
#include "cleanup.h"

/* ---- A backend whose boxes are found: the first that it is not asked to leave out ---- */

static struct finder {
	const char *boxes[3];	/* those that are there, NULL-terminated */
	const char *gone;	/* one that does not answer */
	bool mute;		/* nothing but the command itself gets through, without a word */
	unsigned int asked;
} finder;

static int finder_find(void *instance, const struct sandbox_box_request *request,
		       const struct sandbox_text_sink *id, char error[SANDBOX_ERROR_SIZE])
{
	finder.asked++;
	for (const char *const *box = finder.boxes; *box; box++)
		if (!request->not_box_id || strcmp(*box, request->not_box_id)) {
			id->text(id, *box);
			return 0;
		}
	snprintf(error, SANDBOX_ERROR_SIZE, "no such box");
	return -ENOENT;
}

static const void *finder_extension(const char *id)
{
	static const struct sandbox_box_v1 box = {.size = sizeof(box), .find = finder_find};

	return strcmp(id, SANDBOX_BOX_EXTENSION) ? NULL : &box;
}

/* What runs in a box that is gone ends before it reports. */
static int finder_plan(const void *instance, const struct sandbox_plan_request *request,
		       const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	static const char *const dead[] = {"false", NULL}, *const mute[] = {"true", NULL};
	struct sandbox_plan_request planned = *request;
	_cleanup_free_ char *box = NULL;

	assert_non_null(request->box_id);
	if (finder.gone && !strcmp(request->box_id, finder.gone))
		planned.argv = dead;
	/* Whoever sweeps makes nothing that could have a label. */
	if (finder.mute && !*request->labels)
		planned.argv = mute;
	if (asprintf(&box, "BOX=%s", request->box_id) > 0)
		sink->env(sink, box);
	return here_plan(instance, &planned, sink, error);
}

static const struct sandbox_plugin_v1 finder_plugin = {
	BACKEND(SANDBOX_KEPT | SANDBOX_SHELL | SANDBOX_SIGNALS_AS_128N),
	.name = "finder", .plan = finder_plan, .get_extension = finder_extension,
};

static void expect_box(struct sandbox *sandbox, enum hookbox_end end, const char *box)
{
	struct hookbox_result *r = RUN(sandbox, PLAIN, "sh", "-c", "printf %s \"$BOX\"");

	assert_int_equal(r->end, end);
	assert_string_equal(r->out, box);
	hookbox_result_free(r);
}

static void test_a_box_that_went_is_looked_for_anew(void **state)
{
	struct fixture f;
	struct hookbox_result *r;

	finder = (struct finder){.boxes = {"bad", "good"}, .gone = "bad"};
	open_sandbox(&f, &finder_plugin);
	expect_box(f.sandbox, HOOKBOX_NOT_STARTED, "");
	expect_box(f.sandbox, HOOKBOX_EXITED, "good");
	expect_box(f.sandbox, HOOKBOX_EXITED, "good");
	assert_int_equal(finder.asked, 2);
	close_sandbox(&f);
	/* One that goes between two calls fails neither. */
	finder = (struct finder){.boxes = {"good", "better"}};
	open_sandbox(&f, &finder_plugin);
	expect_box(f.sandbox, HOOKBOX_EXITED, "good");
	finder.gone = "good";
	expect_box(f.sandbox, HOOKBOX_EXITED, "better");
	assert_int_equal(finder.asked, 2);
	/* The only one there is may have come back. */
	r = RUN(f.sandbox, PLAIN, "sh", "-c", "kill -9 $PPID");
	assert_int_equal(r->end, HOOKBOX_LOST);
	hookbox_result_free(r);
	finder.boxes[0] = "better";
	finder.boxes[1] = NULL;
	expect_box(f.sandbox, HOOKBOX_EXITED, "better");
	assert_int_equal(finder.asked, 4);
	close_sandbox(&f);
	finder.boxes[0] = NULL;
	open_sandbox(&f, &finder_plugin);
	r = RUN(f.sandbox, PLAIN, "true");
	assert_int_equal(r->end, HOOKBOX_NOT_STARTED);
	assert_contains(r->message, "no such box");
	hookbox_result_free(r);
	close_sandbox(&f);
}

/* ---- The same backend, which starts boxes instead ---- */

static struct starter {
	unsigned int started;	/* boxes are "1", "2" ... */
	char stopped[16];	/* in that order */
	const char *alive;	/* what find() knows to run */
	unsigned int slow_us;	/* what a start takes */
	const char *script;	/* what it runs; NULL: nothing */
	const struct sandbox_host *host;
	int run_code;
} starter;

static int starter_open(void *instance, const struct sandbox_host *host,
			char error[SANDBOX_ERROR_SIZE])
{
	starter.host = host;
	return 0;
}

static int run_script(char error[SANDBOX_ERROR_SIZE])
{
	const char *const argv[] = {"sh", "-c", starter.script, NULL}, *const none[] = {NULL};
	struct sandbox_command_result result = {.size = sizeof(result)};
	const struct sandbox_command command = {
		.size = sizeof(command), .argv = argv, .env = none, .timeout_ms = 60000,
	};
	int code = starter.host->run(starter.host, &command, &result, error);

	starter.host->run_done(starter.host, &result);
	return code;
}

static int starter_find(void *instance, const struct sandbox_box_request *request,
			const struct sandbox_text_sink *id, char error[SANDBOX_ERROR_SIZE])
{
	if (!request->not_box_id || !starter.alive || strcmp(request->not_box_id, starter.alive))
		return -ENOENT;
	id->text(id, starter.alive);
	return 0;
}

static int starter_start(void *instance, const struct sandbox_box_request *request,
			 const struct sandbox_text_sink *id, char error[SANDBOX_ERROR_SIZE])
{
	char name[16];

	assert_non_null(request->labels[0]);
	assert_true(!strncmp(request->labels[0], "hookbox.owner=", 14));
	usleep(starter.slow_us);
	starter.run_code = starter.script ? run_script(error) : 0;
	if (starter.run_code)
		return starter.run_code;
	snprintf(name, sizeof(name), "%u", __atomic_add_fetch(&starter.started, 1, __ATOMIC_RELAXED));
	id->text(id, name);
	return 0;
}

static int starter_stop(void *instance, const struct sandbox_box_request *request,
			const char *box_id, char error[SANDBOX_ERROR_SIZE])
{
	strcat(starter.stopped, box_id);
	return 0;
}

static const void *starter_extension(const char *id)
{
	static const struct sandbox_box_v1 box = {
		.size = sizeof(box), .find = starter_find, .start = starter_start,
		.stop = starter_stop,
	};

	return strcmp(id, SANDBOX_BOX_EXTENSION) ? NULL : &box;
}

static const struct sandbox_plugin_v1 starter_plugin = {
	BACKEND(SANDBOX_KEPT | SANDBOX_SHELL | SANDBOX_SIGNALS_AS_128N),
	.name = "starter", .open = starter_open, .plan = finder_plan, .get_extension = starter_extension,
};

static void lose_a_call(struct sandbox *sandbox)
{
	struct hookbox_result *r = RUN(sandbox, PLAIN, "sh", "-c", "kill -9 $PPID");

	assert_int_equal(r->end, HOOKBOX_LOST);
	hookbox_result_free(r);
}

static void test_a_started_box_that_died_is_started_anew(void **state)
{
	struct fixture f;

	finder = (struct finder){0};
	starter = (struct starter){0};
	open_sandbox(&f, &starter_plugin);
	expect_box(f.sandbox, HOOKBOX_EXITED, "1");
	expect_box(f.sandbox, HOOKBOX_EXITED, "1");
	/* It was only the connection. */
	starter.alive = "1";
	lose_a_call(f.sandbox);
	expect_box(f.sandbox, HOOKBOX_EXITED, "1");
	assert_string_equal(starter.stopped, "");
	starter.alive = NULL;
	lose_a_call(f.sandbox);
	expect_box(f.sandbox, HOOKBOX_EXITED, "2");
	assert_string_equal(starter.stopped, "1");
	/* Nor is one forgotten that nobody asked for since. */
	lose_a_call(f.sandbox);
	close_sandbox(&f);
	assert_string_equal(starter.stopped, "12");
}

static void test_the_start_of_a_box_takes_none_of_the_calls_time(void **state)
{
	const struct hookbox_call brief = {.timeout_ms = 1500};
	struct hookbox_result *r;
	struct fixture f;

	finder = (struct finder){0};
	starter = (struct starter){.slow_us = 1600000};
	open_sandbox(&f, &starter_plugin);
	r = RUN(f.sandbox, brief, "echo", "done");
	assert_int_equal(r->end, HOOKBOX_EXITED);
	hookbox_result_free(r);
	close_sandbox(&f);
}

/* ---- Calls that are cancelled while a box is being started ---- */

struct asker {
	struct sandbox *sandbox;
	struct hookbox_call call;
	struct hookbox_result *result;
	pthread_t thread;
};

static void *ask(void *data)
{
	struct asker *asker = data;

	asker->result = RUN(asker->sandbox, asker->call, "echo", "done");
	return NULL;
}

static void begin(struct asker *asker)
{
	assert_int_equal(pthread_create(&asker->thread, NULL, ask, asker), 0);
}

static enum hookbox_end end_of(struct asker *asker)
{
	enum hookbox_end end;

	pthread_join(asker->thread, NULL);
	end = asker->result->end;
	assert_int_equal(asker->result->cleanup, end == HOOKBOX_EXITED ? HOOKBOX_CLEANUP_SWEPT :
									 HOOKBOX_CLEANUP_PROVEN);
	hookbox_result_free(asker->result);
	return end;
}

/* The start goes on for the others, whose time begins with the box. */
static void test_one_who_waits_for_a_box_is_cancelled(void **state)
{
	struct fixture f;
	struct asker first, brief, cancelled;

	finder = (struct finder){0};
	starter = (struct starter){.slow_us = 3000000};
	open_sandbox(&f, &starter_plugin);
	first = brief = cancelled = (struct asker){.sandbox = f.sandbox};
	brief.call.timeout_ms = 2000;
	cancelled.call.cancel = hookbox_cancel_new();
	begin(&first);
	usleep(300000);
	begin(&brief);
	begin(&cancelled);
	usleep(100000);
	hookbox_cancel_fire(cancelled.call.cancel);
	assert_int_equal(end_of(&cancelled), HOOKBOX_CANCELLED);
	assert_int_equal(__atomic_load_n(&starter.started, __ATOMIC_RELAXED), 0);
	assert_int_equal(end_of(&first), HOOKBOX_EXITED);
	assert_int_equal(end_of(&brief), HOOKBOX_EXITED);
	assert_int_equal(starter.started, 1);
	hookbox_cancel_free(cancelled.call.cancel);
	close_sandbox(&f);
}

/* Hosts that leave something note it in a directory of the test's. */
struct notes {
	char dir[32];
};

static void notes_begin(struct notes *notes)
{
	strcpy(notes->dir, "/tmp/hookbox-test-find-XXXXXX");
	assert_non_null(mkdtemp(notes->dir));
	setenv("XDG_RUNTIME_DIR", notes->dir, 1);
}

/* Returns how many notes there were. */
static int notes_end(struct notes *notes)
{
	_cleanup_free_ char *path = NULL;
	struct dirent *entry;
	int n = 0;
	DIR *dir;

	assert_true(asprintf(&path, "%s/hookbox", notes->dir) > 0);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.') {
			n++;
			unlinkat(dirfd(dir), entry->d_name, 0);
		}
	closedir(dir);
	unsetenv("XDG_RUNTIME_DIR");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(notes->dir), 0);
	return n;
}

/* Who starts it is cancelled: so is the start, and the next call begins another. */
static void test_one_who_starts_a_box_is_cancelled(void **state)
{
	struct notes notes;
	struct fixture f;
	struct asker first;

	notes_begin(&notes);
	finder = (struct finder){0};
	starter = (struct starter){.script = "exec sleep 30"};
	open_sandbox(&f, &starter_plugin);
	first = (struct asker){.sandbox = f.sandbox, .call.cancel = hookbox_cancel_new()};
	begin(&first);
	usleep(300000);
	hookbox_cancel_fire(first.call.cancel);
	assert_int_equal(end_of(&first), HOOKBOX_CANCELLED);
	assert_int_equal(starter.run_code, -ECANCELED);
	assert_int_equal(starter.started, 0);
	starter.script = "exit 0";
	expect_box(f.sandbox, HOOKBOX_EXITED, "1");
	hookbox_cancel_free(first.call.cancel);
	close_sandbox(&f);
	/* What the start may have left is the next host's to look for. */
	assert_int_equal(notes_end(&notes), 1);
}

/* A CLI that loses its connection may exit with 0: that is no proof of anything. */
static void test_a_sweep_without_an_answer_proves_nothing(void **state)
{
	struct fixture f;
	struct hookbox_result *r;
	struct notes notes;
	pid_t pid = 0;

	notes_begin(&notes);
	finder = (struct finder){.boxes = {"one"}, .mute = true};
	open_sandbox(&f, &finder_plugin);
	r = RUN(f.sandbox, PLAIN, "sh", "-c",
		"setsid sleep 3600 & echo $!; sleep 0.2; kill -9 $PPID");
	assert_int_equal(r->end, HOOKBOX_LOST);
	assert_int_equal(r->cleanup, HOOKBOX_CLEANUP_UNKNOWN);
	assert_contains(r->cleanup_reason, "nothing was answered");
	assert_int_equal(sscanf(r->out, "%d", &pid), 1);
	kill(pid, SIGKILL);
	hookbox_result_free(r);
	close_sandbox(&f);
	assert_int_equal(notes_end(&notes), 1);
}

/* A host that is killed in the middle of a call in the box. */
static pid_t start_killed_host(const char *file)
{
	pid_t pid = fork();
	struct fixture f;

	if (!pid) {
		setpgid(0, 0);
		open_sandbox(&f, &finder_plugin);
		RUN(f.sandbox, PLAIN, "sh", "-c", "echo $$ >$0; exec setsid sleep 3600", file);
		_exit(0);
	}
	return pid;
}

static pid_t wait_for_pid_in(const char *path)
{
	pid_t pid = 0;

	for (int i = 0; i < 3000 && pid <= 0; i++) {
		FILE *file = fopen(path, "re");

		if (file && fscanf(file, "%d", &pid) != 1)
			pid = 0;
		if (file)
			fclose(file);
		usleep(10000);
	}
	return pid;
}

static void test_what_a_killed_host_left_in_a_found_box_is_ended(void **state)
{
	_cleanup_free_ char *file = NULL;
	struct notes notes;
	pid_t host, left;
	struct fixture f;

	notes_begin(&notes);
	assert_true(asprintf(&file, "%s/pid", notes.dir) > 0);
	finder = (struct finder){.boxes = {"one"}};
	host = start_killed_host(file);
	left = wait_for_pid_in(file);
	assert_true(left > 0);
	kill(host, SIGKILL);
	waitpid(host, NULL, 0);
	/* In another box it is not looked for, and the note stays. */
	finder.boxes[0] = "two";
	open_sandbox(&f, &finder_plugin);
	expect_box(f.sandbox, HOOKBOX_EXITED, "two");
	assert_int_not_equal(process_start_time(left), 0);
	close_sandbox(&f);
	finder.boxes[0] = "one";
	open_sandbox(&f, &finder_plugin);
	expect_box(f.sandbox, HOOKBOX_EXITED, "one");
	assert_int_equal(process_start_time(left), 0);
	close_sandbox(&f);
	unlink(file);
	assert_int_equal(notes_end(&notes), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_box_that_went_is_looked_for_anew),
		cmocka_unit_test(test_a_started_box_that_died_is_started_anew),
		cmocka_unit_test(test_the_start_of_a_box_takes_none_of_the_calls_time),
		cmocka_unit_test(test_one_who_waits_for_a_box_is_cancelled),
		cmocka_unit_test(test_one_who_starts_a_box_is_cancelled),
		cmocka_unit_test(test_a_sweep_without_an_answer_proves_nothing),
		cmocka_unit_test(test_what_a_killed_host_left_in_a_found_box_is_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
