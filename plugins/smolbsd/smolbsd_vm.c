/* SPDX-License-Identifier: MIT */
/*
 * Machines of our own, booted with smolBSD's startnb.sh in its directory. What they leave there
 * bears their name: qemu-NAME.pid, which QEMU keeps locked while it runs, and NAME.known_hosts.
 * The lock tells which process a machine is; a pid file that nobody locks is stale. startnb.sh exits
 * with 0 even when QEMU failed, so nothing but the lock says that a machine is there.
 */
#include "smolbsd.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME_PREFIX "hookbox-"
#define OWNER_LABEL "hookbox.owner="
#define NAME_SIZE 128

#define LOGIN_MS 10000		/* how long one attempt to log in may take */
#define PROGRESS_MS 5000
#define PORT_ATTEMPTS 5		/* somebody else may take a free port first */

/* ---- Names ---- */

unsigned int smolbsd_vm_port(const char *name)
{
	const char *dash = strrchr(name, '-');
	unsigned long port;

	if (strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX)) || strlen(name) >= NAME_SIZE ||
	    name[strspn(name, "0123456789abcdefghijklmnopqrstuvwxyz-")] ||
	    dash < name + strlen(NAME_PREFIX) + 1 || strspn(dash + 1, "0123456789") > 5 ||
	    !dash[1] || dash[1 + strspn(dash + 1, "0123456789")])
		return 0;
	port = strtoul(dash + 1, NULL, 10);
	return port <= 65535 ? (unsigned int)port : 0;
}

static const char *owner_label(const struct sandbox_box_request *request)
{
	for (const char *const *label = request->labels; *label; label++)
		if (!strncmp(*label, OWNER_LABEL, strlen(OWNER_LABEL)))
			return *label + strlen(OWNER_LABEL);
	return NULL;
}

/* A file of the machine's, opened or removed through the directory. */
static int open_directory(const struct smolbsd_ssh *ssh, char error[SANDBOX_ERROR_SIZE])
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

static void pid_file_name(const char *name, char file[NAME_SIZE + 16])
{
	snprintf(file, NAME_SIZE + 16, "qemu-%s.pid", name);
}

/* ---- Whether a machine runs ---- */

/* The process that has the pid file's lock; 0: none has, -1: that cannot be told. */
static pid_t lock_holder(int directory, const char *name)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char file[NAME_SIZE + 16];
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

static void pause_ms(long ms)
{
	const struct timespec pause = {.tv_nsec = ms * 1000000};

	nanosleep(&pause, NULL);
}

/* ---- Ending one ---- */

/* Sends a signal to the machine's process and to no other that got its pid since. */
static void signal_machine(int directory, const char *name, int signo)
{
	pid_t pid = lock_holder(directory, name);
	int fd = pid > 0 ? pidfd_open(pid, 0) : -1;

	if (fd < 0)
		return;
	if (lock_holder(directory, name) == pid)
		pidfd_send_signal(fd, signo, NULL, 0);
	close(fd);
}

static bool wait_until_gone(int directory, const char *name, int64_t deadline)
{
	pid_t pid;

	while ((pid = lock_holder(directory, name)) != 0 && backend_now_ms() < deadline)
		pause_ms(20);
	return !pid;
}

static int end_machine(int directory, const char *name, int64_t timeout_ms,
		       char error[SANDBOX_ERROR_SIZE])
{
	int64_t now = backend_now_ms();
	char file[NAME_SIZE + 16];
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
	directory = open_directory(ssh, error);
	if (directory < 0)
		return directory;
	code = end_machine(directory, box_id, request->timeout_ms, error);
	close(directory);
	return code;
}

/* ---- Logging in ---- */

/* "ssh failed: why; what to do". The way it fails until the machine is up is -EAGAIN. */
static int explain_login(const struct sandbox_command_result *result,
			 char error[SANDBOX_ERROR_SIZE])
{
	static const char *const hopeless[] = {
		"ermission denied", "IDENTIFICATION HAS CHANGED", "Host key", "host key", "Load key",
		"UNPROTECTED", "Identity file", "Could not resolve", "configuration option",
		"command-line", "no matching", "Too many authentication",
	};
	struct smolbsd_failure failure = {0};

	if (result->timed_out) {
		snprintf(error, SANDBOX_ERROR_SIZE, "no login was answered in time");
		return -EAGAIN;
	}
	if (!smolbsd_explain(result->err, result->err_size, &failure)) {
		snprintf(error, SANDBOX_ERROR_SIZE, "ssh ended with status %d: %.*s", result->status,
			 (int)strcspn(result->err, "\r\n"), result->err);
		return -EAGAIN;
	}
	snprintf(error, SANDBOX_ERROR_SIZE, "%s; %s", failure.what, failure.advice);
	for (size_t i = 0; i < N_ELEMENTS(hopeless); i++)
		if (strstr(failure.what, hopeless[i]))
			return -EACCES;
	return -EAGAIN;
}

int smolbsd_log_in(const struct smolbsd_ssh *ssh, const char *box_id, int64_t timeout_ms,
		   char error[SANDBOX_ERROR_SIZE])
{
	static const char *const argv[] = {"true", NULL};
	const struct sandbox_plan_request request = backend_probe_request(argv, box_id);
	struct sandbox_command_result result;
	struct backend_command command;
	int code;

	backend_command_init(&command);
	code = smolbsd_plan(ssh, &request, &command.sink, error);
	if (!code)
		code = backend_command_run(ssh->table, &command, timeout_ms, &result, error);
	if (!code) {
		if (!backend_result_is_good(&result))
			code = explain_login(&result, error);
		ssh->table->run_done(ssh->table, &result);
	}
	backend_command_free(&command);
	return code;
}

/* ---- Booting one ---- */

/* A port of the loopback interface that is free now; 0: there is none. */
static unsigned int free_port(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned int port = 0;

	if (fd >= 0 && !bind(fd, (struct sockaddr *)&address, size) &&
	    !getsockname(fd, (struct sockaddr *)&address, &size))
		port = ntohs(address.sin_port);
	if (fd >= 0)
		close(fd);
	return port;
}

struct boot {
	const struct smolbsd_ssh *ssh;
	int directory;
	int64_t begun;
	int64_t deadline;
	unsigned int port;
	char name[NAME_SIZE];
	char said[512];			/* the last line of what startnb.sh said */
};

static void log_progress(const struct boot *boot, const char *what)
{
	char line[256];

	snprintf(line, sizeof(line), "[sandbox %.64s] %s after %.1f s", boot->ssh->table->sandbox_name,
		 what, (double)(backend_now_ms() - boot->begun) / 1000);
	boot->ssh->table->log(boot->ssh->table, SANDBOX_LOG_INFO, line);
}

static void keep_last_line(struct boot *boot, const char *text, size_t size)
{
	size_t n = 0;

	while (size && strchr(" \r\n", text[size - 1]))
		size--;
	text += size;
	while (n < size && text[-1] != '\n') {
		text--;
		n++;
	}
	if (n)
		snprintf(boot->said, sizeof(boot->said), "%.*s", (int)n, text);
}

static void plan_startnb(const struct boot *boot, struct backend_command *command)
{
	const struct smolbsd_ssh *ssh = boot->ssh;
	struct backend_args args = {.sink = &command->sink};

	backend_arg(&args, "%s", ssh->startnb);
	backend_arg(&args, "-k");
	backend_arg(&args, "%s", ssh->kernel);
	backend_arg(&args, "-i");
	if (ssh->image)
		backend_arg(&args, "%s", ssh->image);
	else
		backend_arg(&args, "images/%s-amd64.img", ssh->service);
	backend_arg(&args, "-m");
	backend_arg(&args, "%" PRIu64, ssh->memory >> 20);
	backend_arg(&args, "-c");
	backend_arg(&args, "%" PRIu64, ssh->cpus);
	backend_arg(&args, "-p");
	backend_arg(&args, "hostfwd=tcp:127.0.0.1:%u-:22", boot->port);
	/* In the background, and with an image that other machines use as well. */
	backend_arg(&args, "-d");
	backend_arg(&args, "-s");
	command->failed |= args.failed;
}

/* Runs startnb.sh. 0 says nothing yet: see whether the lock is there. */
static int run_startnb(struct boot *boot, char error[SANDBOX_ERROR_SIZE])
{
	const struct sandbox_host *table = boot->ssh->table;
	struct sandbox_command_result result = {.size = sizeof(result)};
	struct backend_command command;
	char name[NAME_SIZE + 8];
	const char *const env[] = {name, NULL};
	int code = -ENOMEM;

	snprintf(name, sizeof(name), "svc=%s", boot->name);
	backend_command_init(&command);
	plan_startnb(boot, &command);
	if (command.failed) {
		snprintf(error, SANDBOX_ERROR_SIZE, "out of memory");
	} else {
		const struct sandbox_command request = {
			.size = sizeof(request),
			.argv = (const char *const *)command.argv,
			.env = env,
			.cwd = boot->ssh->smolbsd_dir,
			.timeout_ms = boot->deadline - backend_now_ms(),
		};

		code = table->run(table, &request, &result, error);
	}
	if (!code) {
		keep_last_line(boot, result.out, result.out_size);
		keep_last_line(boot, result.err, result.err_size);
		if (result.timed_out) {
			snprintf(error, SANDBOX_ERROR_SIZE,
				 "%s did not end in time and was killed%s%s; run it by hand",
				 boot->ssh->startnb, boot->said[0] ? ": " : "", boot->said);
			code = -ETIMEDOUT;
		}
		table->run_done(table, &result);
	}
	backend_command_free(&command);
	/* To start a box is to find none, for whoever asked. */
	return code == -ENOENT ? -ENOEXEC : code;
}

static int not_booted(const struct boot *boot, const char *when, char error[SANDBOX_ERROR_SIZE])
{
	snprintf(error, SANDBOX_ERROR_SIZE,
		 "%s %s and no machine runs: %s; run it by hand in %.300s to see more",
		 boot->ssh->startnb, when, boot->said[0] ? boot->said : "it did not say why",
		 boot->ssh->smolbsd_dir);
	return -EIO;
}

static int wait_for_login(struct boot *boot, char error[SANDBOX_ERROR_SIZE])
{
	int64_t told = backend_now_ms(), left;
	char why[SANDBOX_ERROR_SIZE] = "";
	int code = -EAGAIN;

	while (code == -EAGAIN && (left = boot->deadline - backend_now_ms()) > 0) {
		code = smolbsd_log_in(boot->ssh, boot->name, left < LOGIN_MS ? left : LOGIN_MS, why);
		if (code == -EAGAIN && !lock_holder(boot->directory, boot->name))
			return not_booted(boot, "started it, it ended while it booted,", error);
		if (code == -EAGAIN)
			pause_ms(100);
		if (backend_now_ms() - told >= PROGRESS_MS) {
			told = backend_now_ms();
			log_progress(boot, "the machine is still booting");
		}
	}
	if (code == -EAGAIN) {
		snprintf(error, SANDBOX_ERROR_SIZE,
			 "the machine of %s runs, but nobody could log in within %" PRId64 " s: %.600s",
			 boot->ssh->service ? boot->ssh->service : boot->ssh->image,
			 (backend_now_ms() - boot->begun) / 1000, why);
		return -ETIMEDOUT;
	}
	if (code)
		snprintf(error, SANDBOX_ERROR_SIZE, "%s", why);
	return code;
}

static int boot_once(struct boot *boot, const char *owner, char error[SANDBOX_ERROR_SIZE])
{
	char ignored[SANDBOX_ERROR_SIZE];
	int code;

	boot->port = boot->ssh->port_set ? (unsigned int)boot->ssh->port : free_port();
	snprintf(boot->name, sizeof(boot->name), NAME_PREFIX "%s-%u", owner, boot->port);
	if (!smolbsd_vm_port(boot->name))
		return backend_refuse(error, "there is no free port on 127.0.0.1; set port");
	code = run_startnb(boot, error);
	if (!code && lock_holder(boot->directory, boot->name) <= 0)
		code = not_booted(boot, "ended", error) == -EIO ? -EADDRINUSE : -EIO;
	else if (!code)
		code = wait_for_login(boot, error);
	if (code)
		end_machine(boot->directory, boot->name, 2000, ignored);
	return code;
}

int smolbsd_start(void *instance, const struct sandbox_box_request *request,
		  const struct sandbox_text_sink *id, char error[SANDBOX_ERROR_SIZE])
{
	const struct smolbsd_ssh *ssh = instance;
	const char *owner = owner_label(request);
	struct boot boot = {
		.ssh = ssh,
		.begun = backend_now_ms(),
		.deadline = backend_now_ms() + request->timeout_ms,
	};
	int code = -EADDRINUSE;

	if (!owner)
		return backend_refuse(error, "the host did not say whose machine it is to be");
	boot.directory = open_directory(ssh, error);
	if (boot.directory < 0)
		return boot.directory;
	log_progress(&boot, "booting a machine");
	for (int i = 0; code == -EADDRINUSE && i < PORT_ATTEMPTS; i++) {
		code = boot_once(&boot, owner, error);
		/* QEMU says so when its port was taken; all else is not cured by another. */
		if (ssh->port_set || !strcasestr(boot.said, "forward"))
			break;
	}
	close(boot.directory);
	if (code)
		return code;
	log_progress(&boot, "the machine is up");
	id->text(id, boot.name);
	return 0;
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

int smolbsd_find(void *instance, const struct sandbox_box_request *request,
		 const struct sandbox_text_sink *id, char error[SANDBOX_ERROR_SIZE])
{
	const struct smolbsd_ssh *ssh = instance;
	bool pins = !strcmp(ssh->host_key, HOST_KEY_ACCEPT_NEW);
	const char *path = ssh->known_hosts ? ssh->known_hosts : ssh->known_hosts_path;
	int code = pins && path ? prepare_known_hosts(path, error) : 0;

	if (code)
		return code;
	/* A machine of ours belongs to the process that booted it. */
	if (ssh->smolbsd_dir)
		return -ENOENT;
	id->text(id, ssh->host);
	return 0;
}

int smolbsd_list(void *instance, const struct sandbox_box_request *request,
		 const struct sandbox_box_list_sink *sink, char error[SANDBOX_ERROR_SIZE])
{
	const struct smolbsd_ssh *ssh = instance;
	struct dirent *entry;
	char name[NAME_SIZE];
	DIR *directory;
	int fd, end;

	if (!ssh->smolbsd_dir)
		return 0;
	fd = open_directory(ssh, error);
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
		char *owner = strdup(name + strlen(NAME_PREFIX));

		if (owner) {
			*strrchr(owner, '-') = '\0';
			sink->box(sink, name, owner);
		}
		free(owner);
	}
	closedir(directory);
	return 0;
}
