/* SPDX-License-Identifier: MIT */
#include "listener.h"

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

bool listener_open(struct listener *listener, const char *dir, const char *id)
{
	_cleanup_close_ int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_free_ char *path = NULL;
	struct sockaddr_un address;
	struct stat st;
	char name[128];

	*listener = (struct listener){.fd = -1};
	snprintf(name, sizeof(name), "%s" LISTENER_SUFFIX, id);
	/* Whoever removed it may have let somebody else make it anew. */
	if (dir_fd < 0 || fstat(dir_fd, &st) || st.st_uid != geteuid() || st.st_mode & 077)
		return false;
	if (!address_in(dir_fd, name, &address) ||
	    asprintf(&path, "%s/%s", dir, name) < 0)
		return false;
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd >= 0 && !bind(listener->fd, (struct sockaddr *)&address, sizeof(address)))
		listener->path = take_pointer(path);
	/* The box's user may be anybody; the directory keeps all others of the machine away. */
	if (listener->path && !fchmodat(dir_fd, name, 0666, 0) && !listen(listener->fd, 1))
		return true;
	listener_close(listener);
	return false;
}

int listener_accept(struct listener *listener)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	/* Without a descriptor for it, whoever knocks sees the end. */
	if (fd >= 0 || (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED))
		listener_close(listener);
	return fd;
}

void listener_close(struct listener *listener)
{
	if (listener->path)
		unlink(listener->path);
	cleanup_close(&listener->fd);
	free(take_pointer(listener->path));
}
