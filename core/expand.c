/* SPDX-License-Identifier: MIT */
#include "expand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"
#include "config.h"

/* `inside` is what stands between the braces. */
static int expand_variable(const char *inside, size_t size, struct buf *out,
			   struct hookbox_error *error)
{
	_cleanup_free_ char *name = strndup(inside, size);
	char *standard;
	const char *value;

	if (!name)
		return error_no_memory(error);
	standard = strstr(name, ":-");
	if (standard) {
		*standard = '\0';
		standard += 2;
	}
	if (strchr(name, '=') || !env_entry_ok(name))
		return error_set(error, -EINVAL,
				 "\"${%.*s}\" names no environment variable; write $${ for a "
				 "plain ${",
				 (int)size, inside);
	if (standard && strstr(standard, "${"))
		return error_set(error, -EINVAL,
				 "the default of ${%s:-...} holds another ${; one variable "
				 "cannot stand inside another",
				 name);
	value = getenv(name);
	if (standard && (!value || !value[0]))
		value = standard;
	if (!value)
		return error_set(error, -EINVAL,
				 "the environment variable %s is not set; set it, or write "
				 "${%s:-default}",
				 name, name);
	buf_add_string(out, value);
	return 0;
}

int expand_text(const char *text, char **expanded, struct hookbox_error *error)
{
	_cleanup_buf_ struct buf out = {0};

	while (*text) {
		size_t plain = strcspn(text, "$");
		const char *end;
		int code;

		buf_add(&out, text, plain);
		text += plain;
		if (!strncmp(text, "$${", 3)) {
			buf_add_string(&out, "${");
			text += 3;
		} else if (!strncmp(text, "${", 2)) {
			end = strchr(text, '}');
			if (!end)
				return error_set(error, -EINVAL,
						 "\"%s\" has no closing brace; write $${ for a "
						 "plain ${",
						 text);
			code = expand_variable(text + 2, (size_t)(end - text - 2), &out, error);
			if (code)
				return code;
			text = end + 1;
		} else if (*text) {
			buf_add_char(&out, *text++);
		}
	}
	*expanded = buf_take(&out);
	return *expanded ? 0 : error_no_memory(error);
}
