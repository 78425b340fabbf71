/* SPDX-License-Identifier: MIT */
/* What `hookbox doctor` asks: ssh, the machine or what boots one, a login, the shell there. */
#include "smolbsd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

struct probe {
	struct smolbsd_ssh *ssh;
	const struct sandbox_probe_sink *sink;
	int64_t deadline;
};

static int64_t left_ms(const struct probe *probe)
{
	int64_t left = probe->deadline - backend_now_ms();

	return left > 1 ? left : 1;
}

/* ssh prints its version on stderr. */
static bool probe_ssh(const struct probe *probe)
{
	const struct sandbox_host *table = probe->ssh->table;
	const char *const argv[] = {probe->ssh->ssh_path, "-V", NULL};
	const struct sandbox_command command = {
		.size = sizeof(command), .argv = argv, .timeout_ms = left_ms(probe),
	};
	struct sandbox_command_result result = {.size = sizeof(result)};
	char error[SANDBOX_ERROR_SIZE] = "";
	bool good;

	if (table->run(table, &command, &result, error)) {
		backend_report(probe->sink, SANDBOX_PROBE_FAILED,
			       "install OpenSSH's client, or set ssh_path", "%s", error);
		return false;
	}
	good = backend_result_is_good(&result) && !strncmp(result.err, "OpenSSH", 7);
	if (good)
		backend_report(probe->sink, SANDBOX_PROBE_OK, NULL, "%.*s",
			       (int)strcspn(result.err, "\r\n"), result.err);
	else
		backend_report(probe->sink, SANDBOX_PROBE_FAILED,
			       "set ssh_path to OpenSSH's client", "\"%s -V\" names no OpenSSH",
			       probe->ssh->ssh_path);
	table->run_done(table, &result);
	return good;
}

static bool probe_identity(const struct probe *probe)
{
	const char *path = probe->ssh->identity_file;
	struct stat st;

	if (!path)
		return true;
	if (stat(path, &st) || access(path, R_OK)) {
		backend_report(probe->sink, SANDBOX_PROBE_FAILED, "correct identity_file",
			       "%s cannot be read: %s", path, strerror(errno));
		return false;
	}
	/* ssh minds that of its user's files only. */
	if (st.st_uid == getuid() && st.st_mode & 077) {
		backend_report(probe->sink, SANDBOX_PROBE_FAILED, "chmod 600 it",
			       "%s can be read by others, so ssh does not use it", path);
		return false;
	}
	return true;
}

/* Is everything there that boots a machine? */
static bool probe_directory(const struct probe *probe)
{
	const struct smolbsd_ssh *ssh = probe->ssh;
	char image[256], path[1024];
	const char *const files[] = {ssh->startnb, ssh->kernel, image};
	const char *const keys[] = {"startnb", "kernel", ssh->image ? "image" : "service"};
	bool good = true;

	if (ssh->image)
		snprintf(image, sizeof(image), "%s", ssh->image);
	else
		snprintf(image, sizeof(image), "images/%s-amd64.img", ssh->service);
	if (access(ssh->smolbsd_dir, W_OK | X_OK)) {
		backend_report(probe->sink, SANDBOX_PROBE_FAILED,
			       "correct smolbsd_dir, or its permissions",
			       "%s cannot be written to: %s", ssh->smolbsd_dir, strerror(errno));
		return false;
	}
	for (size_t i = 0; i < N_ELEMENTS(files); i++) {
		snprintf(path, sizeof(path), "%s%s%s", files[i][0] == '/' ? "" : ssh->smolbsd_dir,
			 files[i][0] == '/' ? "" : "/", files[i]);
		if (access(path, i ? R_OK : R_OK | X_OK)) {
			backend_report(probe->sink, SANDBOX_PROBE_FAILED,
				       "make it, or correct the key", "%s: %s: %s", keys[i], path,
				       strerror(errno));
			good = false;
		}
	}
	if (good)
		backend_report(probe->sink, SANDBOX_PROBE_OK, NULL,
			       "%s has all that boots a machine", ssh->smolbsd_dir);
	return good;
}

/* The emulator that startnb.sh starts; another script than smolBSD's may know another. */
static void name_emulator(char *name, size_t size)
{
	const char *chosen = getenv("QEMU");
	struct utsname machine = {0};

	uname(&machine);
	if (chosen && *chosen)
		snprintf(name, size, "%.*s", (int)strcspn(chosen, " \t"), chosen);
	else
		snprintf(name, size, "qemu-system-%s",
			 machine.machine[0] == 'i' ? "i386" : machine.machine);
}

static void probe_emulator(const struct probe *probe)
{
	const struct sandbox_host *table = probe->ssh->table;
	char name[256];
	const char *const argv[] = {name, "--version", NULL};
	const struct sandbox_command command = {
		.size = sizeof(command), .argv = argv, .timeout_ms = left_ms(probe),
	};
	struct sandbox_command_result result = {.size = sizeof(result)};
	char error[SANDBOX_ERROR_SIZE] = "";

	name_emulator(name, sizeof(name));
	if (!table->run(table, &command, &result, error) && backend_result_is_good(&result))
		backend_report(probe->sink, SANDBOX_PROBE_OK, NULL, "%.*s",
			       (int)strcspn(result.out, "\r\n"), result.out);
	else
		backend_report(probe->sink,
			       probe->ssh->startnb_set ? SANDBOX_PROBE_WARNING :
							 SANDBOX_PROBE_FAILED,
			       "install QEMU, or name it in the environment variable QEMU",
			       "%s does not run: %.200s", name,
			       error[0] ? error : "it failed to tell its version");
	table->run_done(table, &result);
}

static void keep_text(const struct sandbox_text_sink *sink, const char *text)
{
	snprintf(sink->host_data, 128, "%s", text);
}

/* Runs a shell in the machine as a call would, and looks what leftovers are found with. */
static void probe_shell(const struct probe *probe, const char *box_id)
{
	static const char *const argv[] = {"sh", "-c", BACKEND_CAN_SWEEP " || echo bare", NULL};
	const struct sandbox_plan_request request = backend_probe_request(argv, box_id);
	struct sandbox_command_result result;
	char error[SANDBOX_ERROR_SIZE] = "";
	struct backend_command command;

	backend_command_init(&command);
	if (smolbsd_plan(probe->ssh, &request, &command.sink, error) ||
	    backend_command_run(probe->ssh->table, &command, left_ms(probe), &result, error)) {
		backend_report(probe->sink, SANDBOX_PROBE_FAILED, NULL, "%s", error);
	} else {
		if (!backend_result_is_good(&result))
			backend_report(probe->sink, SANDBOX_PROBE_WARNING,
				       "give the machine a POSIX sh, or set shell = none",
				       "sh does not run in the machine: %.*s",
				       (int)strcspn(result.err, "\r\n"), result.err);
		else if (result.out_size)
			backend_report(probe->sink, SANDBOX_PROBE_WARNING,
				       "install grep there and mount /proc, or what calls leave is "
				       "not found",
				       "the machine has no grep or no readable /proc");
		else
			backend_report(probe->sink, SANDBOX_PROBE_OK, NULL,
				       "commands start in the machine, and it has sh");
		probe->ssh->table->run_done(probe->ssh->table, &result);
	}
	backend_command_free(&command);
}

static void probe_login(const struct probe *probe)
{
	char box_id[128] = "", error[SANDBOX_ERROR_SIZE] = "";
	const struct sandbox_text_sink id = {
		.size = sizeof(id), .host_data = box_id, .text = keep_text,
	};
	const struct sandbox_box_request request = {
		.size = sizeof(request), .timeout_ms = left_ms(probe),
	};

	if (smolbsd_find(probe->ssh, &request, &id, error) ||
	    smolbsd_log_in(probe->ssh, box_id, left_ms(probe), error)) {
		backend_report(probe->sink, SANDBOX_PROBE_FAILED, NULL, "%s", error);
		return;
	}
	backend_report(probe->sink, SANDBOX_PROBE_OK, NULL, "%s lets %s log in", probe->ssh->host,
		       probe->ssh->user);
	probe_shell(probe, box_id);
}

void smolbsd_probe(void *instance, int64_t timeout_ms, const struct sandbox_probe_sink *sink)
{
	const struct probe probe = {
		.ssh = instance, .sink = sink, .deadline = backend_now_ms() + timeout_ms,
	};

	if (!probe_ssh(&probe) || !probe_identity(&probe))
		return;
	/* Nobody waits for a doctor as long as a boot may take. */
	if (probe.ssh->smolbsd_dir) {
		probe_directory(&probe);
		probe_emulator(&probe);
	} else {
		probe_login(&probe);
	}
}
