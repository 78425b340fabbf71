/* SPDX-License-Identifier: MIT */
#include "door.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"

/* Through the directory's descriptor: an address has no room for long paths. */
static bool address_in(int dir, const char *name, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	return (size_t)snprintf(address->sun_path, sizeof(address->sun_path),
				"/proc/self/fd/%d/%s", dir, name) < sizeof(address->sun_path);
}

bool door_open(struct door *door, const char *dir, const char *id)
{
	_cleanup_close_ int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *path = NULL;
	struct sockaddr_un address;
	char name[128];

	*door = (struct door){.fd = -1};
	snprintf(name, sizeof(name), "%s" DOOR_SUFFIX, id);
	if (dir_fd < 0 || !address_in(dir_fd, name, &address) ||
	    asprintf(&path, "%s/%s", dir, name) < 0)
		return false;
	door->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (door->fd >= 0 && !bind(door->fd, (struct sockaddr *)&address, sizeof(address)))
		door->path = take_pointer(path);
	/* The box's user may be anybody; the directory keeps all others of the machine away. */
	if (door->path && !fchmodat(dir_fd, name, 0666, 0) && !listen(door->fd, 1))
		return true;
	door_close(door);
	return false;
}

int door_accept(struct door *door)
{
	int fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	/* Without a descriptor for it, whoever knocks sees the end. */
	if (fd >= 0 || (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED))
		door_close(door);
	return fd;
}

void door_close(struct door *door)
{
	if (door->path)
		unlink(door->path);
	cleanup_close(&door->fd);
	free(take_pointer(door->path));
}
