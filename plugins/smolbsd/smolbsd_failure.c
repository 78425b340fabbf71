/* SPDX-License-Identifier: MIT */
/*
 * Telling ssh's failures from the command's. ssh exits with the command's own status, and with 255
 * when it failed itself, and then it says why: it is told to. So 255 with nothing said is the
 * command's own. ssh ends its lines with "\r\n", which tells its words from most commands'. What a
 * signal ends is 128 + N, of the shell that smolbsd_plan() leaves there.
 */
#include "smolbsd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SSH_FAILED 255
#define NO_COMMAND 127
#define NOT_EXECUTABLE 126
#define TEXT_SIZE 4096

/* The first that is found anywhere decides: what caused a failure stands above what followed. */
static const struct meaning {
	const char *sentence;
	const char *advice;
	uint32_t end;
} meanings[] = {
	/* The machine was reached, and the command may have been started there. */
	{"not responding", "see that the machine still runs", SANDBOX_END_LOST},
	{"Read from remote host", "see that the machine still runs", SANDBOX_END_LOST},
	{"client_loop: send disconnect", "see that the machine still runs", SANDBOX_END_LOST},
	{"Disconnected from", "see that the machine still runs", SANDBOX_END_LOST},
	{"Received disconnect from", "see in the machine's log why", SANDBOX_END_LOST},
	{"Bad packet length", "see that the machine still runs", SANDBOX_END_LOST},
	{"Corrupted MAC", "see that the machine still runs", SANDBOX_END_LOST},
	{"ssh_dispatch_run_fatal", "see that an ssh server answers there and keeps running",
	 SANDBOX_END_LOST},
	/* Nothing was started. */
	{"HOST IDENTIFICATION HAS CHANGED",
	 "if the machine was made anew, correct host_key or remove its line from known_hosts; else "
	 "it is another one that answers"},
	{"host key is known for", "put its key into known_hosts, or into host_key"},
	{"Host key verification failed", "correct host_key, or known_hosts"},
	{"UNPROTECTED PRIVATE KEY FILE", "chmod 600 the identity_file"},
	{"Load key",
	 "correct identity_file: it holds no private key that can be used without asking"},
	{"not accessible: No such file", "correct identity_file: there is no such file"},
	{"Identity file", "correct identity_file: it cannot be read"},
	{"Too many authentication failures", "set identity_file, so that only that key is tried"},
	{"Permission denied (", "put the key of identity_file into the user's authorized_keys, or "
				"correct user"},
	{"Could not resolve hostname", "correct host"},
	{"Connection refused", "start sshd in the machine, or correct host and port"},
	{"No route to host", "correct host, or start the machine"},
	{"Network is unreachable", "correct host, or start the machine"},
	{"Connection timed out", "see that an ssh server answers there, or raise connect_timeout"},
	{"banner exchange", "see that it is an ssh server that listens there"},
	{"timed out", "see that an ssh server answers there, or raise connect_timeout"},
	{"banner line too long", "see that it is an ssh server that listens there"},
	{"No SSH version received", "see that it is an ssh server that listens there"},
	{"no matching", "allow an algorithm that both sides have, with extra_args"},
	{"Bad configuration option", "correct extra_args, or install OpenSSH 8.5 or later"},
	{"command-line: line", "correct extra_args"},
	{"command-line line", "correct extra_args"},
	{"kex_exchange_identification", "see in the log of the machine's sshd why"},
	{"Connection closed by", "see in the log of the machine's sshd why"},
	{"Connection reset by", "see in the log of the machine's sshd why"},
	{"ssh: ", "see with ssh by hand what is wrong"},
};

/* How the last line begins that ssh prints when it fails; with "ssh: " for most of it. */
static bool is_last_word(const char *line)
{
	static const char *const beginnings[] = {
		"ssh: ",
		"Connection closed by ",
		"Connection reset by ",
		"Connection to ",
		"Connection timed out",
		"Timeout, server ",
		"Read from remote host ",
		"client_loop: ",
		"Disconnected from ",
		"Received disconnect from ",
		"Bad packet length",
		"Corrupted MAC",
		"Host key verification failed",
		"kex_exchange_identification: ",
		"ssh_dispatch_run_fatal: ",
		"banner exchange: ",
		"Unable to negotiate with ",
		"command-line: line ",
		"command-line line ",
		"Bad configuration option",
		"Too many authentication failures",
	};
	const char *denied = strstr(line, ": Permission denied (");

	for (size_t i = 0; i < N_ELEMENTS(beginnings); i++)
		if (!strncmp(line, beginnings[i], strlen(beginnings[i])))
			return true;
	/* "USER@HOST: Permission denied (publickey)." */
	return denied && strcspn(line, " ") == (size_t)(denied - line) + 1;
}

/* Where the last line begins that is not empty. */
static const char *last_line(const char *text, size_t size)
{
	const char *line = text + size;

	while (line > text && strchr("\r\n", line[-1]))
		line--;
	while (line > text && line[-1] != '\n')
		line--;
	return line;
}

static void copy_line(const char *text, const char *at, char *copy, size_t size)
{
	size_t length;

	while (at > text && at[-1] != '\n')
		at--;
	/* "@    WARNING: ...!     @" */
	at += strspn(at, "@ ");
	length = strcspn(at, "\r\n");
	while (length && strchr(" .@", at[length - 1]))
		length--;
	backend_copy_text(copy, size, at, length);
}

/* "Connection to HOST closed by remote host.": of a connection that there was. */
static bool was_closed(const char *line)
{
	return !strncmp(line, "Connection to ", strlen("Connection to ")) &&
	       strstr(line, " closed by remote host");
}

/* Which one it is, and where in the text it stands; NULL: none. */
static const struct meaning *find_meaning(const char *text, const char *last, const char **found)
{
	static const struct meaning closed = {
		"", "see that the machine still runs", SANDBOX_END_LOST,
	};

	*found = last;
	if (was_closed(last))
		return &closed;
	for (size_t i = 0; i < N_ELEMENTS(meanings); i++) {
		*found = strstr(text, meanings[i].sentence);
		if (*found)
			return &meanings[i];
	}
	return NULL;
}

bool smolbsd_explain(const char *said, size_t size, struct smolbsd_failure *failure)
{
	char text[TEXT_SIZE + 1];
	const struct meaning *meaning;
	const char *found, *last;

	if (size > TEXT_SIZE) {
		said += size - TEXT_SIZE;
		size = TEXT_SIZE;
	}
	for (size_t i = 0; i < size; i++)
		text[i] = said[i] ? said[i] : ' ';
	text[size] = '\0';
	last = last_line(text, size);
	if (size < 2 || memcmp(text + size - 2, "\r\n", 2) || !is_last_word(last))
		return false;
	meaning = find_meaning(text, last, &found);
	if (!meaning)
		return false;
	failure->end = meaning->end ? meaning->end : SANDBOX_END_NOT_STARTED;
	failure->advice = meaning->advice;
	copy_line(text, found, failure->what, sizeof(failure->what));
	while (found > text && found[-1] != '\n')
		found--;
	failure->tail = size - (size_t)(found - text);
	return true;
}

/*
 * ssh says little when a connection that calls share fails. What it says last where it goes on by
 * itself, and is not let (see add_trunk()): then nothing was started, unless it had asked for a
 * session and got no answer.
 */
#define NO_OTHER_WAY "Connection closed by UNKNOWN port 65535\r\n"
#define SESSION "mux_client_request_session: "
#define REFUSED SESSION "session request failed: "

static bool ends_with(const char *text, size_t size, const char *end)
{
	size_t length = strlen(end);

	return size >= length && !memcmp(text + size - length, end, length);
}

static bool said_in(const char *text, size_t size, const char *word)
{
	return size && memmem(text, size, word, strlen(word));
}

static void classify_shared(const struct sandbox_process_end *end, struct sandbox_verdict *verdict)
{
	const char *said = end->stderr_tail;
	size_t size = end->stderr_tail_size;

	verdict->trunk_unused = !end->stdout_total && ends_with(said, size, NO_OTHER_WAY) &&
				(!said_in(said, size, SESSION) || said_in(said, size, REFUSED));
	verdict->end = verdict->trunk_unused ? SANDBOX_END_NOT_STARTED : SANDBOX_END_LOST;
	snprintf(verdict->message, sizeof(verdict->message),
		 "the connection that the calls share %s; see that the machine still runs",
		 verdict->trunk_unused ? "took no further one" : "broke");
}

/* The shell's own word on a command that it could not start, at the end of stderr. */
static bool shell_says(const struct sandbox_process_end *end, const char *word)
{
	size_t length = strlen(word), size = end->stderr_tail_size;

	while (size && strchr("\r\n", end->stderr_tail[size - 1]))
		size--;
	return size >= length &&
	       !memcmp(end->stderr_tail + size - length, word, length);
}

/* Without a prologue that looks, the login shell tells whether there is such a command. */
static void classify_command(const struct sandbox_process_end *end, struct sandbox_verdict *verdict)
{
	if (end->stdout_total)
		return;
	if (end->status == NO_COMMAND && shell_says(end, "not found")) {
		verdict->error_number = ENOENT;
		snprintf(verdict->message, sizeof(verdict->message),
			 "there is no such command in the machine; correct its name");
	} else if (end->status == NOT_EXECUTABLE && shell_says(end, "ermission denied")) {
		verdict->error_number = EACCES;
		snprintf(verdict->message, sizeof(verdict->message),
			 "the command may not be executed in the machine; chmod +x it");
	} else {
		return;
	}
	verdict->end = SANDBOX_END_NOT_STARTED;
	verdict->drop_stderr_tail = end->stderr_tail_size;
}

void smolbsd_classify(const void *instance, const struct sandbox_process_end *end,
		      struct sandbox_verdict *verdict)
{
	struct smolbsd_failure failure;

	if (end->signaled) {
		verdict->end = SANDBOX_END_LOST;
		snprintf(verdict->message, sizeof(verdict->message),
			 "signal %d ended ssh; see who sent it", end->status);
	} else if (end->status != SSH_FAILED) {
		classify_command(end, verdict);
	} else if (end->size > offsetof(struct sandbox_process_end, trunk) && end->trunk) {
		classify_shared(end, verdict);
	} else if (smolbsd_explain(end->stderr_tail, end->stderr_tail_size, &failure)) {
		/* Where something came out, something had been started. */
		verdict->end = end->stdout_total ? SANDBOX_END_LOST : failure.end;
		verdict->drop_stderr_tail = verdict->end == SANDBOX_END_LOST ?
						    failure.tail : end->stderr_tail_size;
		snprintf(verdict->message, sizeof(verdict->message), "%s; %s", failure.what,
			 failure.advice);
	}
}
