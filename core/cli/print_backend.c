/* SPDX-License-Identifier: MIT */
/* What a backend is and which keys it has: for a terminal, a man page, a table in Markdown. */
#include <string.h>

#include <jansson.h>

#include "print_backend.h"

const char *print_text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static const json_t *params_of(const json_t *backend)
{
	return json_object_get(backend, "params");
}

static bool is_set(const json_t *param, const char *flag)
{
	return json_is_true(json_object_get(param, flag));
}

/*
 * ---- For a terminal ----
 */
static const struct {
	const char *flag;
	const char *words;
} flag_words[] = {
	{"fresh", "every call gets a new box, gone afterwards"},
	{"kept", "calls enter a box that exists before and after them"},
	{"mounts", "host paths can be made visible in the box"},
	{"signals_as_128n", "without an agent, signal N looks like exit code 128 + N"},
	{"shell", "environment and arguments go in through the box's sh, byte for byte"},
	{"ends_with_process", "the box ends with the process that was started"},
	{"host_process", "the command is a process of the host"},
};

static const char *words_of(const char *flag)
{
	for (size_t i = 0; i < sizeof(flag_words) / sizeof(flag_words[0]); i++)
		if (!strcmp(flag_words[i].flag, flag))
			return flag_words[i].words;
	return flag;
}

static void print_param_text(const json_t *param)
{
	const char *metavar = print_text_of(param, "metavar");
	const char *dflt = print_text_of(param, "default");

	if (*metavar)
		printf("  %s = %s (%s)\n", print_text_of(param, "key"), metavar,
		       print_text_of(param, "type"));
	else
		printf("  %s = %s\n", print_text_of(param, "key"), print_text_of(param, "type"));
	printf("      %s", print_text_of(param, "help"));
	if (is_set(param, "required"))
		fputs(" (required)", stdout);
	if (is_set(param, "secret"))
		fputs(" (secret: never shown)", stdout);
	if (*dflt)
		printf(" (default: %s)", dflt);
	putchar('\n');
}

static void print_text(const json_t *backend)
{
	const char *path = print_text_of(backend, "path");
	const json_t *item;
	size_t i;

	printf("%s %s\n%s\n%s\n", print_text_of(backend, "name"), print_text_of(backend, "version"),
	       print_text_of(backend, "summary"), *path ? path : PRINT_BUILT_IN);
	puts("\nWhat it is:");
	json_array_foreach (json_object_get(backend, "flags"), i, item)
		printf("  %s\n", words_of(json_string_value(item)));
	json_array_foreach (json_object_get(backend, "extensions"), i, item)
		printf("  has %s\n", json_string_value(item));
	printf("\nKeys of a [sandbox NAME] with mode = %s:\n", print_text_of(backend, "name"));
	json_array_foreach (params_of(backend), i, item)
		print_param_text(item);
	if (!json_array_size(params_of(backend)))
		puts("  none of its own");
}

/*
 * ---- For a man page: the list of its section PARAMETERS, in mdoc(7) ----
 */

/* As an argument of a macro it is quoted, and \& keeps it from being a macro itself. */
static void put_mdoc(const char *text, bool argument)
{
	if (argument)
		fputs("\"\\&", stdout);
	else if (*text == '.' || *text == '\'')
		fputs("\\&", stdout);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-')
			fputs("\\-", stdout);
		else if (*text == '"' && argument)
			fputs("\\(dq", stdout);
		else if (*text == '\n')
			putchar(' ');
		else
			putchar(*text);
	}
	if (argument)
		putchar('"');
}

static void print_param_man(const json_t *param)
{
	const char *metavar = print_text_of(param, "metavar");
	const char *dflt = print_text_of(param, "default");

	printf(".It Cm %s No = Ar ", print_text_of(param, "key"));
	put_mdoc(*metavar ? metavar : print_text_of(param, "type"), true);
	if (*metavar)
		printf(" Pq %s", print_text_of(param, "type"));
	putchar('\n');
	put_mdoc(print_text_of(param, "help"), false);
	puts(".");
	if (is_set(param, "required"))
		puts("Required.");
	if (is_set(param, "secret"))
		puts("Secret: never shown.");
	if (*dflt) {
		fputs("Default:\n.Li ", stdout);
		put_mdoc(dflt, true);
		puts(" .");
	}
}

static void print_man(const json_t *backend)
{
	const json_t *param;
	size_t i;

	if (!json_array_size(params_of(backend))) {
		puts("None of its own.");
		return;
	}
	puts(".Bl -tag -width Ds");
	json_array_foreach (params_of(backend), i, param)
		print_param_man(param);
	puts(".El");
}

/*
 * ---- For a page on the web: rows of a table in Markdown ----
 */

/* In a span of code only the table's own sign means something. */
static void put_markdown(const char *text, bool code)
{
	if (code)
		putchar('`');
	for (; *text; text++) {
		if (*text == '|' || (!code && strchr("\\*_<[", *text)))
			putchar('\\');
		putchar(*text == '\n' ? ' ' : *text);
	}
	if (code)
		putchar('`');
}

static void print_param_markdown(const json_t *param)
{
	const char *metavar = print_text_of(param, "metavar");
	const char *dflt = print_text_of(param, "default");

	fputs("| ", stdout);
	put_markdown(print_text_of(param, "key"), true);
	printf(" | %s", print_text_of(param, "type"));
	if (*metavar) {
		fputs(": ", stdout);
		put_markdown(metavar, true);
	}
	fputs(" | ", stdout);
	if (is_set(param, "required"))
		fputs("required", stdout);
	else if (*dflt)
		put_markdown(dflt, true);
	fputs(" | ", stdout);
	put_markdown(print_text_of(param, "help"), false);
	puts(is_set(param, "secret") ? " (secret: never shown) |" : " |");
}

static void print_markdown(const json_t *backend)
{
	const json_t *param;
	size_t i;

	printf("| **%s** | | | **", print_text_of(backend, "name"));
	put_markdown(print_text_of(backend, "summary"), false);
	puts("** |");
	json_array_foreach (params_of(backend), i, param)
		print_param_markdown(param);
}

static const struct {
	const char *name;
	void (*print)(const json_t *backend);
} formats[] = {
	{"text", print_text},
	{"man", print_man},
	{"markdown", print_markdown},
};

bool print_backend(const json_t *backend, const char *format)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (!strcmp(formats[i].name, format)) {
			formats[i].print(backend);
			return true;
		}
	}
	return false;
}
