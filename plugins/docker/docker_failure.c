/* SPDX-License-Identifier: MIT */
/*
 * Telling the engine's failures from the command's. The CLI has exit codes of its own (125 to 127,
 * and 1) that a command may have too, so a failure is one only where the CLI also said so, in a
 * sentence that it is known for, and nothing shows that the command ran.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "docker.h"

#define TEXT_SIZE 4096

/* What the CLI or the engine said, as a string. */
struct said {
	char text[TEXT_SIZE + 1];
	size_t size;
	bool whole;		/* nothing else is on that stream */
	char *line;		/* the engine's sentence in it; NULL: none */
};

/* ---- Finding the sentence ---- */

/* Lines that begin so are the CLI's whatever its exit code is, when nothing comes before them. */
static const char *const sure_beginnings[] = {
	"Error response from daemon: ", "Cannot connect to the Docker daemon",
	"permission denied while trying to connect to the ", "error during connect: ",
	"unable to resolve docker endpoint: ", "Failed to initialize: ",
	"Error: No such ", "Error: no such ", "[FATAL tini (",
};
/* And so with an exit code that the CLI keeps for itself. */
static const char *const likely_beginnings[] = {
	"docker: ", "Error: ", "unknown flag: ", "unknown shorthand flag: ",
	"flag needs an argument", "invalid argument \"", "invalid reference format",
};
/* An exec that could not be started is reported where its output would be. */
static const char *const exec_beginnings[] = {
	"OCI runtime exec failed: ", "unable to find user ", "Error: ",
};

static bool begins(const char *line, const char *const *beginnings, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strncmp(line, beginnings[i], strlen(beginnings[i])))
			return true;
	return false;
}

/* runc's last word, when it has set up everything and the kernel refuses the program. */
static bool is_exec_refusal(const char *line)
{
	size_t length = strcspn(line, "\r\n");
	size_t rest = strspn(line + length, "\r\n");
	static const char *const endings[] = {
		": no such file or directory", ": exec format error", ": permission denied",
	};

	if (strncmp(line, "exec /", 6) || line[length + rest])
		return false;
	for (size_t i = 0; i < N_ELEMENTS(endings); i++) {
		size_t n = strlen(endings[i]);

		if (length > n && !strncmp(line + length - n, endings[i], n))
			return true;
	}
	return false;
}

static char *next_line(char *line)
{
	line += strcspn(line, "\n");
	return *line ? line + 1 : NULL;
}

static void load(struct said *said, const char *bytes, size_t size, uint64_t total)
{
	said->size = size < TEXT_SIZE ? size : TEXT_SIZE;
	memcpy(said->text, bytes, said->size);
	said->text[said->size] = '\0';
	for (size_t i = 0; i < said->size; i++)
		if (!said->text[i])
			said->text[i] = ' ';
	said->whole = total == said->size;
	said->line = NULL;
}

static bool is_own_code(int status)
{
	return status >= 125 && status <= 127;
}

static bool find_on_stderr(struct said *said, int status)
{
	if (said->whole && (begins(said->text, sure_beginnings, N_ELEMENTS(sure_beginnings)) ||
			    is_exec_refusal(said->text)))
		said->line = said->text;
	for (char *line = said->text; line && is_own_code(status) && !said->line;
	     line = next_line(line))
		if (begins(line, sure_beginnings, N_ELEMENTS(sure_beginnings)) ||
		    begins(line, likely_beginnings, N_ELEMENTS(likely_beginnings)))
			said->line = line;
	return said->line;
}

static bool find_on_stdout(struct said *said, int status)
{
	if (said->whole && is_own_code(status) &&
	    begins(said->text, exec_beginnings, N_ELEMENTS(exec_beginnings)))
		said->line = said->text;
	return said->line;
}

/* The run CLI logs this one when the engine goes away under it, whatever came before. */
static bool find_break(struct said *said, int status)
{
	for (char *line = said->text; line && status == 125 && !said->line; line = next_line(line))
		if (!strncmp(line, "time=", 5) && strstr(line, "error waiting for container"))
			said->line = line;
	return said->line;
}

/* ---- What it means ---- */

#define LOST_ADVICE "look into the engine's log, and run it again"

/* The first sentence found decides. A %s in the advice is the image or the container. */
static const struct meaning {
	const char *sentence;
	const char *advice;
	uint32_t end;
	int error_number;
} meanings[] = {
	/* The engine's runtime met this end, and not the CLI: there is no container. */
	{"final child's", LOST_ADVICE},
	{"error waiting for container", LOST_ADVICE, SANDBOX_END_LOST},
	{": EOF", LOST_ADVICE, SANDBOX_END_LOST},
	{"unexpected EOF", LOST_ADVICE, SANDBOX_END_LOST},
	{"connection reset by peer", LOST_ADVICE, SANDBOX_END_LOST},
	{"Cannot connect to the Docker daemon",
	 "start the Docker daemon, or set docker_host to one that runs"},
	{"permission denied while trying to connect",
	 "add this user to the group of the engine's socket (docker), or run hookbox as root"},
	{"error during connect", "set docker_host or DOCKER_HOST to an engine that can be reached"},
	{"docker endpoint", "set context to one that `docker context ls` shows"},
	{"docker-init", "install docker-init where the engine runs, or set init = no"},
	{"container-init", "install catatonit where the engine runs, or set init = no"},
	{"Get \"http", "check the image's name, and that its registry can be reached"},
	{"pull access denied", "correct image, or `docker login` to its registry"},
	{"manifest ", "correct image: its registry has no such version"},
	{"o such image", "run `docker pull %s`, or set pull = missing"},
	{"image not known", "run `docker pull %s`, or set pull = missing"},
	{"invalid reference format", "correct the name of the image"},
	{"source path does not exist", "make it on the engine's machine, or correct mounts"},
	{"invalid mount config", "correct mounts"},
	{"unable to find user", "set user to one that exists in %s, or to a number"},
	{"no matching entries in", "set user to one that exists in %s, or to a number"},
	{"untime specified", "set runtime to one that `docker info` shows"},
	{"invalid runtime name", "set runtime to one that `docker info` shows"},
	{"could not select device driver", "install the GPU's container toolkit, or remove gpus"},
	{"device information", "correct devices"},
	{"Minimum memory limit", "raise memory"},
	{"Range of CPUs", "lower cpus"},
	{"CapAdd", "correct cap_add"},
	{"daemon: network ", "correct network, or make it with `docker network create`"},
	{"Conflict. The container name", "remove that container"},
	{"unknown flag", "correct extra_args, or install a newer docker CLI"},
	{"invalid argument", "correct extra_args"},
	{"flag needs an argument", "correct extra_args: write --option=value"},
	{"o such container", "create and start it, or correct container"},
	{"no container with name", "create and start it, or correct container"},
	{"is not running", "run `docker start %s`"},
	{"stopped container", "run `docker start %s`"},
	{"is paused", "run `docker unpause %s`"},
	{"is restarting", "see why with `docker logs %s`"},
	{"chdir to cwd", "set workdir to a directory that the command's user can enter", 0, ENOENT},
	{"no space left on device", "free space where the engine keeps its data"},
	{"", "correct the sandbox's settings, or what is wrong with the engine"},
};

/* Copies a line without what only repeats who says it. */
static void copy_sentence(const char *line, char *copy, size_t size)
{
	static const char *const fillers[] = {
		"docker: ", "Error response from daemon: ", "Error: ", "Failed to initialize: ",
	};
	size_t length;

	for (size_t i = 0; i < N_ELEMENTS(fillers); i++)
		if (!strncmp(line, fillers[i], strlen(fillers[i])))
			line += strlen(fillers[i]);
	length = strcspn(line, "\r\n");
	while (length && line[length - 1] == '.')
		length--;
	if (length > 9 && !strncmp(line + length - 9, ": unknown", 9))
		length -= 9;
	backend_copy_text(copy, size, line, length);
}

static void explain(const struct docker_place *place, const char *line,
		    struct docker_failure *failure)
{
	const struct meaning *meaning = meanings;

	while (!strstr(line, meaning->sentence))
		meaning++;
	failure->end = meaning->end ? meaning->end : SANDBOX_END_NOT_STARTED;
	failure->error_number = meaning->error_number;
	snprintf(failure->advice, sizeof(failure->advice), meaning->advice, place->name);
	if (failure->end == SANDBOX_END_LOST)
		snprintf(failure->what, sizeof(failure->what),
			 "the connection to the engine broke before the command had ended");
	else
		copy_sentence(line, failure->what, sizeof(failure->what));
}

/* ---- Commands that could not be started ---- */

/* The ways in which runc, crun and tini name a command that they could not start. */
static const struct {
	const char *before;
	const char *after;
} command_forms[] = {
	{"exec: \"", "\": "},
	{"executable file `", "` not found"},
	{"] exec ", " failed: "},
	{"exec /", ": "},
};

/* Finds the command's name; false when the sentence is none about a command. */
static bool find_command(const char *line, char *name, size_t size)
{
	for (size_t i = 0; i < N_ELEMENTS(command_forms); i++) {
		const char *begin = strstr(line, command_forms[i].before);
		const char *end;

		if (!begin)
			continue;
		begin += strlen(command_forms[i].before);
		end = strstr(begin, command_forms[i].after);
		if (!end)
			continue;
		begin -= begin[-1] == '/';
		snprintf(name, size, "%.*s", (int)(end - begin), begin);
		return true;
	}
	return false;
}

static int start_error(const char *line)
{
	if (strcasestr(line, "not found in $PATH") || strcasestr(line, "no such file or directory"))
		return ENOENT;
	if (strcasestr(line, "permission denied") || strcasestr(line, "is a directory"))
		return EACCES;
	return strcasestr(line, "exec format error") ? ENOEXEC : 0;
}

static bool explain_command(const struct docker_place *place, const char *line,
			    struct docker_failure *failure)
{
	char name[256];
	int code = start_error(line);
	const char *advice = "check its #! line, and that it is made for this architecture";

	if (!code || !find_command(line, name, sizeof(name)) || strstr(name, "docker-init"))
		return false;
	if (code == ENOENT && !strcmp(name, "sh"))
		advice = "use one that has a POSIX sh, or set shell = none";
	else if (code == ENOENT)
		advice = "check its name, its #! line, the mounts and PATH there";
	else if (code == EACCES)
		advice = "chmod +x it, or name another command";
	failure->end = SANDBOX_END_NOT_STARTED;
	failure->error_number = code;
	snprintf(failure->advice, sizeof(failure->advice), "%s", advice);
	if (code == ENOENT)
		snprintf(failure->what, sizeof(failure->what),
			 "there is no \"%s\" in the %s %s", name, place->kind, place->name);
	else
		snprintf(failure->what, sizeof(failure->what), "\"%s\" in the %s %s %s", name,
			 place->kind, place->name,
			 code == EACCES ? "is not executable" : "could not be executed");
	return true;
}

/* ---- The whole ---- */

static bool find_killed_cli(const struct sandbox_process_end *end, struct docker_failure *failure)
{
	if (!end->signaled)
		return false;
	failure->end = SANDBOX_END_LOST;
	snprintf(failure->what, sizeof(failure->what),
		 "signal %d ended the docker CLI before it told how the command ended",
		 end->status);
	snprintf(failure->advice, sizeof(failure->advice),
		 "see who sent it (short memory?), and run it again");
	return true;
}

static bool find_said(const struct docker_place *place, const struct sandbox_process_end *end,
		      struct said *said, struct docker_failure *failure)
{
	load(said, end->stdout_head, end->stdout_head_size, end->stdout_total);
	if (!end->stderr_total && find_on_stdout(said, end->status)) {
		failure->on_stdout = true;
		return true;
	}
	load(said, end->stderr_tail, end->stderr_tail_size, end->stderr_total);
	if (!end->stdout_total && find_on_stderr(said, end->status))
		return true;
	if (find_break(said, end->status))
		return true;
	if (place->own_125 && end->status == 125 && !end->stdout_total && said->size)
		said->line = said->text;
	return said->line;
}

bool docker_find_failure(const struct docker_place *place, const struct sandbox_process_end *end,
			 struct docker_failure *failure)
{
	struct said said;

	*failure = (struct docker_failure){0};
	if (find_killed_cli(end, failure))
		return true;
	if (!find_said(place, end, &said, failure))
		return false;
	if (!failure->on_stdout)
		failure->stderr_tail = said.size - (size_t)(said.line - said.text);
	said.line[strcspn(said.line, "\r\n")] = '\0';
	if (!explain_command(place, said.line, failure))
		explain(place, said.line, failure);
	return true;
}

void docker_classify(const struct docker_place *place, const struct sandbox_process_end *end,
		     struct sandbox_verdict *verdict)
{
	struct docker_failure failure;

	if (!docker_find_failure(place, end, &failure))
		return;
	verdict->end = failure.end;
	verdict->error_number = failure.error_number;
	verdict->drop_stdout = failure.on_stdout;
	verdict->drop_stderr_tail = failure.stderr_tail;
	snprintf(verdict->message, sizeof(verdict->message), "%s; %s", failure.what,
		 failure.advice);
}
