/* SPDX-License-Identifier: MIT */
#include "trunk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "call.h"
#include "cleanup.h"
#include "clock.h"
#include "process.h"
#include "text.h"

/*
 * Servers commonly allow ten in a connection. What keeps the trunk is one, and one that has just
 * ended may still count. Where fewer are allowed, a call that is refused shows it.
 */
#define CALLS_MAX 8
/* How long one may take to be ready, and how long a way that failed is left alone. */
#define READY_US 30000000
#define RETRY_US 5000000
/* After so long more calls are tried than the box has allowed. */
#define LIMIT_US 30000000

/* "t.", and eight hex digits. Backends may need 17 bytes more while they make a socket. */
#define NAME_PREFIX "t."
#define NAME_SIZE (sizeof(NAME_PREFIX) + 8)
#define PATH_MAX_SIZE (sizeof(((struct sockaddr_un *)0)->sun_path) - 17)
/* What is younger may be about to be listened on. */
#define STALE_S 10
/* What is read at once is no more than its pipes hold. */
#define READS_MAX 32

struct trunk {
	struct sandbox *sandbox;
	pthread_mutex_t lock;		/* of what follows */
	bool wanted;			/* a call has come through, so that more may */
	bool runs;			/* there is a process */
	bool ready;			/* and calls may go through it */
	bool retired;			/* but no further ones */
	bool carried;			/* one has */
	struct process process;
	pid_t owner;			/* whose child it is: what was forked has none */
	struct buf said;		/* its last words on stderr */
	char path[PATH_MAX_SIZE];	/* stays while a call has it */
	char *box_id;			/* where it leads */
	unsigned int n_calls;		/* that have the path */
	unsigned int limit;		/* of them */
	int64_t limit_us;		/* until when the limit counts that the box has shown */
	int64_t started_us;
	int64_t retry_us;
	char *trouble;			/* to be logged, when the lock is free */
};

int trunk_open(struct sandbox *sandbox, const struct config_sandbox *config, struct trunk **trunk,
	       struct hookbox_error *error)
{
	bool possible = sandbox->plugin->flags & SANDBOX_TRUNK && sandbox->plugin->plan;

	if (config->multiplex == CONFIG_YES && !possible)
		return error_set(error, -EINVAL,
				 "%s: [sandbox %s] multiplex: %s makes no connections that calls "
				 "could share; remove the key",
				 config_key_where(config, "multiplex"), config->name,
				 sandbox->plugin->name);
	if (config->multiplex == CONFIG_YES && !sandbox->shell)
		return error_set(error, -EINVAL,
				 "%s: [sandbox %s] multiplex: calls share a connection with the "
				 "help of the sandbox's shell; remove shell = none, or multiplex",
				 config_key_where(config, "multiplex"), config->name);
	if (config->multiplex == CONFIG_NO || !possible || !sandbox->shell)
		return 0;
	*trunk = calloc(1, sizeof(**trunk));
	if (!*trunk)
		return error_no_memory(error);
	(*trunk)->sandbox = sandbox;
	pthread_mutex_init(&(*trunk)->lock, NULL);
	return 0;
}

/* ---- The process. All of it under the lock. ---- */

/* Ends it at once: nobody needs what it could still do. */
static void end(struct trunk *trunk)
{
	process_end(&trunk->process, 0, NULL);
	unlink(trunk->path);
	trunk->runs = trunk->ready = trunk->retired = false;
	trunk->said.size = 0;
}

static void fail(struct trunk *trunk, const char *why)
{
	trunk->retry_us = clock_us() + RETRY_US;
	free(trunk->trouble);
	trunk->trouble = strdup(why);
}

/* Removes the sockets that killed processes left. */
static void remove_stale(const char *dir)
{
	DIR *entries = opendir(dir);
	struct dirent *entry;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;

	while (entries && (entry = readdir(entries))) {
		int fd, length;

		if (strncmp(entry->d_name, NAME_PREFIX, strlen(NAME_PREFIX)) ||
		    fstatat(dirfd(entries), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISSOCK(st.st_mode) || time(NULL) - st.st_mtime < STALE_S)
			continue;
		length = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", dir,
				  entry->d_name);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd >= 0 && length < (int)sizeof(address.sun_path) &&
		    connect(fd, (struct sockaddr *)&address, sizeof(address)) &&
		    errno == ECONNREFUSED)
			unlinkat(dirfd(entries), entry->d_name, 0);
		cleanup_close(&fd);
	}
	if (entries)
		closedir(entries);
}

static int choose_path(struct trunk *trunk, const char *dir)
{
	char random[MARK_NONCE_SIZE];

	if (!dir || strlen(dir) + 1 + NAME_SIZE > sizeof(trunk->path) || mark_nonce(random))
		return -ENAMETOOLONG;
	remove_stale(dir);
	snprintf(trunk->path, sizeof(trunk->path), "%s/" NAME_PREFIX "%.8s", dir, random);
	return 0;
}

/* The command that keeps it: it says that it is there, and ends with us, who hold its stdin. */
static const char *const keeper[] = {"sh", "-c", "echo; read -r _", NULL};

/*
 * The planned process ends with its stdin, unless it hangs or calls still go through it, which a
 * killed host cannot end. So a shell beside it sees that end as well, and ends their group; as a
 * member of the group it knows that the id is no other's by then.
 */
static const char guard[] =
	"exec 3<&0\n"
	"(trap '' TERM; read -r _; kill -TERM -$$; sleep 2; kill -KILL -$$) <&3 >/dev/null 2>&1 &\n"
	"\"$@\" <&3 3<&- &\n"
	"exec 3<&-\n"
	"wait $!\n"
	"kill -KILL -$$\n";

static int start_guarded(struct plan *plan, struct process *process, struct spawn_result *result)
{
	struct plan guarded = {.env = plan->env, .dir = plan->dir};
	int code;

	strv_add(&guarded.argv, "/bin/sh");
	strv_add(&guarded.argv, "-c");
	strv_add(&guarded.argv, guard);
	strv_add(&guarded.argv, "hookbox");
	for (size_t i = 0; i < plan->argv.n; i++)
		strv_add(&guarded.argv, plan->argv.v[i]);
	if (guarded.argv.failed) {
		snprintf(result->message, sizeof(result->message), "out of memory");
		code = -ENOMEM;
	} else {
		code = plan_start(&guarded, process, result);
	}
	strv_free(&guarded.argv);
	return code;
}

static void start(struct trunk *trunk, const struct call *call)
{
	static const char *const none[] = {NULL};
	struct sandbox_plan_request request = call_request(call, SANDBOX_PURPOSE_TRUNK);
	const struct sandbox *sandbox = trunk->sandbox;
	_cleanup_plan_ struct plan plan = {0};
	struct hookbox_error error = {0};
	struct spawn_result result = {0};

	if (choose_path(trunk, request.state_dir)) {
		fail(trunk, "its socket needs a private directory with a short path; set "
			    "XDG_RUNTIME_DIR to one");
		return;
	}
	free(trunk->box_id);
	trunk->box_id = call->box_id ? strdup(call->box_id) : NULL;
	request.argv = keeper;
	request.env = none;
	request.cwd = NULL;
	request.trunk = trunk->path;
	if (plan_make(sandbox->plugin, sandbox->instance, &request, &plan, &error))
		fail(trunk, error.message);
	else if (start_guarded(&plan, &trunk->process, &result))
		fail(trunk, result.message);
	else
		trunk->runs = true;
	trunk->owner = getpid();
	trunk->carried = false;
	trunk->started_us = clock_us();
	trunk->limit = CALLS_MAX;
}

/*
 * Takes what it said, so that it never waits for us; somebody may go on talking for ever. False: it
 * has ended.
 */
static bool listen_to(struct trunk *trunk)
{
	struct pollfd ended = {.fd = trunk->process.pidfd, .events = POLLIN};
	char bytes[4096];
	ssize_t n[2] = {1, 1};

	/* The order counts: what it said before its end is heard. */
	poll(&ended, 1, 0);
	for (int i = 0; i < READS_MAX && (n[0] > 0 || n[1] > 0); i++) {
		n[0] = read(trunk->process.out[0], bytes, sizeof(bytes));
		trunk->ready |= n[0] > 0;
		n[1] = read(trunk->process.out[1], bytes, sizeof(bytes));
		if (n[1] > 0) {
			trunk->said.size = 0;
			buf_add(&trunk->said, bytes, (size_t)n[1]);
		}
	}
	return !ended.revents;
}

/* Notices that it has ended, or does not come up. What ended unused would do so again. */
static void look(struct trunk *trunk)
{
	_cleanup_buf_ struct buf why = {0};
	bool lives = listen_to(trunk);

	if (lives && (trunk->ready || clock_us() - trunk->started_us < READY_US))
		return;
	if (trunk->ready && trunk->carried) {
		end(trunk);
		return;
	}
	buf_add_string(&why, lives ? "it takes too long to be made" :
			     trunk->ready ? "it ended before a call used it: " :
					    "it could not be made: ");
	if (trunk->said.size && !lives)
		text_add_last_line(&why, trunk->said.data, trunk->said.size, 300);
	end(trunk);
	fail(trunk, why.failed ? "out of memory" : why.data);
}

static bool leads_to(const struct trunk *trunk, const char *box_id)
{
	if (!trunk->box_id || !box_id)
		return trunk->box_id == box_id;
	return !strcmp(trunk->box_id, box_id);
}

/* In a process that was forked what runs is the other's. */
static bool is_ours(const struct trunk *trunk)
{
	return !trunk->runs || trunk->owner == getpid();
}

/* ---- Calls ---- */

/* Sees that there will be one that the calls to come can go through. */
static void renew(struct trunk *trunk, const struct call *call)
{
	if (trunk->runs)
		look(trunk);
	if (trunk->n_calls)
		return;
	if (trunk->runs && (trunk->retired || !leads_to(trunk, call->box_id)))
		end(trunk);
	if (!trunk->runs && trunk->wanted && clock_us() >= trunk->retry_us)
		start(trunk, call);
}

static bool takes(struct trunk *trunk, const struct call *call)
{
	if (trunk->limit < CALLS_MAX && clock_us() >= trunk->limit_us)
		trunk->limit = CALLS_MAX;
	return trunk->runs && trunk->ready && !trunk->retired && trunk->n_calls < trunk->limit &&
	       leads_to(trunk, call->box_id);
}

const char *trunk_enter(struct trunk *trunk, const struct call *call)
{
	_cleanup_free_ char *trouble = NULL;
	const char *path = NULL;

	/* What was read from a descriptor could not be put into a second connection. */
	if (!trunk || !call->scripted || call->asked.use_stdin_fd || call->alone)
		return NULL;
	pthread_mutex_lock(&trunk->lock);
	if (is_ours(trunk)) {
		renew(trunk, call);
		if (takes(trunk, call)) {
			trunk->n_calls++;
			trunk->carried = true;
			path = trunk->path;
		}
		trouble = take_pointer(trunk->trouble);
	}
	pthread_mutex_unlock(&trunk->lock);
	if (trouble)
		log_write(trunk->sandbox->context.log, SANDBOX_LOG_INFO,
			  "[sandbox %s] there is no connection that calls could share, so each "
			  "makes its own: %s", trunk->sandbox->name, trouble);
	return path;
}

/* Did the call get through to the box and back? */
static bool came_through(const struct call *call)
{
	return call->marks[0].started && call->result->end != HOOKBOX_LOST;
}

void trunk_leave(struct trunk *trunk, const struct call *call)
{
	if (!trunk)
		return;
	pthread_mutex_lock(&trunk->lock);
	trunk->wanted |= came_through(call);
	if (call->trunk) {
		trunk->n_calls--;
		if (call->trunk_unused) {
			trunk->limit = trunk->n_calls;
			trunk->limit_us = clock_us() + LIMIT_US;
		} else if (!came_through(call) && call->result->end != HOOKBOX_CANCELLED) {
			/* It is broken, or does not move. */
			trunk->retired = trunk->runs;
		}
		if (trunk->runs && trunk->retired && !trunk->n_calls)
			end(trunk);
	}
	pthread_mutex_unlock(&trunk->lock);
}

void trunk_close(struct trunk *trunk)
{
	if (!trunk)
		return;
	if (!is_ours(trunk))
		process_close(&trunk->process);
	else if (trunk->runs)
		end(trunk);
	pthread_mutex_destroy(&trunk->lock);
	buf_free(&trunk->said);
	free(trunk->box_id);
	free(trunk->trouble);
	free(trunk);
}
