/* SPDX-License-Identifier: MIT */
#include "hook.h"

#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "cleanup.h"

#define REQUEST_LIMIT ((size_t)64 << 20)

/*
 * Adds `"key":"value"` for a member that the event lacks; one that is there must say the same.
 * The values are words of the protocol, which need no escaping.
 */
static int request_add(struct buf *front, const json_t *event, const char *key, const char *value,
		       struct hookbox_error *error)
{
	const json_t *there = json_object_get(event, key);

	if (!there) {
		buf_printf(front, "%s\"%s\":\"%s\"", front->size ? "," : "", key, value);
		return 0;
	}
	if (json_is_string(there) && json_string_length(there) == strlen(value) &&
	    !strcmp(json_string_value(there), value))
		return 0;
	return error_set(error, -EINVAL,
			 "the event's JSON has a \"%s\" that is not \"%s\": make it so or leave it "
			 "out", key, value);
}

/* What goes behind the opening brace, so that the object names its type and phase. */
static int request_front(enum hook_type type, const char *phase, const json_t *event,
			 struct buf *front, struct hookbox_error *error)
{
	int r;

	if (type == HOOK_EVAL)
		return 0;
	r = request_add(front, event, "hook", hook_type_name(type), error);
	if (r < 0)
		return r;
	r = request_add(front, event, "phase", phase, error);
	if (r < 0)
		return r;
	if (front->size && json_object_size(event))
		buf_add_char(front, ',');
	return front->failed ? error_no_memory(error) : 0;
}

int request_build(enum hook_type type, const char *phase, const char *json, size_t size,
		  char **request, size_t *request_size, struct hookbox_error *error)
{
	_cleanup_buf_ struct buf front = {0};
	_cleanup_buf_ struct buf text = {0};
	size_t brace = json_skip_space(json, size, 0);
	json_t *event;
	int r;

	r = json_parse_object(json, size, REQUEST_LIMIT, &event, error);
	if (r < 0) {
		error_prefix(error, "the event's JSON is refused");
		return r;
	}
	r = request_front(type, phase, event, &front, error);
	json_decref(event);
	if (r < 0)
		return r;
	buf_add(&text, json, brace + 1);
	buf_add(&text, front.data, front.size);
	buf_add(&text, json + brace + 1, size - brace - 1);
	*request_size = text.size;
	*request = buf_take(&text);
	return *request ? 0 : error_no_memory(error);
}
