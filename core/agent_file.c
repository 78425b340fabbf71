/* SPDX-License-Identifier: MIT */
#include "agent_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cleanup.h"

#define FILE_MAX (16u << 20)

/*
 * Finds a directory where a file can be made and executed, says what machine this is, reads a line
 * with a size, and that many bytes into the file, which it becomes. A directory of its own is what
 * no other user can have put something in its way in. head may read more than it was told, so
 * nothing may follow the file until the agent has greeted; when the host dies it reads less. Some
 * shells run no trap when exec fails, so it is tried before. What does not become the agent leaves
 * nothing, and the agent's commands get the umask that was found.
 */
static const char script[] =
	"u=$(umask)\n"
	"umask 077\n"
	"d= f=\n"
	"clear() { [ -z \"$d\" ] || { rm -f \"$f\"; rmdir \"$d\"; }; d= f=; }\n"
	"trap clear EXIT\n"
	"trap 'exit 125' HUP INT PIPE TERM\n"
	"for p in \"${TMPDIR:-/tmp}\" /dev/shm /var/tmp /run \"$HOME\" .; do\n"
	"mkdir \"$p/.hookbox-agent.$$\" 2>/dev/null || continue\n"
	"d=$p/.hookbox-agent.$$\n"
	"f=$d/hookbox-agent\n"
	"{ printf '#!/bin/sh\\n' >\"$f\" && chmod 700 \"$f\" && \"$f\" </dev/null; } "
	">/dev/null 2>&1 && break\n"
	"clear\n"
	"done\n"
	"printf '\\036agent %s %s %s\\n' \"${f:+here}\" \"$(uname -s)\" \"$(uname -m)\"\n"
	"IFS= read -r n || exit 125\n"
	"[ \"$f\" ] && [ \"$n\" -gt 0 ] && head -c \"$n\" >\"$f\" || exit 125\n"
	"[ $(wc -c <\"$f\") -eq \"$n\" ] || exit 125\n"
	"\"$f\" --version </dev/null >/dev/null || exit 126\n"
	"umask \"$u\"\n"
	"exec \"$f\" --remove\n";

char *agent_file_path(const char *dir)
{
	char *path;

	return asprintf(&path, "%s/hookbox-agent", dir) < 0 ? NULL : path;
}

const char *agent_file_dir(void)
{
	const char *dir = secure_getenv("HOOKBOX_AGENT_DIR");
	_cleanup_free_ char *path = NULL;

	if (!dir)
		dir = HOOKBOX_AGENT_DIR;
	path = agent_file_path(dir);
	return !path || access(path, R_OK) ? NULL : dir;
}

void agent_file_argv(struct strv *argv)
{
	strv_add(argv, "sh");
	strv_add(argv, "-c");
	strv_add(argv, script);
}

static int read_file(const char *path, struct agent_file *file, struct hookbox_error *error)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *bytes = NULL;
	struct stat st;
	size_t got = 0;
	ssize_t n = 0;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return error_set(error, -ENOENT,
				 "there is no agent for that kind of box: %s: %s; put "
				 "one there",
				 path, strerror(fd < 0 ? errno : EINVAL));
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		return error_no_memory(error);
	while (got < (size_t)st.st_size &&
	       (n = read(fd, bytes + got, (size_t)st.st_size - got)) > 0)
		got += (size_t)n;
	if (n < 0)
		return error_set(error, -EIO, "%s cannot be read: %s", path, strerror(errno));
	buf_printf(&file->bytes, "%zu\n", got);
	buf_add(&file->bytes, bytes, got);
	return file->bytes.failed ? error_no_memory(error) : 0;
}

static bool is_word(const char *word)
{
	return *word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "0123456789_-")];
}

/* Chooses by what the box says of itself; the words are its own and only ever part of a name. */
static int choose(const char *system, const char *machine, const char *dir,
		  struct agent_file *file, struct hookbox_error *error)
{
	_cleanup_free_ char *path = NULL;
	struct utsname here;
	char name[128];

	if (!is_word(system) || !is_word(machine) || uname(&here))
		return error_set(error, -ENOTSUP,
				 "the box does not say what machine it is (it has no "
				 "uname), so no agent can be chosen for it");
	if (!strcmp(system, here.sysname) && !strcmp(machine, here.machine))
		snprintf(name, sizeof(name), "hookbox-agent");
	else
		snprintf(name, sizeof(name), "hookbox-agent-%.40s-%.40s", system, machine);
	if (asprintf(&path, "%s/%s", dir, name) < 0) {
		path = NULL;
		return error_no_memory(error);
	}
	return read_file(path, file, error);
}

int agent_file_asked(const char *printed, size_t n, const char *dir, struct agent_file *file,
		     struct hookbox_error *error)
{
	static const char mark[] = "\036agent ";
	const char *line = n ? memmem(printed, n, mark, strlen(mark)) : NULL;
	const char *end = line ? memchr(line, '\n', (size_t)(printed + n - line)) : NULL;
	_cleanup_free_ char *words = NULL;
	char *where, *system, *machine;
	int code;

	if (!end)
		return 0;
	line += strlen(mark);
	words = strndup(line, (size_t)(end - line));
	if (!words)
		return error_no_memory(error);
	machine = words;
	where = strsep(&machine, " ");
	system = strsep(&machine, " ");
	if (strcmp(where, "here"))
		return error_set(error, -EROFS,
				 "the box has no directory where a file can be made and "
				 "executed (/tmp, /dev/shm, /var/tmp, /run, $HOME)");
	code = choose(system ? system : "", machine ? machine : "", dir, file, error);
	return code ? code : 1;
}

void agent_file_free(struct agent_file *file)
{
	buf_free(&file->bytes);
}
