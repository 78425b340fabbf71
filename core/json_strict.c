/* SPDX-License-Identifier: MIT */
/*
 * Strict JSON on top of jansson, which does the grammar, UTF-8, duplicate keys and trailing bytes.
 * Added here: limits, checked before jansson recurses or allocates; NUL bytes, which jansson
 * swallows behind a number or a word; and sentences of our own, as jansson's quote the text, which
 * may hold what nobody should find in a log.
 */
#include "hook.h"

#include <errno.h>
#include <string.h>

#include <jansson.h>

#define JSON_DEPTH_LIMIT 64

static bool json_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

size_t json_skip_space(const char *text, size_t size, size_t at)
{
	while (at < size && json_is_space(text[at]))
		at++;
	return at;
}

/* The offset behind the string whose opening quote is at `at`. */
static size_t json_skip_string(const char *text, size_t size, size_t at)
{
	for (at++; at < size && text[at] != '"'; at++)
		if (text[at] == '\\')
			at++;
	return at < size ? at + 1 : size;
}

/*
 * Up to the place where jansson finds an error, if any, strings begin and end where they do for
 * jansson, so that it never meets more levels than were counted here.
 */
static int json_check_depth(const char *text, size_t size, struct hookbox_error *error)
{
	int depth = 0;
	size_t at = 0;

	while (at < size) {
		char c = text[at];

		if (c == '"') {
			at = json_skip_string(text, size, at);
			continue;
		}
		if ((c == '{' || c == '[') && ++depth > JSON_DEPTH_LIMIT)
			return error_set(error, -EINVAL,
					 "JSON nested more than %d levels deep at byte %zu",
					 JSON_DEPTH_LIMIT, at + 1);
		if (c == '}' || c == ']')
			depth--;
		at++;
	}
	return 0;
}

static const char *json_error_sentence(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_premature_end_of_input:
		return "it ends before the object does";
	case json_error_end_of_input_expected:
		return "something follows the object, which must stand alone";
	case json_error_invalid_utf8:
		return "these bytes are not UTF-8";
	case json_error_duplicate_key:
		return "the key was there before";
	case json_error_null_byte_in_key:
		return "a key must not hold \\u0000";
	case json_error_numeric_overflow:
		return "the number is larger than a double can hold";
	default:
		return "this is not JSON";
	}
}

int json_parse_object(const char *text, size_t size, size_t size_limit, struct json_t **object,
		      struct hookbox_error *error)
{
	const char *nul;
	json_error_t found;
	json_t *value;
	int r;

	if (size > size_limit)
		return error_set(error, -EMSGSIZE, "%zu bytes of JSON are over the limit of %zu "
				 "MiB", size, size_limit >> 20);
	if (json_skip_space(text, size, 0) == size)
		return error_set(error, -EINVAL, "empty, where a JSON object must be");
	nul = memchr(text, '\0', size);
	if (nul)
		return error_set(error, -EINVAL, "invalid JSON at byte %td: a NUL byte",
				 nul - text + 1);
	r = json_check_depth(text, size, error);
	if (r < 0)
		return r;
	/* As reals, so that integers of more than 64 bits pass: numbers are never written back. */
	value = json_loadb(text, size,
			   JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL,
			   &found);
	if (!value && json_error_code(&found) == json_error_out_of_memory)
		return error_no_memory(error);
	if (!value)
		return error_set(error, -EINVAL, "invalid JSON at byte %d (line %d, column %d): %s",
				 found.position, found.line, found.column,
				 json_error_sentence(&found));
	if (!json_is_object(value)) {
		json_decref(value);
		return error_set(error, -EINVAL, "a JSON array, where an object must be");
	}
	*object = value;
	return 0;
}

/* The offset behind the value that begins at `at`, in valid JSON. */
static size_t json_skip_value(const char *text, size_t size, size_t at)
{
	int depth = 0;

	while (at < size) {
		char c = text[at];

		if (c == '"') {
			at = json_skip_string(text, size, at);
		} else if (c == '{' || c == '[') {
			depth++;
			at++;
		} else if (c == '}' || c == ']') {
			if (!depth)
				return at;
			depth--;
			at++;
		} else if (!depth && (c == ',' || json_is_space(c))) {
			return at;
		} else {
			at++;
			continue;
		}
		if (!depth)
			return at;
	}
	return at;
}

const char *json_member_text(const struct json_t *object, const char *text, size_t size,
			     const char *key, size_t *length)
{
	size_t at = json_skip_space(text, size, 0) + 1;
	json_t *members = (json_t *)object;
	const char *name;
	json_t *value;

	/* jansson keeps the order of members: text and object can be walked side by side. */
	json_object_foreach(members, name, value) {
		size_t end;

		at = json_skip_string(text, size, json_skip_space(text, size, at));
		at = json_skip_space(text, size, at) + 1;
		at = json_skip_space(text, size, at);
		end = json_skip_value(text, size, at);
		if (!strcmp(name, key)) {
			*length = end - at;
			return text + at;
		}
		at = json_skip_space(text, size, end) + 1;
	}
	return NULL;
}
