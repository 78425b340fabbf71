/* SPDX-License-Identifier: MIT */
/* Plugin files: those that load, and every way in which one can be wrong. */
#include "unit.h"

#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "plugin.h"

static char dir[] = "/tmp/hookbox-test-plugin-XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* Copies a fixture out of the build under another name. */
static const char *fixture(const char *name, const char *as)
{
	const char *build = getenv("top_builddir");
	char command[1024];

	snprintf(command, sizeof(command),
		 "cp --remove-destination '%s/tests/fixtures/.libs/%s.so' '%s' && chmod 644 '%s'",
		 build ? build : ".", name, in_dir(as), in_dir(as));
	assert_int_equal(system(command), 0);
	return in_dir(as);
}

static void write_file(const char *path, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

static void refuse(const char *path, const char *message)
{
	const struct sandbox_plugin_v1 *plugin = NULL;
	struct hookbox_error error = {0};

	assert_true(plugin_load(path, &plugin, &error) < 0);
	assert_null(plugin);
	assert_contains(error.message, message);
}

static void test_good(void **state)
{
	const struct sandbox_plugin_v1 *plugin, *again;
	struct hookbox_error error = {0};
	char *json;

	if (plugin_load(fixture("good", "good.so"), &plugin, &error))
		fail_msg("%s", error.message);
	assert_string_equal(plugin->name, "good");
	assert_int_equal(plugin_load(in_dir("good.so"), &again, &error), 0);
	assert_ptr_equal(plugin, again);
	assert_int_equal(plugin_describe(plugin, &json, &error), 0);
	assert_contains(json, "\"flags\":[\"host_process\"]");
	assert_contains(json, "\"key\":\"number\",\"type\":\"uint\"");
	free(json);
}

static void test_newer_and_older_load(void **state)
{
	const struct sandbox_plugin_v1 *plugin;
	struct hookbox_error error = {0};
	struct sandbox_param param;

	if (plugin_load(fixture("newer", "newer.so"), &plugin, &error))
		fail_msg("%s", error.message);
	if (plugin_load(fixture("old_params", "old_params.so"), &plugin, &error))
		fail_msg("%s", error.message);
	assert_true(param_find(plugin, "number", &param));
	assert_string_equal(param.dflt, "7");
	assert_null(param.metavar);
}

static void test_run_alone_is_enough(void **state)
{
	const struct sandbox_plugin_v1 *plugin;
	struct hookbox_error error = {0};

	if (plugin_load(fixture("run_only", "run_only.so"), &plugin, &error))
		fail_msg("%s", error.message);
	assert_null(plugin->plan);
	assert_non_null(plugin_extension(plugin, SANDBOX_RUN_EXTENSION));
	assert_null(plugin_extension(plugin, SANDBOX_BOX_EXTENSION));
}

/* The loader gives the same code for both names, but only one of them is right. */
static void test_second_name_of_a_loaded_file(void **state)
{
	const struct sandbox_plugin_v1 *plugin;
	struct hookbox_error error = {0};
	char path[256];

	snprintf(path, sizeof(path), "%s", fixture("good", "good.so"));
	assert_int_equal(plugin_load(path, &plugin, &error), 0);
	assert_int_equal(link(path, in_dir("alias.so")), 0);
	refuse(in_dir("alias.so"), "calls itself \"good\"; rename the file to good.so");
	unlink(in_dir("alias.so"));
}

#define N_THREADS 8

static void *load_in_thread(void *registry)
{
	const struct sandbox_plugin_v1 *plugin;

	return plugin_registry_get(registry, "newer", &plugin, NULL) ? NULL : (void *)plugin;
}

static void test_threads_share_a_plugin(void **state)
{
	struct plugin_registry *registries[2] = {plugin_registry_new(), plugin_registry_new()};
	const char *const dirs[] = {dir, NULL};
	pthread_t threads[N_THREADS];
	void *plugins[N_THREADS];

	fixture("newer", "newer.so");
	for (size_t i = 0; i < 2; i++)
		plugin_registry_set_dirs(registries[i], dirs);
	for (size_t i = 0; i < N_THREADS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, load_in_thread, registries[i % 2]), 0);
	for (size_t i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], &plugins[i]);
	for (size_t i = 0; i < N_THREADS; i++) {
		assert_non_null(plugins[i]);
		assert_ptr_equal(plugins[i], plugins[0]);
	}
	plugin_registry_free(registries[0]);
	plugin_registry_free(registries[1]);
}

static void test_wrong_descriptors(void **state)
{
	refuse(fixture("no_descriptor", "no_descriptor.so"), "exports no sandbox_plugin_v1");
	refuse(fixture("bad_magic", "bad_magic.so"), "its magic is 0x12345678");
	refuse(fixture("small", "small.so"), "struct_size is 64");
	refuse(fixture("misnamed", "misnamed.so"),
	       "calls itself \"good\"; rename the file to good.so");
	refuse(fixture("new_flags", "new_flags.so"), "update hookbox");
	refuse(fixture("no_kind", "no_kind.so"), "SANDBOX_FRESH");
	refuse(fixture("no_plan", "no_plan.so"), "neither plan nor");
	refuse(fixture("reserved", "reserved.so"), "belongs to hookbox");
	refuse(fixture("bad_default", "bad_default.so"), "\"seven\"");
	refuse(fixture("undefined", "undefined.so"), "no_such_function_anywhere");
}

#ifdef __aarch64__
#define FOREIGN_MACHINE EM_X86_64
#define FOREIGN "is made for x86_64 (64 bits), but this hookbox for aarch64"
#else
#define FOREIGN_MACHINE EM_AARCH64
#define FOREIGN "is made for aarch64 (64 bits), but this hookbox for "
#endif

static void test_wrong_files(void **state)
{
	Elf64_Ehdr header = {
		.e_ident = ELFMAG "\2\1\1", .e_type = ET_DYN, .e_machine = FOREIGN_MACHINE};
	Elf64_Ehdr own = {0};
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, &own, sizeof(own)), sizeof(own));
	close(fd);
	write_file(in_dir("text.so"), "#!/bin/sh\n", 10);
	refuse(in_dir("text.so"), "no ELF file");
	write_file(in_dir("empty.so"), "", 0);
	refuse(in_dir("empty.so"), "no ELF file");
	write_file(in_dir("foreign.so"), &header, sizeof(header));
	refuse(in_dir("foreign.so"), FOREIGN);
	memcpy(&header, &own, sizeof(header));
	header.e_type = ET_EXEC;
	write_file(in_dir("program.so"), &header, sizeof(header));
	refuse(in_dir("program.so"), "is no shared object; build it with -shared -fPIC");
	header.e_type = ET_DYN;
	write_file(in_dir("header.so"), &header, sizeof(header));
	refuse(in_dir("header.so"), "cannot be loaded: ");
	write_file(in_dir("cut.so"), ELFMAG, 4);
	refuse(in_dir("cut.so"), "no ELF file");
	mkdir(in_dir("folder.so"), 0755);
	refuse(in_dir("folder.so"), "no regular file");
	assert_int_equal(mkfifo(in_dir("fifo.so"), 0644), 0);
	refuse(in_dir("fifo.so"), "no regular file");
	refuse("/dev/null", "does not end in .so");
	refuse(in_dir("missing.so"), "No such file");
	assert_int_equal(symlink("good.so", in_dir("link.so")), 0);
	refuse(in_dir("link.so"), "is a symbolic link");
	assert_int_equal(symlink("nowhere.so", in_dir("dangling.so")), 0);
	refuse(in_dir("dangling.so"), "is a symbolic link");
	refuse("relative.so", "not absolute");
	refuse(in_dir("noso"), "does not end in .so");
}

static void test_wrong_owners(void **state)
{
	char path[256];

	snprintf(path, sizeof(path), "%s", fixture("good", "open.so"));
	chmod(path, 0666);
	refuse(path, "chmod go-w");
	chmod(path, 0644);
	chmod(dir, 0777);
	refuse(path, "chmod go-w");
	/* As /tmp itself is: the sticky bit keeps nobody from adding files. */
	chmod(dir, 01777);
	refuse(path, "the plugin directory");
	refuse(path, "mode 1777");
	chmod(dir, 0755);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 12345, 12345), 0);
		refuse(path, "belongs to user 12345");
		refuse(path, "chown it to root");
		assert_int_equal(chown(path, 0, 0), 0);
		assert_int_equal(chown(dir, 12345, 0), 0);
		refuse(path, "the plugin directory");
		assert_int_equal(chown(dir, 0, 0), 0);
	}
}

static void test_registry(void **state)
{
	static const struct sandbox_plugin_v1 own = {
		.magic = SANDBOX_PLUGIN_MAGIC,
		.struct_size = sizeof(own),
		.name = "good",
		.version = "9",
		.summary = "the program's own",
		.flags = SANDBOX_HOST_PROCESS,
		.instance_size = 1,
		.plan = (void *)1,
	};
	struct plugin_registry *registry = plugin_registry_new();
	const char *const dirs[] = {dir, "/no/such/directory", NULL};
	const struct sandbox_plugin_v1 *plugin;
	struct hookbox_error error = {0};

	fixture("good", "good.so");
	plugin_registry_set_dirs(registry, dirs);
	assert_int_equal(plugin_registry_get(registry, "good", &plugin, &error), 0);
	assert_string_equal(plugin->version, "1.2");
	assert_int_equal(plugin_registry_get(registry, "goood", &plugin, &error), -ENOENT);
	assert_contains(error.message, "there is no backend \"goood\" in ");
	assert_contains(error.message, dir);
	assert_contains(error.message, ", /no/such/directory: did you mean \"good\"?");
	assert_int_equal(plugin_registry_get(registry, "quite_another", &plugin, &error), -ENOENT);
	assert_contains(error.message, ": there is ");
	assert_contains(error.message, "good");
	assert_int_equal(plugin_registry_get(registry, "../good", &plugin, &error), -ENOENT);
	assert_true(plugin_registry_add(registry, &own, false, &error) < 0);
	assert_contains(error.message, "replace_plugins");
	assert_int_equal(plugin_registry_add(registry, &own, true, &error), 0);
	assert_int_equal(plugin_registry_get(registry, "good", &plugin, &error), 0);
	assert_string_equal(plugin->version, "9");
	assert_true(plugin_registry_add(registry, &own, false, &error) < 0);
	plugin_registry_free(registry);
}

/* What stands first counts, however broken: nothing later may answer for it. */
static void test_registry_stops_at_the_first(void **state)
{
	struct plugin_registry *registry = plugin_registry_new();
	char first[sizeof(dir) + 8], loop[sizeof(dir) + 8];
	const struct sandbox_plugin_v1 *plugin;
	struct hookbox_error error = {0};
	char path[300];

	fixture("good", "good.so");
	snprintf(first, sizeof(first), "%s/first", dir);
	snprintf(loop, sizeof(loop), "%s/loop", dir);
	snprintf(path, sizeof(path), "%s/good.so", first);
	assert_int_equal(mkdir(first, 0755), 0);
	assert_int_equal(symlink("nowhere", path), 0);
	assert_int_equal(symlink("loop", loop), 0);
	plugin_registry_set_dirs(registry, (const char *const[]){first, dir, NULL});
	assert_true(plugin_registry_get(registry, "good", &plugin, &error) < 0);
	assert_contains(error.message, path);
	plugin_registry_set_dirs(registry, (const char *const[]){loop, dir, NULL});
	assert_int_equal(plugin_registry_get(registry, "good", &plugin, &error), -ELOOP);
	assert_contains(error.message, "cannot be searched for \"good.so\"");
	assert_int_equal(plugin_registry_get(registry, "", &plugin, &error), -ENOENT);
	plugin_registry_free(registry);
	unlink(path);
	rmdir(first);
	unlink(loop);
}

static void test_files_are_found_in_order(void **state)
{
	char second[] = "/tmp/hookbox-test-plugin-XXXXXX";
	struct plugin_files files = {0};
	struct hookbox_error error = {0};
	char path[256];
	size_t hidden = 0, own = 0;

	assert_non_null(mkdtemp(second));
	snprintf(path, sizeof(path), "%s/good.so", second);
	write_file(path, "", 0);
	fixture("good", "good.so");
	assert_int_equal(
		plugin_files_find((const char *const[]){dir, second, NULL}, &files, &error), 0);
	for (size_t i = 0; i < files.n; i++) {
		own += !strcmp(files.v[i].name, "good") && !files.v[i].hidden;
		hidden += files.v[i].hidden;
	}
	assert_int_equal(own, 1);
	assert_int_equal(hidden, 1);
	assert_true(files.v[files.n - 1].hidden);
	plugin_files_free(&files);
	unlink(path);
	rmdir(second);
}

static void test_dirs(void **state)
{
	const char *const first[] = {"/first", NULL};
	const char *const configured[] = {"/configured", NULL};
	const char *const relative[] = {"configured", NULL};
	struct hookbox_error error = {0};
	struct strv dirs = {0};

	setenv("HOOKBOX_PLUGIN_PATH", "/a::/b:/a:/first", 1);
	assert_int_equal(plugin_dirs_list(first, configured, &dirs, &error), 0);
	assert_int_equal(dirs.n, 5);
	assert_string_equal(dirs.v[0], "/first");
	assert_string_equal(dirs.v[1], "/a");
	assert_string_equal(dirs.v[2], "/b");
	assert_string_equal(dirs.v[3], "/configured");
	strv_free(&dirs);
	assert_true(plugin_dirs_list(NULL, relative, &dirs, &error) < 0);
	assert_contains(error.message, "not absolute");
	strv_free(&dirs);
	setenv("HOOKBOX_PLUGIN_PATH", "here", 1);
	assert_true(plugin_dirs_list(NULL, NULL, &dirs, &error) < 0);
	assert_contains(error.message, "HOOKBOX_PLUGIN_PATH");
	strv_free(&dirs);
	unsetenv("HOOKBOX_PLUGIN_PATH");
}

static int make_dir(void **state)
{
	umask(022);
	return !mkdtemp(dir) || chmod(dir, 0755);
}

static int remove_dir(void **state)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_newer_and_older_load),
		cmocka_unit_test(test_run_alone_is_enough),
		cmocka_unit_test(test_second_name_of_a_loaded_file),
		cmocka_unit_test(test_threads_share_a_plugin),
		cmocka_unit_test(test_wrong_descriptors),
		cmocka_unit_test(test_wrong_files),
		cmocka_unit_test(test_wrong_owners),
		cmocka_unit_test(test_registry),
		cmocka_unit_test(test_registry_stops_at_the_first),
		cmocka_unit_test(test_files_are_found_in_order),
		cmocka_unit_test(test_dirs),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
