/* SPDX-License-Identifier: MIT */
/*
 * Machines of our own, booted with smolBSD's startnb.sh in its directory. What they leave there
 * bears their name: qemu-NAME.pid, which QEMU keeps locked while it runs, and NAME.known_hosts.
 * The lock tells which process a machine is; a pid file that nobody locks is stale.
 */
#include "smolbsd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- Names ---- */

unsigned int smolbsd_vm_port(const char *name)
{
	const char *dash = strrchr(name, '-');
	unsigned long port;

	if (strncmp(name, SMOLBSD_NAME_PREFIX, strlen(SMOLBSD_NAME_PREFIX)) ||
	    strlen(name) >= SMOLBSD_NAME_SIZE ||
	    name[strspn(name, "0123456789abcdefghijklmnopqrstuvwxyz-")] ||
	    dash < name + strlen(SMOLBSD_NAME_PREFIX) + 1 || strspn(dash + 1, "0123456789") > 5 ||
	    !dash[1] || dash[1 + strspn(dash + 1, "0123456789")])
		return 0;
	port = strtoul(dash + 1, NULL, 10);
	return port <= 65535 ? (unsigned int)port : 0;
}

int smolbsd_open_directory(const struct smolbsd_ssh *ssh, char error[SANDBOX_ERROR_SIZE])
{
	int fd = open(ssh->smolbsd_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int code = -errno;

	if (fd >= 0)
		return fd;
	snprintf(error, SANDBOX_ERROR_SIZE, "smolbsd_dir: %.400s cannot be opened: %s; correct it",
		 ssh->smolbsd_dir, strerror(-code));
	/* Where there is no box to be found, one would be started. */
	return code == -ENOENT ? -ENOTDIR : code;
}

static void pid_file_name(const char *name, char file[SMOLBSD_NAME_SIZE + 16])
{
	snprintf(file, SMOLBSD_NAME_SIZE + 16, "qemu-%s.pid", name);
}

/* ---- Whether a machine runs ---- */

pid_t smolbsd_lock_holder(int directory, const char *name)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char file[SMOLBSD_NAME_SIZE + 16];
	pid_t pid = -1;
	int fd;

	pid_file_name(name, file);
	fd = openat(directory, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (!fcntl(fd, F_GETLK, &lock))
		pid = lock.l_type == F_UNLCK ? 0 : lock.l_pid > 0 ? lock.l_pid : -1;
	close(fd);
	return pid;
}

void smolbsd_pause_ms(long ms)
{
	const struct timespec pause = {.tv_nsec = ms * 1000000};

	nanosleep(&pause, NULL);
}

/* ---- Ending one ---- */

/* Sends a signal to the machine's process and to no other that got its pid since. */
static void signal_machine(int directory, const char *name, int signo)
{
	pid_t pid = smolbsd_lock_holder(directory, name);
	int fd = pid > 0 ? pidfd_open(pid, 0) : -1;

	if (fd < 0)
		return;
	if (smolbsd_lock_holder(directory, name) == pid)
		pidfd_send_signal(fd, signo, NULL, 0);
	close(fd);
}

static bool wait_until_gone(int directory, const char *name, int64_t deadline)
{
	pid_t pid;

	while ((pid = smolbsd_lock_holder(directory, name)) != 0 && backend_now_ms() < deadline)
		smolbsd_pause_ms(20);
	return !pid;
}

int smolbsd_end_machine(int directory, const char *name, int64_t timeout_ms,
		       char error[SANDBOX_ERROR_SIZE])
{
	int64_t now = backend_now_ms();
	char file[SMOLBSD_NAME_SIZE + 16];
	bool gone;

	signal_machine(directory, name, SIGTERM);
	gone = wait_until_gone(directory, name, now + timeout_ms / 2);
	if (!gone) {
		signal_machine(directory, name, SIGKILL);
		gone = wait_until_gone(directory, name, now + timeout_ms);
	}
	if (!gone) {
		snprintf(error, SANDBOX_ERROR_SIZE,
			 "the machine %s did not end: kill the process that has qemu-%s.pid locked",
			 name, name);
		return -EIO;
	}
	pid_file_name(name, file);
	unlinkat(directory, file, 0);
	snprintf(file, sizeof(file), "%s.known_hosts", name);
	unlinkat(directory, file, 0);
	return 0;
}

int smolbsd_stop(void *instance, const struct sandbox_box_request *request, const char *box_id,
		 char error[SANDBOX_ERROR_SIZE])
{
	const struct smolbsd_ssh *ssh = instance;
	int directory, code;

	if (!ssh->smolbsd_dir || !smolbsd_vm_port(box_id))
		return backend_refuse(error, "\"%.80s\" is no machine that hookbox booted", box_id);
	directory = smolbsd_open_directory(ssh, error);
	if (directory < 0)
		return directory;
	code = smolbsd_end_machine(directory, box_id, request->timeout_ms, error);
	close(directory);
	return code;
}

/* ---- Finding ---- */

/* ssh goes on without a word where it cannot write down a new key, and trusts the next one too. */
static int prepare_known_hosts(const char *path, char error[SANDBOX_ERROR_SIZE])
{
	char *copy = strdup(path);
	int fd = -1, code = copy ? 0 : ENOMEM;

	for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash && !code;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0700) && errno != EEXIST)
			code = errno;
		*slash = '/';
	}
	if (!code) {
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		code = fd < 0 ? errno : 0;
	}
	if (fd >= 0)
		close(fd);
	free(copy);
	if (!code)
		return 0;
	snprintf(error, SANDBOX_ERROR_SIZE,
		 "known_hosts: %.400s cannot be written: %s; correct that, or set host_key", path,
		 strerror(code));
	return -EACCES;
}

/* A machine of ours belongs to the process that booted it, which asks whether it still runs. */
static int find_machine(const struct smolbsd_ssh *ssh, const char *name,
			const struct sandbox_text_sink *id, char error[SANDBOX_ERROR_SIZE])
{
	int directory, code = -ENOENT;

	if (!name || !smolbsd_vm_port(name))
		return code;
	directory = smolbsd_open_directory(ssh, error);
	if (directory < 0)
		return directory;
	if (smolbsd_lock_holder(directory, name) > 0) {
		id->text(id, name);
		code = 0;
	}
	close(directory);
	return code;
}

int smolbsd_find(void *instance, const struct sandbox_box_request *request,
		 const struct sandbox_text_sink *id, char error[SANDBOX_ERROR_SIZE])
{
	const struct smolbsd_ssh *ssh = instance;
	bool pins = !strcmp(ssh->host_key, HOST_KEY_ACCEPT_NEW);
	const char *path = ssh->known_hosts ? ssh->known_hosts : ssh->known_hosts_path;
	int code = pins && path ? prepare_known_hosts(path, error) : 0;

	if (code)
		return code;
	if (ssh->smolbsd_dir)
		return find_machine(ssh, request->not_box_id, id, error);
	id->text(id, ssh->host);
	return 0;
}

int smolbsd_list(void *instance, const struct sandbox_box_request *request,
		 const struct sandbox_box_list_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	const struct smolbsd_ssh *ssh = instance;
	struct dirent *entry;
	char name[SMOLBSD_NAME_SIZE];
	DIR *directory;
	int fd, end;

	if (!ssh->smolbsd_dir)
		return 0;
	fd = smolbsd_open_directory(ssh, error);
	if (fd < 0)
		return fd == -ENOTDIR ? 0 : fd;
	directory = fdopendir(fd);
	if (!directory) {
		close(fd);
		return backend_refuse(error, "%.400s cannot be read", ssh->smolbsd_dir);
	}
	while ((entry = readdir(directory))) {
		end = 0;
		if (sscanf(entry->d_name, "qemu-%127[0-9a-z-].pid%n", name, &end) != 1 || !end ||
		    entry->d_name[end] || !smolbsd_vm_port(name))
			continue;
		char *owner = strdup(name + strlen(SMOLBSD_NAME_PREFIX));

		if (owner) {
			*strrchr(owner, '-') = '\0';
			sink->box(sink, name, owner);
		}
		free(owner);
	}
	closedir(directory);
	return 0;
}
