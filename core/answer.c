/* SPDX-License-Identifier: MIT */
#include "hook.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cleanup.h"

#define ANSWER_LIMIT ((size_t)1 << 20)

void answer_clear(struct answer *answer)
{
	free(answer->reason);
	free(answer->metadata);
	*answer = (struct answer){0};
}

/* The member, with null taken for none. */
static const json_t *answer_member(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_null(value) ? NULL : value;
}

static int answer_flag(const json_t *object, const char *key, bool *flag,
		       struct hookbox_error *error)
{
	const json_t *value = answer_member(object, key);

	if (value && !json_is_boolean(value))
		return error_set(error, -EINVAL, "\"%s\" must be true or false", key);
	*flag = json_is_true(value);
	return 0;
}

static int answer_allow(const json_t *object, struct answer *answer, struct hookbox_error *error)
{
	const json_t *value = json_object_get(object, "allow");

	if (value && !json_is_boolean(value))
		return error_set(error, -EINVAL, "\"allow\" must be true or false");
	answer->has_allow = value;
	answer->allow = json_is_true(value);
	return 0;
}

static int answer_reason(const json_t *object, struct answer *answer, struct hookbox_error *error)
{
	const json_t *value = answer_member(object, "reason");
	_cleanup_buf_ struct buf reason = {0};
	const char *text;
	size_t size;

	if (!value)
		return 0;
	if (!json_is_string(value))
		return error_set(error, -EINVAL, "\"reason\" must be a string");
	text = json_string_value(value);
	size = json_string_length(value);
	if (!size)
		return 0;
	/* A C string ends at a NUL: it must not hide what follows. */
	for (size_t i = 0; i < size; i++) {
		if (text[i])
			buf_add_char(&reason, text[i]);
		else
			buf_add_string(&reason, "\xEF\xBF\xBD");
	}
	answer->reason = buf_take(&reason);
	return answer->reason ? 0 : error_no_memory(error);
}

static int answer_metadata(const json_t *object, const char *text, size_t size,
			   struct answer *answer, struct hookbox_error *error)
{
	const json_t *value = answer_member(object, "metadata");
	const char *written;
	size_t length;

	if (!value)
		return 0;
	if (!json_is_object(value))
		return error_set(error, -EINVAL, "\"metadata\" must be an object");
	written = json_member_text(object, text, size, "metadata", &length);
	answer->metadata = strndup(written, length);
	return answer->metadata ? 0 : error_no_memory(error);
}

static int answer_fill(const json_t *object, const char *text, size_t size, struct answer *answer,
		       struct hookbox_error *error)
{
	int r = answer_allow(object, answer, error);

	if (!r)
		r = answer_flag(object, "enforced", &answer->enforced, error);
	if (!r)
		r = answer_flag(object, "ack", &answer->ack, error);
	if (!r)
		r = answer_reason(object, answer, error);
	if (!r)
		r = answer_metadata(object, text, size, answer, error);
	return r;
}

int answer_parse(const char *text, size_t size, struct answer *answer,
		 struct hookbox_error *error)
{
	json_t *object;
	int r;

	*answer = (struct answer){0};
	r = json_parse_object(text, size, ANSWER_LIMIT, &object, error);
	if (!r) {
		r = answer_fill(object, text, size, answer, error);
		json_decref(object);
	}
	if (r < 0) {
		answer_clear(answer);
		error_prefix(error, "the answer on stdout is refused");
	}
	return r;
}
