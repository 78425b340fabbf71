/* SPDX-License-Identifier: MIT */
/* A directory of a test's own, gone when the test ends. */
#ifndef TESTS_FILES_H
#define TESTS_FILES_H

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

static char files_dir[256];

static int files_setup(void **state)
{
	const char *parent = getenv("TMPDIR");

	snprintf(files_dir, sizeof(files_dir), "%s/hookbox-test.XXXXXX", parent ? parent : "/tmp");
	return mkdtemp(files_dir) ? 0 : -1;
}

static int files_remove(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	return remove(path);
}

static int files_teardown(void **state)
{
	return nftw(files_dir, files_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* DIR/NAME, valid until the sixteenth call after this one. */
static const char *files_path(const char *name)
{
	static char paths[16][512];
	static unsigned next;
	char *path = paths[next++ % 16];

	snprintf(path, sizeof(paths[0]), "%s/%s", files_dir, name);
	return path;
}

/* Writes DIR/NAME, and makes the directory that it is in. */
static const char *files_write_bytes(const char *name, const char *bytes, size_t size)
{
	const char *path = files_path(name);
	char parent[512];
	int fd;

	snprintf(parent, sizeof(parent), "%s", path);
	*strrchr(parent, '/') = '\0';
	mkdir(parent, 0700);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
	return path;
}

static inline const char *files_write(const char *name, const char *text)
{
	return files_write_bytes(name, text, strlen(text));
}

#endif
