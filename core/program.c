/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int program_check(int dirfd, const char *path)
{
	struct stat st;

	if (fstatat(dirfd, path, &st, 0))
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	if (!S_ISREG(st.st_mode))
		return EACCES;
	return faccessat(dirfd, path, X_OK, AT_EACCESS) ? errno : 0;
}

int program_search(int dirfd, const char *name, const char *path, char *found)
{
	const size_t room = PROGRAM_ROOM(name, path);
	int failure = ENOENT;

	for (;;) {
		size_t length = strcspn(path, ":");
		int code;

		snprintf(found, room, "%.*s/%s", length ? (int)length : 1, length ? path : ".",
			 name);
		code = program_check(dirfd, found);
		if (!code)
			return 0;
		if (code == EACCES)
			failure = EACCES;
		if (!path[length])
			return failure;
		path += length + 1;
	}
}
