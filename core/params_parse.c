/* SPDX-License-Identifier: MIT */
/* Values of a config as numbers: one grammar for backends' keys and for the host's own. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "plugin.h"

int param_parse_bool(const char *text, bool *value)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{"yes", true}, {"true", true},	 {"on", true},	 {"1", true},
		{"no", false}, {"false", false}, {"off", false}, {"0", false},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcasecmp(text, words[i].word)) {
			*value = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

/* Reads decimal digits; *rest is what follows them. */
static int parse_digits(const char *text, uint64_t *value, const char **rest)
{
	uint64_t number = 0;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*text); text++) {
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
			return -ERANGE;
	}
	*value = number;
	*rest = text;
	return 0;
}

int param_parse_uint(const char *text, uint64_t *value)
{
	uint64_t number;
	const char *rest;
	int code = parse_digits(text, &number, &rest);

	if (code)
		return code;
	if (*rest)
		return -EINVAL;
	*value = number;
	return 0;
}

int param_parse_size(const char *text, uint64_t *value)
{
	static const char units[] = "kmgt";
	uint64_t number;
	const char *rest, *unit;
	int code = parse_digits(text, &number, &rest);

	if (code)
		return code;
	if (*rest) {
		unit = strchr(units, tolower((unsigned char)*rest));
		if (!unit || rest[1])
			return -EINVAL;
		if (__builtin_mul_overflow(number, UINT64_C(1024) << (10 * (unit - units)),
					   &number))
			return -ERANGE;
	}
	*value = number;
	return 0;
}

int param_parse_duration(const char *text, int64_t *ms)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	uint64_t number;
	const char *rest;
	int code = parse_digits(text, &number, &rest);

	if (code)
		return code;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(rest, units[i].unit))
			continue;
		if (number > (uint64_t)(INT64_MAX / units[i].ms))
			return -ERANGE;
		*ms = (int64_t)number * units[i].ms;
		return 0;
	}
	return -EINVAL;
}
