/* SPDX-License-Identifier: MIT */
/*
 * Booting a machine with startnb.sh, and waiting until it lets us log in. startnb.sh exits with 0
 * even when QEMU failed, so nothing but the lock on the pid file says that a machine is there; and
 * QEMU listens before there is an sshd in the machine, so nothing but a login says that it is up.
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
#include <unistd.h>

#define OWNER_LABEL "hookbox.owner="

#define LOGIN_MS 10000		/* how long one attempt to log in may take */
#define PROGRESS_MS 5000
#define PORT_ATTEMPTS 5		/* somebody else may take a free port first */

/* ---- Logging in ---- */

/* "ssh failed: why; what to do". The way it fails until the machine is up is -EAGAIN. */
static int explain_login(const struct sandbox_command_result *result,
			 char error[SANDBOX_ERROR_SIZE])
{
	static const char *const hopeless[] = {
		"ermission denied",
		"IDENTIFICATION HAS CHANGED",
		"Host key",
		"host key",
		"Load key",
		"UNPROTECTED",
		"Identity file",
		"Could not resolve",
		"configuration option",
		"command-line",
		"no matching",
		"Too many authentication",
	};
	struct smolbsd_failure failure = {0};

	if (result->timed_out) {
		snprintf(error, SANDBOX_ERROR_SIZE, "no login was answered in time");
		return -EAGAIN;
	}
	if (!smolbsd_explain(result->err, result->err_size, &failure)) {
		snprintf(error, SANDBOX_ERROR_SIZE, "ssh ended with status %d: %.*s",
			 result->status, (int)strcspn(result->err, "\r\n"), result->err);
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

/* ---- Booting ---- */

/* A port of the loopback interface that is free now: `wanted`, or any if that is 0. 0: none is. */
static unsigned int free_port(uint64_t wanted)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)wanted),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned int port = 0;
	int yes = 1;

	/* As QEMU does, which minds no connection that lingers from the machine before. */
	if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) &&
	    !bind(fd, (struct sockaddr *)&address, size) &&
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
	char svc[SMOLBSD_NAME_SIZE + 8]; /* "svc=NAME", for startnb.sh */
	const char *name;		/* in svc */
	char said[512];			/* the last line of what startnb.sh said */
};

static void log_progress(const struct boot *boot, const char *what)
{
	char line[128];

	snprintf(line, sizeof(line), "%s (%.1f s)", what,
		 (double)(backend_now_ms() - boot->begun) / 1000);
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
	const char *const env[] = {boot->svc, NULL};
	int64_t left = boot->deadline - backend_now_ms();
	int code = -ENOMEM;

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
			.timeout_ms = left > 1 ? left : 1,
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

static int not_booted(const struct boot *boot, const char *what, char error[SANDBOX_ERROR_SIZE])
{
	snprintf(error, SANDBOX_ERROR_SIZE,
		 "%s; %s said %s%s%s; run it by hand in %.300s to see more", what,
		 boot->ssh->startnb, boot->said[0] ? "last: \"" : "nothing", boot->said,
		 boot->said[0] ? "\"" : "", boot->ssh->smolbsd_dir);
	return -EIO;
}

static int wait_for_login(struct boot *boot, char error[SANDBOX_ERROR_SIZE])
{
	int64_t told = backend_now_ms(), left;
	char why[SANDBOX_ERROR_SIZE] = "";
	int code = -EAGAIN;

	while (code == -EAGAIN && (left = boot->deadline - backend_now_ms()) > 0) {
		code = smolbsd_log_in(boot->ssh, boot->name, left < LOGIN_MS ? left : LOGIN_MS,
				      why);
		if (code == -EAGAIN && !smolbsd_lock_holder(boot->directory, boot->name))
			return not_booted(boot, "the machine ended while it booted", error);
		if (code == -EAGAIN)
			smolbsd_pause_ms(100);
		if (code == -EAGAIN && backend_now_ms() - told >= PROGRESS_MS) {
			told = backend_now_ms();
			log_progress(boot, "the machine is still booting");
		}
	}
	if (code == -EAGAIN) {
		snprintf(error, SANDBOX_ERROR_SIZE,
			 "the machine of %s runs, but nobody could log in within %" PRId64
			 " s: %.600s",
			 boot->ssh->service ? boot->ssh->service : boot->ssh->image,
			 (backend_now_ms() - boot->begun) / 1000, why);
		return -ETIMEDOUT;
	}
	if (code)
		snprintf(error, SANDBOX_ERROR_SIZE, "%s", why);
	return code;
}

/* Was the process started with that in its environment? */
static bool process_has(const char *pid, const char *assignment)
{
	char path[64], *entry = NULL;
	bool found = false;
	size_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%.20s/environ", pid);
	file = fopen(path, "re");
	while (file && !found && getdelim(&entry, &size, '\0', file) > 0)
		found = !strcmp(entry, assignment);
	if (file)
		fclose(file);
	free(entry);
	return found;
}

/*
 * Where a boot failed, a QEMU may run that no pid file tells of. Its environment does: the name is
 * this boot's alone, while its port may be that of a machine of somebody else's.
 */
static void end_stray(const char *svc)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	int fd;

	while (processes && (entry = readdir(processes))) {
		if (!strspn(entry->d_name, "0123456789") || !process_has(entry->d_name, svc))
			continue;
		fd = pidfd_open(atoi(entry->d_name), 0);
		if (fd >= 0 && process_has(entry->d_name, svc))
			pidfd_send_signal(fd, SIGKILL, NULL, 0);
		if (fd >= 0)
			close(fd);
	}
	if (processes)
		closedir(processes);
}

static int boot_once(struct boot *boot, const char *owner, char error[SANDBOX_ERROR_SIZE])
{
	char ignored[SANDBOX_ERROR_SIZE];
	int code;

	boot->port = free_port(boot->ssh->port_set ? boot->ssh->port : 0);
	if (!boot->port && boot->ssh->port_set)
		return backend_refuse(error,
				      "port %" PRIu64 " of 127.0.0.1 is taken, perhaps by another "
				      "machine; correct port, or leave it out for a free one",
				      boot->ssh->port);
	boot->said[0] = '\0';
	snprintf(boot->svc, sizeof(boot->svc), "svc=" SMOLBSD_NAME_PREFIX "%s-%u", owner,
		 boot->port);
	boot->name = boot->svc + strlen("svc=");
	if (!smolbsd_vm_port(boot->name))
		return backend_refuse(error, "there is no free port on 127.0.0.1; set port");
	code = run_startnb(boot, error);
	if (!code && smolbsd_lock_holder(boot->directory, boot->name) <= 0)
		code = not_booted(boot,
				  "startnb.sh ended, but nobody has the machine's pid file locked",
				  error);
	else if (!code)
		code = wait_for_login(boot, error);
	if (code) {
		smolbsd_end_machine(boot->directory, boot->name, 2000, ignored);
		end_stray(boot->svc);
	}
	return code;
}

static const char *owner_label(const struct sandbox_box_request *request)
{
	for (const char *const *label = request->labels; *label; label++)
		if (!strncmp(*label, OWNER_LABEL, strlen(OWNER_LABEL)))
			return *label + strlen(OWNER_LABEL);
	return NULL;
}

int smolbsd_start(void *instance, const struct sandbox_box_request *request,
		  const struct sandbox_text_sink *id, char error[SANDBOX_ERROR_SIZE])
{
	const struct smolbsd_ssh *ssh = instance;
	const char *owner = owner_label(request);
	struct boot boot = {
		.ssh = ssh,
		.begun = backend_now_ms(),
	};
	int code = -EIO;

	boot.deadline =
		boot.begun +
		(ssh->boot_timeout < request->timeout_ms ? ssh->boot_timeout : request->timeout_ms);
	if (!owner)
		return backend_refuse(error, "the host did not say whose machine it is to be");
	boot.directory = smolbsd_open_directory(ssh, error);
	if (boot.directory < 0)
		return boot.directory;
	log_progress(&boot, "a machine is being booted");
	for (int i = 0; i < PORT_ATTEMPTS; i++) {
		code = boot_once(&boot, owner, error);
		/* QEMU says so when its port was taken; all else is not cured by another. */
		if (!code || ssh->port_set || !strcasestr(boot.said, "forward"))
			break;
	}
	close(boot.directory);
	if (code)
		return code;
	log_progress(&boot, "the machine is up");
	id->text(id, boot.name);
	return 0;
}
