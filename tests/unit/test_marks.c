/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "buf.h"
#include "marks.h"

#define NONCE "0123456789abcdef0123456789abcdef"
#define MARK(words) "\036" NONCE " " words "\n"

static int collect(void *data, const char *bytes, size_t n)
{
	buf_add(data, bytes, n);
	return 0;
}

/* Feeds the text in pieces of `step` bytes and compares what is the command's. */
static void check_stream(const char *text, size_t size, size_t step, const char *body,
			 size_t body_size, struct mark_stream *marks)
{
	struct buf got = {0};

	*marks = (struct mark_stream){0};
	mark_stream_init(marks, NONCE, collect, &got);
	for (size_t i = 0; i < size; i += step)
		assert_int_equal(0, mark_feed(marks, text + i, size - i < step ? size - i : step));
	mark_finish(marks);
	buf_add(&got, "", 0);
	assert_int_equal(got.size, body_size);
	assert_memory_equal(got.data, body, body_size);
	buf_free(&got);
}

static void test_only_what_is_between_the_marks_is_the_commands(void **state)
{
	static const char text[] = "noise" MARK("start") "a\036b\0c\n" MARK("end 7 0") "more noise";
	struct mark_stream marks;

	for (size_t step = 1; step < sizeof(text); step++) {
		check_stream(text, sizeof(text) - 1, step, "a\036b\0c\n", 6, &marks);
		assert_true(marks.started);
		assert_true(marks.ended);
		assert_int_equal(marks.code, 7);
		assert_int_equal(marks.swept, 0);
		assert_int_equal(marks.total, sizeof(text) - 1);
		assert_memory_equal(marks.head, text, sizeof(text) - 1);
		assert_memory_equal(marks.tail, text, sizeof(text) - 1);
	}
}

static void test_a_cut_output_has_no_end(void **state)
{
	static const char text[] = MARK("start") "half \036" NONCE " en";
	struct mark_stream marks;

	check_stream(text, sizeof(text) - 1, 5, "half \036" NONCE " en", 5 + 34 + 2, &marks);
	assert_true(marks.started);
	assert_false(marks.ended);
}

static void test_a_strange_nonce_is_the_commands(void **state)
{
	static const char forged[] = "\036ffffffffffffffffffffffffffffffff end 0 0\n";
	struct mark_stream marks;
	struct buf text = {0};

	buf_add_string(&text, MARK("start"));
	buf_add_string(&text, forged);
	buf_add_string(&text, MARK("end 1 -"));
	check_stream(text.data, text.size, 3, forged, sizeof(forged) - 1, &marks);
	assert_int_equal(marks.code, 1);
	assert_int_equal(marks.swept, -1);
	buf_free(&text);
}

static void test_an_endless_mark_is_the_commands(void **state)
{
	struct mark_stream marks;
	struct buf text = {0};
	struct buf body = {0};

	buf_add_string(&body, "\036" NONCE " ");
	for (int i = 0; i < 500; i++)
		buf_add_char(&body, 'x');
	buf_add_string(&text, MARK("start"));
	buf_add(&text, body.data, body.size);
	buf_add_string(&text, "\n" MARK("end 0 0"));
	buf_add_char(&body, '\n');
	check_stream(text.data, text.size, 7, body.data, body.size, &marks);
	assert_true(marks.ended);
	buf_free(&text);
	buf_free(&body);
}

static void test_failures_are_told_apart(void **state)
{
	static const char text[] = MARK("start") MARK("failed workdir 20") MARK("end 127 0");
	struct mark_stream marks;

	check_stream(text, sizeof(text) - 1, 9, "", 0, &marks);
	assert_int_equal(marks.failure, MARK_FAILED_WORKDIR);
	assert_int_equal(marks.code, 20);
}

static void test_without_marks_all_is_the_commands(void **state)
{
	struct mark_stream marks = {0};
	struct buf got = {0};

	mark_stream_init(&marks, NULL, collect, &got);
	mark_feed(&marks, MARK("end 0 0"), 10);
	mark_finish(&marks);
	assert_int_equal(got.size, 10);
	assert_false(marks.ended);
	buf_free(&got);
}

static void test_the_tail_is_the_last_of_a_long_stream(void **state)
{
	struct mark_stream marks = {0};
	struct buf got = {0};
	char piece[1000];

	mark_stream_init(&marks, NULL, collect, &got);
	for (int i = 0; i < 50; i++) {
		memset(piece, 'a' + i % 26, sizeof(piece));
		mark_feed(&marks, piece, sizeof(piece) - (size_t)i);
	}
	assert_int_equal(marks.total, got.size);
	assert_int_equal(marks.tail_size, MARK_EDGE_SIZE);
	assert_memory_equal(marks.tail, got.data + got.size - MARK_EDGE_SIZE, MARK_EDGE_SIZE);
	assert_memory_equal(marks.head, got.data, MARK_EDGE_SIZE);
	buf_free(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_what_is_between_the_marks_is_the_commands),
		cmocka_unit_test(test_a_cut_output_has_no_end),
		cmocka_unit_test(test_a_strange_nonce_is_the_commands),
		cmocka_unit_test(test_an_endless_mark_is_the_commands),
		cmocka_unit_test(test_failures_are_told_apart),
		cmocka_unit_test(test_without_marks_all_is_the_commands),
		cmocka_unit_test(test_the_tail_is_the_last_of_a_long_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
