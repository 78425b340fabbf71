/* SPDX-License-Identifier: MIT */
#include "path.h"

#include <stdio.h>
#include <string.h>

char *path_join(const char *base, const char *path)
{
	char *joined;
	size_t length;

	while (!strncmp(path, "./", 2)) {
		path += 2;
		while (*path == '/')
			path++;
	}
	if (!strcmp(path, "."))
		path = "";
	if (asprintf(&joined, "%s%s%s", base, *path && strcmp(base, "/") ? "/" : "", path) < 0)
		return NULL;
	length = strlen(joined);
	while (length > 1 && joined[length - 1] == '/')
		joined[--length] = '\0';
	return joined;
}
