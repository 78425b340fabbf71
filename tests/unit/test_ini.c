/* SPDX-License-Identifier: MIT */
/* INI text to sections: what is understood, byte for byte, and what files are refused. */
#include "unit.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "cleanup.h"
#include "config.h"
#include "files.h"

#define _cleanup_ini_ __attribute__((cleanup(ini_free)))

static void read_text(struct ini *ini, const char *text)
{
	struct hookbox_error error = {0};

	if (ini_read_text(ini, text, strlen(text), "T", &error))
		fail_msg("%s", error.message);
}

static const struct ini_key *only_key(const struct ini *ini)
{
	assert_int_equal(ini->n_sections, 1);
	assert_int_equal(ini->sections[0].n_keys, 1);
	return &ini->sections[0].keys[0];
}

static void test_sections_and_keys_have_their_lines(void **state)
{
	_cleanup_ini_ struct ini ini = {0};

	read_text(&ini, "# a comment\n[hookbox]\n\n; another\n[ sandbox\t a.b-C_1 ]\nmode=direct\n"
			"  # indented comment\nx = y = z\n");
	assert_int_equal(ini.n_sections, 2);
	assert_string_equal(ini.sections[0].kind, "hookbox");
	assert_null(ini.sections[0].name);
	assert_string_equal(ini.sections[0].where, "T:2");
	assert_int_equal(ini.sections[0].n_keys, 0);
	assert_string_equal(ini.sections[1].kind, "sandbox");
	assert_string_equal(ini.sections[1].name, "a.b-C_1");
	assert_string_equal(ini.sections[1].where, "T:5");
	assert_null(ini.sections[1].dir);
	assert_int_equal(ini.sections[1].n_keys, 2);
	assert_string_equal(ini.sections[1].keys[0].key, "mode");
	assert_string_equal(ini.sections[1].keys[0].where, "T:6");
	assert_string_equal(ini.sections[1].keys[1].values[0], "y = z");
	assert_string_equal(ini.sections[1].keys[1].where, "T:8");
}

static void test_indented_lines_are_items_and_one_scalar(void **state)
{
	_cleanup_ini_ struct ini ini = {0};
	const struct ini_key *key;

	read_text(&ini, "[s a]\nk = one\n\ttwo  three \n\n  # not this\n    four=4\n  [a-z]:5\n");
	key = only_key(&ini);
	assert_int_equal(key->n_values, 1);
	assert_string_equal(key->values[0], "one two  three four=4 [a-z]:5");
	assert_int_equal(key->value_lines[0], 2);
	assert_int_equal(key->n_items, 4);
	assert_string_equal(key->items[1], "two  three");
	assert_string_equal(key->items[2], "four=4");
	assert_int_equal(key->item_lines[0], 2);
	assert_int_equal(key->item_lines[1], 3);
	assert_int_equal(key->item_lines[2], 6);
	assert_int_equal(key->item_lines[3], 7);
}

static void test_a_repeated_key_is_another_value(void **state)
{
	_cleanup_ini_ struct ini ini = {0};
	const struct ini_key *key;

	read_text(&ini, "[s a]\nk = one\nother = x\nk = two\n  three\n");
	assert_int_equal(ini.sections[0].n_keys, 2);
	key = &ini.sections[0].keys[0];
	assert_int_equal(key->n_values, 2);
	assert_string_equal(key->values[0], "one");
	assert_string_equal(key->values[1], "two three");
	assert_int_equal(key->value_lines[1], 4);
	assert_int_equal(key->n_items, 3);
	assert_int_equal(key->item_lines[2], 5);
	assert_string_equal(key->where, "T:2");
}

static void test_an_empty_value_is_no_item(void **state)
{
	_cleanup_ini_ struct ini ini = {0};
	const struct ini_key *key;

	read_text(&ini, "[s a]\nk =\n  x\n  ${HB_NONE:-}\n  y\n");
	key = only_key(&ini);
	assert_string_equal(key->values[0], "x y");
	assert_int_equal(key->n_items, 3);
	assert_string_equal(key->items[0], "x");
	assert_string_equal(key->items[1], "");
	ini_free(&ini);
	read_text(&ini, "[s a]\nk =");
	key = only_key(&ini);
	assert_string_equal(key->values[0], "");
	assert_int_equal(key->n_items, 0);
}

static void test_line_ends_and_byte_order_mark(void **state)
{
	_cleanup_ini_ struct ini ini = {0};

	read_text(&ini, "\xef\xbb\xbf[s a]\r\nk = v\r\n  w\r\nl = \xc3\xa9\xff;#x\r\n\r\n");
	assert_int_equal(ini.sections[0].n_keys, 2);
	assert_string_equal(ini.sections[0].keys[0].values[0], "v w");
	assert_string_equal(ini.sections[0].keys[0].where, "T:2");
	assert_string_equal(ini.sections[0].keys[1].values[0], "\xc3\xa9\xff;#x");
}

static void test_expansion_is_of_values_only_and_once(void **state)
{
	_cleanup_ini_ struct ini ini = {0};
	const struct ini_key *key;

	setenv("HB_TRAP", "] ; # = [hook x]\nk = ${HB_TRAP}", 1);
	read_text(&ini, "[s a]\nk = ${HB_TRAP}\n  b ${X:-;} c\n  $${d}\n");
	key = only_key(&ini);
	assert_int_equal(key->n_items, 3);
	assert_string_equal(key->items[0], getenv("HB_TRAP"));
	assert_string_equal(key->items[1], "b ; c");
	assert_string_equal(key->items[2], "${d}");
}

static void test_the_longest_line_and_names_are_whole(void **state)
{
	_cleanup_ini_ struct ini ini = {0};
	char value[187], key[50], header[50];
	_cleanup_buf_ struct buf text = {0};

	memset(value, 'v', 186);
	value[186] = '\0';
	memset(key, 'k', 49);
	key[49] = '\0';
	memset(header, 'n', 49);
	memcpy(header, "s ", 2);
	header[49] = '\0';
	buf_printf(&text, "[%s]\nk = %s\n%s = 1\n  %s\n# %s%s\n", header, value, key, key, value,
		   value);
	read_text(&ini, text.data);
	assert_string_equal(ini.sections[0].name, header + 2);
	assert_string_equal(ini.sections[0].keys[0].values[0], value);
	assert_string_equal(ini.sections[0].keys[1].key, key);
	assert_int_equal(ini.sections[0].keys[1].n_items, 2);
}

/* Every line of a 1 MiB file continues one value: it takes no longer than it must. */
static void test_a_value_of_very_many_lines(void **state)
{
	_cleanup_ini_ struct ini ini = {0};
	_cleanup_buf_ struct buf text = {0};

	buf_add_string(&text, "[s a]\nk =\n");
	for (int i = 0; i < 300000; i++)
		buf_add_string(&text, " x\n");
	read_text(&ini, text.data);
	assert_int_equal(only_key(&ini)->n_items, 300000);
	assert_int_equal(strlen(only_key(&ini)->values[0]), 599999);
}

static void refuse_text(const char *text, size_t size, const char *part)
{
	_cleanup_ini_ struct ini ini = {0};
	struct hookbox_error error = {0};

	assert_int_not_equal(ini_read_text(&ini, text, size, "T", &error), 0);
	assert_contains(error.message, part);
}

static void test_limits_are_named(void **state)
{
	_cleanup_buf_ struct buf text = {0};

	for (int i = 0; i < 4097; i++)
		buf_printf(&text, "[s n%d]\n", i);
	refuse_text(text.data, text.size, "T:4097: there are more than 4096 sections");
	text.size = 0;
	buf_add_string(&text, "[s a]\n");
	for (int i = 0; i < 257; i++)
		buf_printf(&text, "k%d=\n", i);
	refuse_text(text.data, text.size, "T:258: the section has more than 256 keys");
	text.size = 0;
	buf_add_string(&text, "[s a]\nk = ");
	for (int i = 0; i < 1000000; i++)
		buf_add_char(&text, 'x');
	refuse_text(text.data, text.size, "T:2: the line has 1000004 bytes, more than 190; go on");
	for (int i = 0; i < 100000; i++)
		buf_add_char(&text, 'x');
	refuse_text(text.data, text.size, "T: it has 1100010 bytes, more than 1 MiB");
}

static void test_expansion_is_bounded(void **state)
{
	_cleanup_buf_ struct buf text = {0};
	_cleanup_free_ char *large = calloc(1, 100001);

	assert_non_null(large);
	memset(large, 'x', 100000);
	setenv("HB_LARGE", large, 1);
	buf_add_string(&text, "[s a]\nk =\n");
	for (int i = 0; i < 100; i++)
		buf_add_string(&text, "  ${HB_LARGE}\n");
	refuse_text(text.data, text.size, "with ${VAR} expanded the file has more than 8 MiB");
	unsetenv("HB_LARGE");
}

static void test_every_cut_of_a_text_is_safe(void **state)
{
	static const char text[] =
		"\xef\xbb\xbf[s a]\r\nk = v ${HB_ONE:-1}\r\n  w\r\n\r\n[s b]\nl=;x\n";
	struct hookbox_error error;

	for (size_t n = 0; n < sizeof(text); n++) {
		_cleanup_ini_ struct ini ini = {0};
		char *cut = malloc(n ? n : 1); /* its own block: a read beyond it is seen */

		assert_non_null(cut);
		memcpy(cut, text, n);
		error.message[0] = '\0';
		if (ini_read_text(&ini, cut, n, "T", &error))
			assert_true(error.message[0]);
		free(cut);
	}
}

/* ---- Files ---- */

static void refuse_file(const char *path, int code, const char *part)
{
	_cleanup_ini_ struct ini ini = {0};
	struct hookbox_error error = {0};

	assert_int_equal(ini_read_file(&ini, path, &error), code);
	assert_contains(error.message, path);
	assert_contains(error.message, part);
	assert_int_equal(ini.n_sections, 0);
}

static void test_a_file_has_a_directory(void **state)
{
	_cleanup_ini_ struct ini ini = {0};
	struct hookbox_error error = {0};
	const char *path = files_write("x.ini", "[s a]\nk = v\n");
	_cleanup_free_ char *real = realpath(files_dir, NULL);
	char where[600];

	assert_int_equal(ini_read_file(&ini, path, &error), 0);
	assert_string_equal(ini.sections[0].dir, real);
	snprintf(where, sizeof(where), "%s:2", path);
	assert_string_equal(ini.sections[0].keys[0].where, where);
}

static void make_socket(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_free_ char *cwd = getcwd(NULL, 0);

	/* From inside, since its address has no room for a long path. */
	assert_int_equal(chdir(files_dir), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", name);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(chdir(cwd), 0);
}

static void test_files_that_are_none(void **state)
{
	refuse_file(files_path("none.ini"), -ENOENT, "No such file or directory; create it");
	refuse_file(files_path("."), -EINVAL, "is no regular file but a directory");
	refuse_file("/dev/null", -EINVAL, "is no regular file but a device");
	assert_int_equal(mkfifo(files_path("fifo.ini"), 0600), 0);
	refuse_file(files_path("fifo.ini"), -EINVAL, "is no regular file but a FIFO");
	make_socket("socket.ini");
	refuse_file(files_path("socket.ini"), -ENXIO, "name a regular file");
	assert_int_equal(symlink("loop.ini", files_path("loop.ini")), 0);
	refuse_file(files_path("loop.ini"), -ELOOP, "lead in a circle");
}

static void test_a_hundred_megabytes_are_not_read(void **state)
{
	const char *path = files_write("big.ini", "[s a]\n");

	assert_int_equal(truncate(path, 100000000), 0);
	refuse_file(path, -EFBIG, "has 100000000 bytes, more than 1 MiB");
}

static void test_a_binary_is_no_text(void **state)
{
	refuse_file(files_write_bytes("elf.ini",
				      "\x7f"
				      "ELF\2\1\1\0",
				      8),
		    -EINVAL, "elf.ini:1: the line has the control character 0x7f");
	refuse_file(files_write_bytes("nul.ini", "#x\n\0", 4), -EINVAL,
		    "nul.ini:2: the line has a NUL byte");
}

static void test_others_must_not_be_able_to_write(void **state)
{
	const char *path = files_write("w.ini", "[s a]\n");

	assert_int_equal(chmod(path, 0622), 0);
	refuse_file(path, -EPERM, "can be changed by others");
}

static void test_an_unreadable_file(void **state)
{
	const char *path = files_write("secret.ini", "[s a]\n");
	bool root = !geteuid();

	assert_int_equal(chmod(path, 0), 0);
	if (root)
		assert_int_equal(seteuid(65534), 0);
	refuse_file(path, -EACCES, "Permission denied; give this user the right to read it");
	if (root)
		assert_int_equal(seteuid(0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sections_and_keys_have_their_lines),
		cmocka_unit_test(test_indented_lines_are_items_and_one_scalar),
		cmocka_unit_test(test_a_repeated_key_is_another_value),
		cmocka_unit_test(test_an_empty_value_is_no_item),
		cmocka_unit_test(test_line_ends_and_byte_order_mark),
		cmocka_unit_test(test_expansion_is_of_values_only_and_once),
		cmocka_unit_test(test_the_longest_line_and_names_are_whole),
		cmocka_unit_test(test_a_value_of_very_many_lines),
		cmocka_unit_test(test_limits_are_named),
		cmocka_unit_test(test_expansion_is_bounded),
		cmocka_unit_test(test_every_cut_of_a_text_is_safe),
		cmocka_unit_test(test_a_file_has_a_directory),
		cmocka_unit_test(test_files_that_are_none),
		cmocka_unit_test(test_a_hundred_megabytes_are_not_read),
		cmocka_unit_test(test_a_binary_is_no_text),
		cmocka_unit_test(test_others_must_not_be_able_to_write),
		cmocka_unit_test(test_an_unreadable_file),
	};

	return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
