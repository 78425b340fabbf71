/* SPDX-License-Identifier: MIT */
/*
 * INI text to sections. inih parses; the reader in front of it knows the line numbers and refuses
 * what inih, as distributions build it, would cut or misread without a word.
 */
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

#define SIZE_LIMIT (1024 * 1024)

/* inih cuts lines at 200 bytes, line end included, and names at 49. */
#define LINE_LIMIT 190
#define NAME_LIMIT 49
/* Looking a name up takes as long as there are names: 4096 of them are enough, and quick. */
#define SECTIONS_LIMIT 4096
#define KEYS_LIMIT 256
/* What ${VAR} may make of a text. */
#define EXPANDED_LIMIT (8 * 1024 * 1024)

#define NAME_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
#define BLANKS " \t"

struct reader {
	struct ini *ini;
	const char *file; /* for errors */
	const char *dir; /* or NULL */
	const char *next;
	const char *end;
	int line;
	char header[NAME_LIMIT + 1]; /* what stands between the current section's brackets */
	struct ini_section *section; /* the current one, or NULL */
	struct ini_key *key; /* the one that an indented line continues, or NULL */
	struct buf value; /* key's last value so far: key->values holds "" for it */
	bool indented; /* the current line is such a one */
	size_t expanded; /* bytes of all values */
	struct hookbox_error *error;
	int code;
};

static int refuse(struct reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(struct reader *reader, const char *format, ...)
{
	char text[sizeof(((struct hookbox_error *)0)->message)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	reader->code =
		error_set(reader->error, -EINVAL, "%s:%d: %s", reader->file, reader->line, text);
	return reader->code;
}

static int no_memory(struct reader *reader)
{
	return reader->code = error_no_memory(reader->error);
}

/* Room for one element more than n in an array that grows by doubling; NULL: no memory. */
static void *array_room(void *array, size_t n, size_t size)
{
	return n & (n - 1) ? array : reallocarray(array, n ? 2 * n : 1, size);
}

/* ---- Values ---- */

static bool add_string(char ***v, int **lines, size_t *n, char *string, int line)
{
	char **grown_v = array_room(*v, *n, sizeof(*grown_v));
	int *grown_lines;

	if (grown_v)
		*v = grown_v;
	grown_lines = array_room(*lines, *n, sizeof(*grown_lines));
	if (grown_lines)
		*lines = grown_lines;
	if (!grown_v || !grown_lines || !string) {
		free(string);
		return false;
	}
	grown_v[*n] = string;
	grown_lines[(*n)++] = line;
	return true;
}

/* The value that indented lines could have continued is complete. */
static int end_value(struct reader *reader)
{
	struct ini_key *key = reader->key;
	char *value;

	if (!key)
		return 0;
	reader->key = NULL;
	value = buf_take(&reader->value);
	if (!value)
		return no_memory(reader);
	free(key->values[key->n_values - 1]);
	key->values[key->n_values - 1] = value;
	return 0;
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
	struct ini_key *keys = array_room(section->keys, section->n_keys, sizeof(*keys));
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

/* "name =": its value is in reader->value until the next key, section, or the end. */
static int begin_value(struct reader *reader, const char *name)
{
	struct ini_key *key = find_key(reader->section, name);

	if (end_value(reader))
		return reader->code;
	if (!key && reader->section->n_keys == KEYS_LIMIT)
		return refuse(reader, "the section has more than %d keys; split it", KEYS_LIMIT);
	if (!key)
		key = add_key(reader, name);
	if (!key ||
	    !add_string(&key->values, &key->value_lines, &key->n_values, strdup(""), reader->line))
		return no_memory(reader);
	reader->key = key;
	return 0;
}

/* A line's part of the value, as the file has it: an item, and a piece of the scalar. */
static int add_to_value(struct reader *reader, const char *raw)
{
	struct ini_key *key = reader->key;
	_cleanup_free_ char *text = NULL;

	if (!*raw)
		return 0;
	if (expand_text(raw, &text, reader->error)) {
		reader->code = error_prefix(reader->error, "%s:%d", reader->file, reader->line);
		return reader->code;
	}
	reader->expanded += strlen(text);
	if (reader->expanded > EXPANDED_LIMIT)
		return refuse(reader,
			      "with ${VAR} expanded the file has more than %d MiB; shorten the "
			      "variables",
			      EXPANDED_LIMIT >> 20);
	if (reader->value.size && *text)
		buf_add_char(&reader->value, ' ');
	buf_add_string(&reader->value, text);
	if (!add_string(&key->items, &key->item_lines, &key->n_items, take_pointer(text),
			reader->line))
		return no_memory(reader);
	return 0;
}

/* What inih calls for each value, and for each indented line with the key above it. */
static int take_value(void *data, const char *section, const char *name, const char *raw)
{
	struct reader *reader = data;

	if (reader->code)
		return 0;
	/* An inih with other options, or another idea of INI, must not make another configuration.
	 */
	if (!raw || strcmp(section, reader->header) ||
	    (reader->indented && strcmp(name, reader->key->key)))
		refuse(reader,
		       "the inih library of this system reads this line otherwise than hookbox; "
		       "build inih with its default options");
	else if (reader->indented || !begin_value(reader, name))
		add_to_value(reader, raw);
	return !reader->code;
}

/* ---- Sections ---- */

static const struct ini_section *find_section(const struct ini *ini, const char *kind,
					      const char *name)
{
	for (size_t i = 0; i < ini->n_sections; i++) {
		const struct ini_section *section = &ini->sections[i];

		if (!strcmp(section->kind, kind) &&
		    !strcmp(section->name ? section->name : "", name))
			return section;
	}
	return NULL;
}

static int add_section(struct reader *reader, const char *kind, const char *name)
{
	const struct ini_section *twin = find_section(reader->ini, kind, name);
	struct ini *ini = reader->ini;
	struct ini_section *sections;
	struct ini_section *section;

	if (twin)
		return refuse(reader,
			      "the section [%s%s%s] stands at %s already; give one of them another "
			      "name or merge them",
			      kind, *name ? " " : "", name, twin->where);
	if (ini->n_sections == SECTIONS_LIMIT)
		return refuse(reader, "there are more than %d sections; remove some",
			      SECTIONS_LIMIT);
	sections = array_room(ini->sections, ini->n_sections, sizeof(*sections));
	if (!sections)
		return no_memory(reader);
	ini->sections = sections;
	section = &sections[ini->n_sections++];
	*section = (struct ini_section){.kind = strdup(kind), .name = *name ? strdup(name) : NULL};
	if (asprintf(&section->where, "%s:%d", reader->file, reader->line) < 0)
		section->where = NULL;
	if (reader->dir)
		section->dir = strdup(reader->dir);
	reader->section = section;
	if (!section->kind || (*name && !section->name) || !section->where ||
	    (reader->dir && !section->dir))
		return no_memory(reader);
	return 0;
}

/* "[kind]" or "[kind name]", alone on its line. inih tells nobody of a section without keys. */
static int begin_section(struct reader *reader, const char *line)
{
	const char *close = strchr(line, ']');
	char kind[NAME_LIMIT + 1], name[NAME_LIMIT + 1] = "", more[2];
	size_t length;
	int words;

	if (end_value(reader))
		return reader->code;
	if (!close || close[1 + strspn(close + 1, BLANKS)])
		return refuse(reader,
			      "a section's header ends in ] and stands alone on its line; write "
			      "[sandbox NAME] or [hook NAME], and a comment on a line of its own");
	length = (size_t)(close - line - 1);
	if (length > NAME_LIMIT)
		return refuse(reader,
			      "the section's header is longer than %d letters; shorten its name",
			      NAME_LIMIT);
	memcpy(reader->header, line + 1, length);
	reader->header[length] = '\0';
	words = sscanf(reader->header, "%49s %49s %1s", kind, name, more);
	if (words < 1 || words > 2 || kind[strspn(kind, NAME_BYTES)] ||
	    name[strspn(name, NAME_BYTES)])
		return refuse(
			reader,
			"[%s] is no section's header; write [sandbox NAME] or [hook NAME], with "
			"a NAME of letters, digits, _, . and -",
			reader->header);
	return add_section(reader, kind, name);
}

/* ---- Lines, before inih sees them ---- */

static int check_key_line(struct reader *reader, const char *line)
{
	size_t key = strcspn(line, "=:");
	size_t name = strspn(line, NAME_BYTES);

	if (!line[key])
		return refuse(
			reader,
			"this is neither \"key = value\" nor a [section]; a line that continues "
			"a value is indented");
	if (line[key] == ':')
		return refuse(reader, "write \"key = value\", with = instead of :");
	if (!name || name + strspn(line + name, BLANKS) != key)
		return refuse(reader,
			      "the key before the = must be of letters, digits, _, . and -");
	if (name > NAME_LIMIT)
		return refuse(reader,
			      "the key is longer than %d letters; see hookbox.ini(5) for the keys "
			      "there are",
			      NAME_LIMIT);
	if (!reader->section)
		return refuse(reader,
			      "the key stands before any section; put it under [hookbox], [sandbox "
			      "NAME] or [hook NAME]");
	return 0;
}

/* "[hook x]" below a key is a section that somebody indented; "[a-z]" may well be a value. */
static bool looks_like_header(const char *text)
{
	size_t kind = strspn(text + 1, "abcdefghijklmnopqrstuvwxyz");
	const char *name = text + 1 + kind + strspn(text + 1 + kind, BLANKS);
	size_t length = strspn(name, NAME_BYTES);

	if (text[0] != '[' || !kind)
		return false;
	return !strcmp(text, "[hookbox]") ||
	       (name > text + 1 + kind && length && name[length] == ']');
}

static int check_indented_line(struct reader *reader, const char *text)
{
	if (looks_like_header(text))
		return refuse(
			reader,
			"an indented line continues the value above; move the [ to the line's "
			"beginning");
	if (!reader->key)
		return refuse(
			reader,
			"an indented line continues the value above, but there is none; move it "
			"to the line's beginning");
	return 0;
}

static bool has_inline_comment(const char *text)
{
	for (const char *at = strchr(text, ';'); at; at = strchr(at + 1, ';'))
		if (at > text && strchr(BLANKS, at[-1]))
			return true;
	return false;
}

static int check_line(struct reader *reader, const char *line)
{
	const char *text = line + strspn(line, BLANKS);

	reader->indented = text > line;
	if (has_inline_comment(text))
		return refuse(
			reader,
			"\" ;\" would begin a comment within the line; put the comment on a line "
			"of its own, write the ; without a blank before it, or ${X:-;} for it");
	if (reader->indented)
		return check_indented_line(reader, text);
	return *text == '[' ? begin_section(reader, text) : check_key_line(reader, text);
}

static int check_bytes(struct reader *reader, const char *line, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)line[i];

		if (!c)
			return refuse(reader, "the line has a NUL byte; this is no text file");
		if ((c < ' ' && c != '\t') || c == 127)
			return refuse(reader,
				      "the line has the control character 0x%02x; remove it", c);
	}
	return 0;
}

/* Takes a line, without its end, off the text. */
static const char *cut_line(struct reader *reader, size_t *n)
{
	const char *line = reader->next;
	const char *newline = memchr(line, '\n', (size_t)(reader->end - line));

	reader->line++;
	reader->next = newline ? newline + 1 : reader->end;
	*n = (size_t)((newline ? newline : reader->end) - line);
	if (*n && line[*n - 1] == '\r')
		(*n)--;
	if (reader->line == 1 && *n >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
		line += 3;
		*n -= 3;
	}
	return line;
}

/* What inih calls for its next line; NULL ends it. Comments reach it as empty lines, so that it has
 * none to misread. */
static char *next_line(char *buffer, int size, void *data)
{
	struct reader *reader = data;
	const char *line;
	size_t n, blank = 0;

	if (reader->code || reader->next == reader->end)
		return NULL;
	line = cut_line(reader, &n);
	if (check_bytes(reader, line, n))
		return NULL;
	while (blank < n && strchr(BLANKS, line[blank]))
		blank++;
	if (blank == n || line[blank] == '#' || line[blank] == ';')
		return strcpy(buffer, "\n");
	if (n > LINE_LIMIT || n + 2 > (size_t)size) {
		refuse(reader,
		       "the line has %zu bytes, more than %d; go on with the value on the next "
		       "line, "
		       "indented (the parts are joined with one space)",
		       n, LINE_LIMIT);
		return NULL;
	}
	memcpy(buffer, line, n);
	buffer[n] = '\0';
	if (check_line(reader, buffer))
		return NULL;
	strcpy(buffer + n, "\n");
	return buffer;
}

/* ---- Texts and files ---- */

static int read_sections(struct ini *ini, const char *text, size_t size, const char *name,
			 const char *dir, struct hookbox_error *error)
{
	struct reader reader = {
		.ini = ini,
		.file = name,
		.dir = dir,
		.next = text,
		.end = text + size,
		.error = error,
	};
	int failed_line;

	if (size > SIZE_LIMIT)
		return error_set(error, -EFBIG,
				 "%s: it has %zu bytes, more than 1 MiB; is it a configuration?",
				 name, size);
	failed_line = ini_parse_stream(next_line, &reader, take_value, &reader);
	if (!reader.code)
		end_value(&reader);
	buf_free(&reader.value);
	if (reader.code)
		return reader.code;
	if (failed_line < 0)
		return error_no_memory(error);
	if (failed_line > 0)
		return error_set(error, -EINVAL,
				 "%s:%d: this is neither \"key = value\" nor a [section]", name,
				 failed_line);
	return 0;
}

int ini_read_text(struct ini *ini, const char *text, size_t size, const char *name,
		  struct hookbox_error *error)
{
	return read_sections(ini, text, size, name, NULL, error);
}

static int open_failed(const char *path, int number, struct hookbox_error *error)
{
	const char *remedy = number == ENOENT	? "create it, or name another one with --config"
			     : number == EACCES ? "give this user the right to read it"
			     : number == ELOOP	? "its symbolic links lead in a circle: remove one"
						: "name a regular file";

	return error_set(error, -number, "the config file \"%s\" cannot be opened: %s; %s", path,
			 strerror(number), remedy);
}

static int check_file(int fd, const char *path, struct hookbox_error *error)
{
	struct stat st;

	if (fstat(fd, &st))
		return open_failed(path, errno, error);
	if (!S_ISREG(st.st_mode))
		return error_set(error, -EINVAL,
				 "the config file \"%s\" is no regular file but %s; name one "
				 "that is",
				 path,
				 S_ISDIR(st.st_mode)	? "a directory"
				 : S_ISFIFO(st.st_mode) ? "a FIFO"
							: "a device");
	if (st.st_size > SIZE_LIMIT)
		return error_set(error, -EFBIG,
				 "the config file \"%s\" has %lld bytes, more than 1 MiB; is it "
				 "a configuration?",
				 path, (long long)st.st_size);
	return plugin_check_owner(path, "the config file", error);
}

/* One byte more than the limit is enough to see that a file has grown beyond it. */
static int read_all(int fd, const char *path, struct buf *text, struct hookbox_error *error)
{
	char piece[16384];
	ssize_t n = 1;

	while (n && text->size <= SIZE_LIMIT) {
		n = read(fd, piece, sizeof(piece));
		if (n < 0 && errno != EINTR)
			return error_set(error, -errno,
					 "the config file \"%s\" cannot be read: %s; is its "
					 "disk in order?",
					 path, strerror(errno));
		if (n > 0)
			buf_add(text, piece, (size_t)n);
	}
	return text->failed ? error_no_memory(error) : 0;
}

int ini_read_file(struct ini *ini, const char *path, struct hookbox_error *error)
{
	/* O_NONBLOCK: a FIFO must not hold us. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	_cleanup_free_ char *absolute = NULL;
	_cleanup_buf_ struct buf text = {0};
	int code;

	if (fd < 0)
		return open_failed(path, errno, error);
	code = check_file(fd, path, error);
	if (!code)
		code = read_all(fd, path, &text, error);
	if (code)
		return code;
	absolute = realpath(path, NULL);
	if (!absolute)
		return open_failed(path, errno, error);
	return read_sections(ini, text.data ? text.data : "", text.size, path, dirname(absolute),
			     error);
}

static void strings_free(char **v, int *lines, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
	free(lines);
}

static void key_free(struct ini_key *key)
{
	strings_free(key->values, key->value_lines, key->n_values);
	strings_free(key->items, key->item_lines, key->n_items);
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
