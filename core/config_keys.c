/* SPDX-License-Identifier: MIT */
#include "config_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "near.h"
#include "path.h"
#include "plugin.h"

int key_error(const struct key_place *place, const char *format, ...)
{
	const struct ini_section *section = place->section;
	char text[700];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return error_set(place->error, -EINVAL, "%s: [%s%s%s] %s: %s", place->key->where,
			 section->kind, section->name ? " " : "",
			 section->name ? section->name : "", place->key->key, text);
}

const struct key_setter *key_find(const struct key_setter *setters, const char *key)
{
	for (; setters->key; setters++)
		if (!strcmp(setters->key, key))
			return setters;
	return NULL;
}

int key_unknown(const struct key_place *place, const struct key_setter *setters)
{
	const struct ini_section *section = place->section;
	const char *keys[32] = {NULL};

	for (size_t i = 0; setters[i].key && i < 31; i++)
		keys[i] = setters[i].key;
	return near_error(place->error, -EINVAL, place->key->key, keys,
			  "%s: [%s%s%s] %s: there is no such key", place->key->where, section->kind,
			  section->name ? " " : "", section->name ? section->name : "",
			  place->key->key);
}

int key_missing(const struct ini_section *section, const char *key, const char *sentence,
		struct hookbox_error *error)
{
	return error_set(error, -EINVAL, "%s: [%s %s] %s: the key is missing; %s", section->where,
			 section->kind, section->name, key, sentence);
}

const struct ini_key *key_named(const struct ini_section *section, const char *name)
{
	for (size_t i = 0; i < section->n_keys; i++)
		if (!strcmp(section->keys[i].key, name))
			return &section->keys[i];
	return NULL;
}

int key_scalar(const struct key_place *place, const char **value)
{
	if (place->key->n_values > 1)
		return key_error(place,
				 "it stands again in line %d, but it is no list; keep one of them",
				 place->key->value_lines[1]);
	if (!place->key->values[0][0])
		return key_error(place, "the value is empty; give one or remove the key");
	*value = place->key->values[0];
	return 0;
}

int key_string(const struct key_place *place, char **value)
{
	const char *text = NULL;
	int code = key_scalar(place, &text);

	if (code)
		return code;
	*value = strdup(text);
	return *value ? 0 : error_no_memory(place->error);
}

int key_bool(const struct key_place *place, bool *value)
{
	const char *text = NULL;
	int code = key_scalar(place, &text);

	if (!code && param_parse_bool(text, value))
		return key_error(place, "\"%s\" is neither yes nor no", text);
	return code;
}

int key_size(const struct key_place *place, uint64_t *value)
{
	const char *text = NULL;
	int code = key_scalar(place, &text);

	if (code)
		return code;
	if (param_parse_size(text, value))
		return key_error(
			place, "\"%s\" is no size; write a number of bytes, with k, m or g", text);
	return 0;
}

int key_time(const struct key_place *place, int64_t min, int64_t max, int64_t *value)
{
	const char *text = NULL;
	int code = key_scalar(place, &text);

	if (code)
		return code;
	if (param_parse_duration(text, value))
		return key_error(
			place, "\"%s\" is no time; write milliseconds, or a number with s, m or h",
			text);
	if (*value < min || *value > max)
		return key_error(place, "%s is out of range; write %lld to %lld ms", text,
				 (long long)min, (long long)max);
	return 0;
}

int key_list(const struct key_place *place, struct strv *list)
{
	for (size_t i = 0; i < place->key->n_items; i++)
		strv_add(list, place->key->items[i]);
	return list->failed ? error_no_memory(place->error) : 0;
}

int key_words(const struct key_place *place, struct strv *words)
{
	for (size_t i = 0; i < place->key->n_items; i++) {
		_cleanup_free_ char *copy = strdup(place->key->items[i]);
		char *rest = copy, *word;

		if (!copy)
			return error_no_memory(place->error);
		while ((word = strsep(&rest, ", \t")))
			if (*word)
				strv_add(words, word);
	}
	if (words->failed)
		return error_no_memory(place->error);
	return words->n ? 0 : key_error(place, "the value is empty; give one or remove the key");
}

int key_path(const struct key_place *place, const char *text, char **path)
{
	if (!*text)
		return key_error(place, "a path is empty; give one or remove it");
	if (text[0] == '~')
		return key_error(
			place,
			"\"%s\": there is no shell that would expand ~; write ${HOME}, or ./~ for "
			"a file of that name",
			text);
	if (text[0] != '/' && !place->section->dir)
		return key_error(place,
				 "\"%s\" is relative, but there is no config file that it could be "
				 "relative to; write it from / on",
				 text);
	*path = text[0] == '/' ? strdup(text) : path_join(place->section->dir, text);
	return *path ? 0 : error_no_memory(place->error);
}

bool env_entry_ok(const char *entry)
{
	size_t name =
		strspn(entry, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	return name && (entry[0] < '0' || entry[0] > '9') && (!entry[name] || entry[name] == '=');
}

int key_env(const struct key_place *place, struct strv *list)
{
	int code = key_list(place, list);

	for (size_t i = 0; i < list->n && !code; i++)
		if (!env_entry_ok(list->v[i]))
			code = key_error(
				place,
				"\"%s\" is neither NAME=value nor NAME; a name is of letters, "
				"digits and _",
				list->v[i]);
	return code;
}

bool config_name_ok(const char *name)
{
	size_t length =
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

	return length && !name[length] && length <= 48 && !strchr("_.-", name[0]);
}
