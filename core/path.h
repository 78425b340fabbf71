/* SPDX-License-Identifier: MIT */
/* Paths of the host, as a configuration writes them. */
#ifndef CORE_PATH_H
#define CORE_PATH_H

/*
 * base/path, without "./" at path's beginning and "/" at its end; ".." stays, since a symbolic link
 * may stand before it. The caller's; NULL: no memory.
 */
char *path_join(const char *base, const char *path);

#endif
