/* SPDX-License-Identifier: MIT */
/* What bwrap and its helpers say when there is no box, and what to do about it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bwrap.h"

#define SAYS_MAX 400

static int last_errno(const char *line, size_t n)
{
	static const struct {
		const char *text;
		int error_number;
	} endings[] = {
		{": No such file or directory", ENOENT},
		{": Permission denied", EACCES},
		{": Exec format error", ENOEXEC},
		{": Not a directory", ENOTDIR},
	};

	for (size_t i = 0; i < N_ELEMENTS(endings); i++) {
		size_t length = strlen(endings[i].text);

		if (n >= length && !memcmp(line + n - length, endings[i].text, length))
			return endings[i].error_number;
	}
	return 0;
}

/* Reads a number from a file below /proc/sys; -1: the kernel does not have it. */
static long read_setting(const char *path)
{
	FILE *file = fopen(path, "re");
	long value = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

static bool says(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

static bool is_about_namespaces(const char *line)
{
	return says(line, "o permissions to creat") || says(line, "reating new namespace failed") ||
	       says(line, "ser namespace") || says(line, "setting up uid map");
}

/* Which of the settings forbids user namespaces here? */
static const char *namespace_advice(const char *line)
{
	if (read_setting("/proc/sys/kernel/unprivileged_userns_clone") == 0)
		return "run `sysctl kernel.unprivileged_userns_clone=1` as root";
	if (says(line, "ENOSPC") || read_setting("/proc/sys/user/max_user_namespaces") == 0)
		return "there are as many as are allowed: run `sysctl "
		       "user.max_user_namespaces=10000` as root";
	if (read_setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
		return "AppArmor forbids it: install the profile for bwrap, or run `sysctl "
		       "kernel.apparmor_restrict_unprivileged_userns=0` as root";
	return "in a container, start that with a seccomp profile that allows it (docker run "
	       "--security-opt seccomp=unconfined --security-opt systempaths=unconfined); "
	       "elsewhere see that kernel.unprivileged_userns_clone is 1 and "
	       "user.max_user_namespaces is not 0";
}

static const char *advise(const struct bwrap_run *run, const char *line)
{
	static const struct {
		const char *part;
		const char *advice;
	} known[] = {
		{"oopback",
		 "the network cannot be set up: AppArmor or a container's seccomp profile forbids "
		 "it; allow it there, or set network = host"},
		{"mount proc on", "a container hides parts of /proc: start that with docker run "
				  "--security-opt systempaths=unconfined"},
		{"ake / slave",
		 "a container forbids mounts: start that with docker run --security-opt "
		 "seccomp=unconfined --security-opt apparmor=unconfined"},
		{"Unknown option", "this bwrap is too old for it: install bubblewrap 0.8 or newer"},
		{"Can't mkdir",
		 "a place to mount on has to be there when it lies in a read-only directory: "
		 "make it in rootfs, or choose another place"},
		{"Can't create file",
		 "a place to mount a file on has to be there when it lies in a read-only "
		 "directory: make it in rootfs, or choose another place"},
		{"nexpected capabilities", "run hookbox without extra capabilities"},
		{"setpriv: ",
		 "root has to become an ordinary user for a sandbox, and this container does not "
		 "let it; run hookbox as an ordinary user"},
		{"ulimit", "a limit is already lower here: lower memory, or set it to 0"},
	};

	if (says(line, "find source path"))
		return run->is_root ? "it has to be there, and user 65534 (or uid), whom root "
				      "becomes for a sandbox, must be able to reach it" :
				      "correct the path in rootfs or binds";
	for (size_t i = 0; i < N_ELEMENTS(known); i++)
		if (says(line, known[i].part))
			return known[i].advice;
	return "run `hookbox doctor` to see what is missing";
}

/* The command itself or its directory: what the call asked for is not in the box. */
static bool explain_start(const char *line, size_t n, struct bwrap_failure *failure)
{
	bool command = !strncmp(line, "bwrap: execvp ", 14);

	if (!command && strncmp(line, "bwrap: Can't chdir to ", 22))
		return false;
	failure->error_number = last_errno(line, n);
	snprintf(failure->what, sizeof(failure->what), "%s", line + strlen("bwrap: "));
	snprintf(failure->advice, sizeof(failure->advice), "%s", command ?
		 "check the command's name, the binds, and that rootfs has it" :
		 "set workdir to a directory that is in the sandbox");
	return true;
}

static void explain_box(const struct bwrap_run *run, const char *line,
			struct bwrap_failure *failure)
{
	bool forbidden = is_about_namespaces(line);

	/* bwrap's own words guess at the cause, at length. */
	snprintf(failure->what, sizeof(failure->what), "%s", forbidden ?
		 "bwrap may not make a user namespace here" : line);
	snprintf(failure->advice, sizeof(failure->advice), "%s", forbidden ?
		 namespace_advice(line) : advise(run, line));
}

bool bwrap_explain(const struct bwrap_run *run, const char *text, size_t n,
		   struct bwrap_failure *failure)
{
	/* Who did not take part did not say it: then it is the command's. */
	const char *const speakers[] = {
		"bwrap: ",
		run->is_root ? "setpriv: " : NULL,
		run->memory || run->pids_limit ? "hookbox: " : NULL,
	};
	char line[SAYS_MAX];

	*failure = (struct bwrap_failure){0};
	for (size_t i = 0; i < N_ELEMENTS(speakers); i++) {
		if (!speakers[i] || n < strlen(speakers[i]) ||
		    strncmp(text, speakers[i], strlen(speakers[i])))
			continue;
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
		if (!explain_start(line, strlen(line), failure))
			explain_box(run, line, failure);
		return true;
	}
	return false;
}

/* All of these exit with 1, or 125 to 127, and have started nothing that could print on stdout. */
void bwrap_classify(const void *instance, const struct sandbox_process_end *end,
		    struct sandbox_verdict *verdict)
{
	struct bwrap_failure failure;
	char text[4097];

	if (end->signaled || end->killed || end->stdout_total || !end->stderr_total ||
	    end->stderr_total != end->stderr_tail_size || end->stderr_tail_size >= sizeof(text) ||
	    (end->status != 1 && (end->status < 125 || end->status > 127)))
		return;
	memcpy(text, end->stderr_tail, end->stderr_tail_size);
	text[end->stderr_tail_size] = '\0';
	if (!bwrap_explain(instance, text, end->stderr_tail_size, &failure))
		return;
	verdict->end = SANDBOX_END_NOT_STARTED;
	verdict->error_number = failure.error_number;
	verdict->drop_stderr_tail = end->stderr_tail_size;
	snprintf(verdict->message, sizeof(verdict->message), "%s; %s", failure.what,
		 failure.advice);
}
