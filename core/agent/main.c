/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "system.h"

#define GREET_MS 60000 /* a host that does not answer HELLO in this time is none */
#define FDS_OF_CALL 5
#define FDS_OF_AGENT 32

struct options {
	bool once;
	bool remove;
	const char *connect;
};

static bool options_read(struct options *options, char **argv)
{
	for (argv++; *argv; argv++) {
		if (!strcmp(*argv, "--once"))
			options->once = true;
		else if (!strcmp(*argv, "--remove"))
			options->remove = true;
		else if (!strcmp(*argv, "--connect") && argv[1])
			options->connect = *++argv;
		else
			return false;
	}
	return true;
}

static int say_what_it_is(int status)
{
	fprintf(status ? stderr : stdout,
		"hookbox-agent: hookbox starts this program in a sandbox, to run commands there "
		"for a host that speaks frames with it on stdin and stdout; it takes --once, "
		"--connect SOCKET (frames go there), --remove (its own file) and --version\n");
	return status;
}

/* Whoever brought this file in has no more use for it, nor for the directory made for it. */
static void remove_file(char *path)
{
	static const char made[] = ".hookbox-agent.";
	char *file = strrchr(path, '/');
	const char *directory;

	unlink(path);
	if (!file)
		return;
	*file = '\0';
	directory = strrchr(path, '/');
	directory = directory ? directory + 1 : path;
	if (!strncmp(directory, made, strlen(made)))
		rmdir(path);
}

/* Its keepers see that it is gone, and end what runs; without them its box ends. */
static void end_by_signal(int signo)
{
	_exit(128 + signo);
}

static void set_signals(void)
{
	struct sigaction end = {.sa_handler = end_by_signal};
	sigset_t none;

	system_default_signals();
	signal(SIGPIPE, SIG_IGN);
	/* The first process of a box gets no signal that it has no handler for. */
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGHUP, &end, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Something that holds no input and swallows output, in a box that may have no /dev. */
static int open_null(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int fds[2];

	if (fd >= 0)
		return fd;
	if (pipe2(fds, O_CLOEXEC))
		return -1;
	close(fds[1]);
	return fds[0];
}

/* Takes no descriptor along but its three, and lets none of the others be one of these. */
static int set_descriptors(struct agent *agent)
{
	system_close_from(3);
	do {
		agent->surroundings.null_fd = open_null();
		if (agent->surroundings.null_fd < 0)
			return errno;
		if (agent->surroundings.null_fd < 3)
			fcntl(agent->surroundings.null_fd, F_SETFD, 0);
	} while (agent->surroundings.null_fd < 3);
	return 0;
}

/* Commands get back the limit that was found here. */
static void set_limits(struct agent *agent)
{
	struct rlimit *found = &agent->surroundings.files;
	struct rlimit raised;
	uint64_t calls;

	getrlimit(RLIMIT_NOFILE, found);
	raised = *found;
	raised.rlim_cur = raised.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &raised))
		raised = *found;
	calls = raised.rlim_cur > FDS_OF_AGENT ? (raised.rlim_cur - FDS_OF_AGENT) / FDS_OF_CALL : 1;
	agent->max_calls = calls < 1 ? 1 : calls < MAX_CALLS ? (uint32_t)calls : MAX_CALLS;
}

static int set_up(struct agent *agent, const struct options *options)
{
	int code = set_descriptors(agent);

	if (code)
		return code;
	set_limits(agent);
	agent->ready_end = &agent->ready;
	agent->next_us = NEVER;
	agent->now_us = agent->heard_us = agent->reaped_us = agent_clock_us();
	agent->silence_us = (int64_t)GREET_MS * 1000;
	agent_wake_at(agent, agent->now_us + agent->silence_us);
	agent->hidden = system_hide();
	agent->surroundings.adopts = system_adopt_orphans();
	agent->surroundings.shares = system_vfork_shares();
	code = watch_open(&agent->watch);
	if (code)
		return code;
	if (options->once)
		alone_prepare(agent);
	keepers_prepare(agent);
	agent_warm_up(agent);
	agent->once = options->once;
	return channel_open(agent, options->connect);
}

int main(int argc, char **argv)
{
	struct options options = {0};
	struct agent *agent;
	int status;

	if (argc == 2 && !strcmp(argv[1], "--version"))
		return printf("hookbox-agent %s\n", AGENT_VERSION) < 0;
	if (argc == 2 && !strcmp(argv[1], "--help"))
		return say_what_it_is(0);
	if (!argc || !options_read(&options, argv) || isatty(STDIN_FILENO) || isatty(STDOUT_FILENO))
		return say_what_it_is(2);
	if (options.remove)
		remove_file(argv[0]);
	set_signals();
	agent = calloc(1, sizeof(*agent));
	status = agent ? set_up(agent, &options) : ENOMEM;
	if (status) {
		fprintf(stderr, "hookbox-agent: it cannot work here: %s\n", strerror(status));
		return 1;
	}
	channel_greet(agent);
	status = agent_serve(agent);
	bytes_free(&agent->outbox);
	bytes_free(&agent->block);
	free(agent->reader_buffer);
	watch_close(&agent->watch);
	free(agent);
	return status;
}
