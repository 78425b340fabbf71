/* SPDX-License-Identifier: MIT */
/*
 * INI text to sections. inih parses; the reader in front of it knows the line numbers and refuses
 * what inih, as distributions build it, would cut or misread without a word.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "config.h"
#include "expand.h"
#include "plugin.h"

#define FILE_LIMIT (1024 * 1024)
/* inih cuts lines at 200 bytes and section names at 50. */
#define LINE_LIMIT 190
#define NAME_LIMIT 48

struct reader {
	struct ini *ini;
	const char *file;		/* for errors */
	const char *dir;		/* or NULL */
	const char *next;
	const char *end;
	int line;
	struct ini_section *section;	/* the current one, or NULL */
	bool has_key;			/* a key of it came: an indented line continues that */
	bool indented;			/* the current line is such a one */
	struct hookbox_error *error;
	int code;
};

static int refuse(struct reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(struct reader *reader, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	reader->code = error_set(reader->error, -EINVAL, "%s:%d: %s", reader->file, reader->line, text);
	return reader->code;
}

static int no_memory(struct reader *reader)
{
	return reader->code = error_no_memory(reader->error);
}

/* ---- Sections ---- */

static const struct ini_section *find_section(const struct ini *ini, const char *kind,
					      const char *name)
{
	for (size_t i = 0; i < ini->n_sections; i++) {
		const struct ini_section *section = &ini->sections[i];

		if (!strcmp(section->kind, kind) && !strcmp(section->name ? section->name : "", name))
			return section;
	}
	return NULL;
}

static int add_section(struct reader *reader, const char *kind, const char *name)
{
	const struct ini_section *twin = find_section(reader->ini, kind, name);
	struct ini_section *sections;
	struct ini_section *section;

	if (twin)
		return refuse(reader, "the section [%s%s%s] stands at %s already; give one of them another "
			      "name or merge them", kind, *name ? " " : "", name, twin->where);
	sections = reallocarray(reader->ini->sections, reader->ini->n_sections + 1, sizeof(*sections));
	if (!sections)
		return no_memory(reader);
	reader->ini->sections = sections;
	section = &sections[reader->ini->n_sections++];
	*section = (struct ini_section){.kind = strdup(kind), .name = *name ? strdup(name) : NULL};
	if (asprintf(&section->where, "%s:%d", reader->file, reader->line) < 0)
		section->where = NULL;
	if (reader->dir)
		section->dir = strdup(reader->dir);
	reader->section = section;
	reader->has_key = false;
	if (!section->kind || (*name && !section->name) || !section->where ||
	    (reader->dir && !section->dir))
		return no_memory(reader);
	return 0;
}

/* "[kind name]", with nothing but blanks around. */
static int read_section(struct reader *reader, char *line)
{
	char *close = strchr(line, ']');
	char *kind = line + 1;
	char *name;

	if (!close || close[1 + strspn(close + 1, " \t")])
		return refuse(reader, "the section's name must end in ] and stand alone on its line");
	if (close - kind > NAME_LIMIT)
		return refuse(reader, "the section's name is longer than %d letters; shorten it", NAME_LIMIT);
	*close = '\0';
	kind += strspn(kind, " \t");
	name = kind + strcspn(kind, " \t");
	if (*name)
		*name++ = '\0';
	name += strspn(name, " \t");
	for (size_t length = strlen(name); length && isblank((unsigned char)name[length - 1]); length--)
		name[length - 1] = '\0';
	if (!*kind)
		return refuse(reader, "the section has no name; write [sandbox NAME] or [hook NAME]");
	return add_section(reader, kind, name);
}

/* ---- Lines, before inih sees them ---- */

static int check_key_line(struct reader *reader, const char *line)
{
	size_t key = strcspn(line, "=:");
	size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

	if (!line[key])
		return refuse(reader, "this is neither \"key = value\" nor a [section]");
	if (line[key] == ':')
		return refuse(reader, "write \"key = value\", with = instead of :");
	if (!name || name + strspn(line + name, " \t") != key)
		return refuse(reader, "the key must be of letters, digits, _, . and -");
	if (name > NAME_LIMIT)
		return refuse(reader, "the key is longer than %d letters", NAME_LIMIT);
	if (!reader->section)
		return refuse(reader, "the key stands before any section; put it under [hookbox], [sandbox "
			      "NAME] or [hook NAME]");
	return 0;
}

static bool has_inline_comment(const char *line)
{
	for (const char *at = strchr(line, ';'); at; at = strchr(at + 1, ';'))
		if (at > line && isspace((unsigned char)at[-1]))
			return true;
	return false;
}

/* Notes what the line is; the sections are made here, so that an empty one counts as well. */
static int check_line(struct reader *reader, const char *line)
{
	const char *text = line + strspn(line, " \t\r\n\v\f");

	reader->indented = text > line;
	if (!*text || *text == ';' || *text == '#')
		return 0;
	if (has_inline_comment(line))
		return refuse(reader, "\" ;\" would begin a comment within the line; put the comment on a line "
			      "of its own, or write the ; without a blank before it");
	if (reader->indented && *text == '[')
		return refuse(reader, "an indented line continues the value above; move the [ to the line's "
			      "beginning");
	if (reader->indented && !reader->has_key)
		return refuse(reader, "an indented line continues the value above, but there is none; move it "
			      "to the line's beginning");
	if (reader->indented)
		return 0;
	if (*text == '[') {
		_cleanup_free_ char *copy = strndup(text, strcspn(text, "\r\n"));

		return copy ? read_section(reader, copy) : no_memory(reader);
	}
	return check_key_line(reader, text);
}

/* What inih calls for its next line; NULL ends it. */
static char *next_line(char *line, int size, void *data)
{
	struct reader *reader = data;
	const char *newline;
	size_t n;

	if (reader->code || reader->next == reader->end)
		return NULL;
	reader->line++;
	newline = memchr(reader->next, '\n', (size_t)(reader->end - reader->next));
	n = (size_t)((newline ? newline + 1 : reader->end) - reader->next);
	if (memchr(reader->next, '\0', n)) {
		refuse(reader, "the line has a NUL byte; this is no text file");
		return NULL;
	}
	if (n > LINE_LIMIT || n + 1 > (size_t)size) {
		refuse(reader, "the line is longer than %d bytes; go on with the value on the next line, "
		       "indented", LINE_LIMIT);
		return NULL;
	}
	memcpy(line, reader->next, n);
	line[n] = '\0';
	reader->next += n;
	/* inih skips a byte order mark, too. */
	return check_line(reader, reader->line == 1 && !strncmp(line, "\xef\xbb\xbf", 3) ? line + 3 : line) ?
	       NULL : line;
}

/* ---- Keys, as inih hands them over ---- */

static bool append(char ***v, size_t *n, char *text)
{
	char **grown = text ? reallocarray(*v, *n + 2, sizeof(*grown)) : NULL;

	if (!grown) {
		free(text);
		return false;
	}
	*v = grown;
	grown[(*n)++] = text;
	grown[*n] = NULL;
	return true;
}

static struct ini_key *find_key(struct ini_section *section, const char *name)
{
	for (size_t i = 0; i < section->n_keys; i++)
		if (!strcmp(section->keys[i].key, name))
			return &section->keys[i];
	return NULL;
}

static struct ini_key *add_key(struct reader *reader, const char *name)
{
	struct ini_section *section = reader->section;
	struct ini_key *keys = reallocarray(section->keys, section->n_keys + 1, sizeof(*keys));
	struct ini_key *key;

	if (!keys)
		return NULL;
	section->keys = keys;
	key = &keys[section->n_keys++];
	*key = (struct ini_key){.key = strdup(name)};
	if (asprintf(&key->where, "%s:%d", reader->file, reader->line) < 0)
		key->where = NULL;
	return key->key && key->where ? key : NULL;
}

static bool add_item(struct ini_key *key, const char *text, int line)
{
	int *lines = reallocarray(key->item_lines, key->n_items + 1, sizeof(*lines));

	if (!lines)
		return false;
	key->item_lines = lines;
	lines[key->n_items] = line;
	return append(&key->items, &key->n_items, strdup(text));
}

/* An indented line: one more item, and one more piece of the value. */
static bool continue_value(struct ini_key *key, const char *text, int line)
{
	char **value = &key->values[key->n_values - 1];
	char **item = &key->items[key->n_items - 1];
	char *joined;

	if (asprintf(&joined, "%s%s%s", *value, **value ? " " : "", text) < 0)
		return false;
	if (!**value) {
		/* "key =" and its first value below: the empty item was none. */
		char *first = strdup(text);

		if (!first) {
			free(joined);
			return false;
		}
		free(*item);
		*item = first;
		key->item_lines[key->n_items - 1] = line;
	} else if (!add_item(key, text, line)) {
		free(joined);
		return false;
	}
	free(*value);
	*value = joined;
	return true;
}

static int take_key(void *data, const char *section, const char *name, const char *raw)
{
	struct reader *reader = data;
	struct ini_key *key = find_key(reader->section, name);
	_cleanup_free_ char *value = NULL;
	bool ok;

	if (reader->code)
		return 0;
	if (expand_text(raw, &value, reader->error)) {
		reader->code = error_prefix(reader->error, "%s:%d", reader->file, reader->line);
		return 0;
	}
	reader->has_key = true;
	if (reader->indented && key) {
		ok = continue_value(key, value, reader->line);
	} else {
		if (!key)
			key = add_key(reader, name);
		ok = key && append(&key->values, &key->n_values, strdup(value)) &&
		     add_item(key, value, reader->line);
	}
	if (!ok)
		no_memory(reader);
	return ok;
}

/* ---- Texts and files ---- */

static int read_sections(struct ini *ini, const char *text, size_t size, const char *file,
			 const char *dir, struct hookbox_error *error)
{
	struct reader reader = {
		.ini = ini,
		.file = file,
		.dir = dir,
		.next = text,
		.end = text + size,
		.error = error,
	};
	int line = ini_parse_stream(next_line, &reader, take_key, &reader);

	if (reader.code)
		return reader.code;
	if (line < 0)
		return error_no_memory(error);
	if (line > 0)
		return error_set(error, -EINVAL, "%s:%d: this is neither \"key = value\" nor a [section]", file,
				 line);
	return 0;
}

int ini_read_text(struct ini *ini, const char *text, size_t size, const char *name,
		  struct hookbox_error *error)
{
	return read_sections(ini, text, size, name, NULL, error);
}

static int read_all(int fd, const char *path, size_t size, char **text, size_t *n,
		    struct hookbox_error *error)
{
	*text = malloc(size + 1);
	if (!*text)
		return error_no_memory(error);
	for (*n = 0; *n < size;) {
		ssize_t got = read(fd, *text + *n, size - *n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set(error, -errno, "the config file \"%s\" cannot be read: %s", path,
					 strerror(errno));
		if (got == 0)
			break;
		*n += (size_t)got;
	}
	return 0;
}

int ini_read_file(struct ini *ini, const char *path, struct hookbox_error *error)
{
	/* O_NONBLOCK: a FIFO must not hold us. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	_cleanup_free_ char *absolute = NULL;
	_cleanup_free_ char *dir = NULL;
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t size = 0;
	int code;

	if (fd < 0)
		return error_set(error, -errno, "the config file \"%s\" cannot be opened: %s", path,
				 strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return error_set(error, -EINVAL, "the config file \"%s\" is no regular file", path);
	if (st.st_size > FILE_LIMIT)
		return error_set(error, -EFBIG, "the config file \"%s\" has %lld bytes, more than 1 MiB; is it "
				 "the right file?", path, (long long)st.st_size);
	code = plugin_check_owner(path, "the config file", error);
	if (!code)
		code = read_all(fd, path, (size_t)st.st_size, &text, &size, error);
	if (code)
		return code;
	absolute = realpath(path, NULL);
	dir = absolute ? strdup(dirname(absolute)) : NULL;
	if (!dir)
		return error_set(error, -errno, "the directory of the config file \"%s\" cannot be found: %s",
				 path, strerror(errno));
	return read_sections(ini, text, size, path, dir, error);
}

static void strings_free(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

static void key_free(struct ini_key *key)
{
	strings_free(key->values, key->n_values);
	strings_free(key->items, key->n_items);
	free(key->item_lines);
	free(key->key);
	free(key->where);
}

void ini_free(struct ini *ini)
{
	for (size_t i = 0; i < ini->n_sections; i++) {
		struct ini_section *section = &ini->sections[i];

		for (size_t k = 0; k < section->n_keys; k++)
			key_free(&section->keys[k]);
		free(section->keys);
		free(section->kind);
		free(section->name);
		free(section->where);
		free(section->dir);
	}
	free(ini->sections);
	*ini = (struct ini){0};
}
