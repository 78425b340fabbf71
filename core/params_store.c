/* SPDX-License-Identifier: MIT */
#include "params_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "path.h"

struct param_store {
	void **blocks;
	size_t n;
};

/* What a value is being read for. */
struct reading {
	struct param_store *store;
	const struct sandbox_param *param;
	const char *where;
	const char *base_dir;
	struct hookbox_error *error;
};

struct param_store *param_store_new(void)
{
	return calloc(1, sizeof(struct param_store));
}

void param_store_free(struct param_store *store)
{
	if (!store)
		return;
	for (size_t i = 0; i < store->n; i++)
		free(store->blocks[i]);
	free(store->blocks);
	free(store);
}

/* Keeps a block until the store goes; NULL (with the block freed) when memory runs out. */
static void *store_keep(struct param_store *store, void *block)
{
	void **blocks = block ? reallocarray(store->blocks, store->n + 1, sizeof(*blocks)) : NULL;

	if (!blocks) {
		free(block);
		return NULL;
	}
	store->blocks = blocks;
	return store->blocks[store->n++] = block;
}

/* What an error may show of a value. */
static const char *shown(const struct reading *reading, const char *text)
{
	return reading->param->flags & SANDBOX_PARAM_SECRET ? "(secret)" : text;
}

/* ---- Texts and paths ---- */

static int check_text(const struct reading *reading, const char *text)
{
	if (!text[0])
		return error_set(reading->error, -EINVAL,
				 "%s: the value is empty; give one or remove the "
				 "key",
				 reading->where);
	if (!param_text_ok(text))
		return error_set(reading->error, -EINVAL,
				 "%s: the value has a control character; "
				 "remove it",
				 reading->where);
	if ((reading->param->flags & SANDBOX_PARAM_WORD) && text[0] == '-')
		return error_set(reading->error, -EINVAL,
				 "%s: \"%s\" begins with a dash and would be taken "
				 "for an option; use another value",
				 reading->where, shown(reading, text));
	return 0;
}

static int read_path(const struct reading *reading, const char *text, const char **value)
{
	int code = check_text(reading, text);

	if (code)
		return code;
	if (text[0] == '/') {
		*value = store_keep(reading->store, strdup(text));
	} else if (reading->base_dir) {
		*value = store_keep(reading->store, path_join(reading->base_dir, text));
	} else {
		return error_set(reading->error, -EINVAL,
				 "%s: the path \"%s\" is relative, but there is no "
				 "config file that it could be relative to; write it from / on",
				 reading->where, shown(reading, text));
	}
	return *value ? 0 : error_no_memory(reading->error);
}

static int read_string(const struct reading *reading, const char *text, const char **value)
{
	int code = check_text(reading, text);

	if (code)
		return code;
	*value = store_keep(reading->store, strdup(text));
	return *value ? 0 : error_no_memory(reading->error);
}

static int read_program(const struct reading *reading, const char *text, const char **value)
{
	return strchr(text, '/') ? read_path(reading, text, value)
				 : read_string(reading, text, value);
}

/* ---- Lists ---- */

static int read_list(const struct reading *reading, const char *const *values, size_t n,
		     struct sandbox_list *list)
{
	const char **items = store_keep(reading->store, calloc(n + 1, sizeof(*items)));

	if (!items)
		return error_no_memory(reading->error);
	for (size_t i = 0; i < n; i++) {
		int code = read_string(reading, values[i], &items[i]);

		if (code)
			return code;
	}
	*list = (struct sandbox_list){n, items};
	return 0;
}

/* Cuts ":ro" or ":rw" off; read-only unless rw. */
static bool cut_access(char *text)
{
	size_t length = strlen(text);

	if (length > 3 &&
	    (!strcmp(text + length - 3, ":ro") || !strcmp(text + length - 3, ":rw"))) {
		bool read_only = text[length - 1] == 'o';

		text[length - 3] = '\0';
		return read_only;
	}
	return true;
}

/* HOST[:BOX][:ro|:rw] */
static int read_mount(const struct reading *reading, const char *value, struct sandbox_mount *mount)
{
	_cleanup_free_ char *text = strdup(value);
	int code = text ? check_text(reading, value) : error_no_memory(reading->error);
	char *box;

	if (code)
		return code;
	mount->read_only = cut_access(text);
	box = strchr(text, ':');
	if (box)
		*box++ = '\0';
	if (!text[0] || (box && (box[0] != '/' || strchr(box, ':'))))
		return error_set(
			reading->error, -EINVAL,
			"%s: \"%s\" is no mount; write HOST:/ABSOLUTE/PATH/IN/BOX, and :rw "
			"behind it if it may be written",
			reading->where, shown(reading, value));
	code = read_path(reading, text, &mount->host_path);
	if (code)
		return code;
	if (box)
		return read_string(reading, box, &mount->box_path);
	mount->box_path = mount->host_path;
	return 0;
}

static int read_mounts(const struct reading *reading, const char *const *values, size_t n,
		       struct sandbox_mount_list *list)
{
	struct sandbox_mount *mounts = store_keep(reading->store, calloc(n + 1, sizeof(*mounts)));

	if (!mounts)
		return error_no_memory(reading->error);
	for (size_t i = 0; i < n; i++) {
		int code = read_mount(reading, values[i], &mounts[i]);

		if (code)
			return code;
	}
	*list = (struct sandbox_mount_list){n, mounts};
	return 0;
}

/* ---- One parameter ---- */

static int bad_value(const struct reading *reading, int code, const char *text, const char *form)
{
	return error_set(reading->error, -EINVAL, "%s: \"%s\" is %s; write %s", reading->where,
			 shown(reading, text),
			 code == -ERANGE ? "too large" : "not of the right form", form);
}

static int read_scalar(const struct reading *reading, const char *text, void *value)
{
	int code;

	switch (reading->param->type) {
	case SANDBOX_BOOL:
		code = param_parse_bool(text, value);
		return code ? bad_value(reading, code, text, "yes or no") : 0;
	case SANDBOX_UINT:
		code = param_parse_uint(text, value);
		return code ? bad_value(reading, code, text, "a number such as 100") : 0;
	case SANDBOX_SIZE:
		code = param_parse_size(text, value);
		return code ? bad_value(reading, code, text, "a size such as 512m (k, m, g, t)")
			    : 0;
	case SANDBOX_DURATION:
		code = param_parse_duration(text, value);
		return code ? bad_value(reading, code, text, "a time such as 500ms, 10s or 5m") : 0;
	case SANDBOX_PATH:
		return read_path(reading, text, value);
	case SANDBOX_PROGRAM:
		return read_program(reading, text, value);
	default:
		return read_string(reading, text, value);
	}
}

int param_store_set(struct param_store *store, const struct sandbox_param *param,
		    const char *const *values, size_t n_values, const char *where,
		    const char *base_dir, void *instance, struct hookbox_error *error)
{
	const struct reading reading = {store, param, where, base_dir, error};
	void *value = (char *)instance + param->offset;

	if (param->type == SANDBOX_LIST)
		return read_list(&reading, values, n_values, value);
	if (param->type == SANDBOX_MOUNT_LIST)
		return read_mounts(&reading, values, n_values, value);
	return read_scalar(&reading, values[0], value);
}
