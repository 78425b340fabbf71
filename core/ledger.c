/* SPDX-License-Identifier: MIT */
#include "ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "hash.h"
#include "listener.h"
#include "spawn.h"

#define OWNER_SIZE 49
/* A note is "MODE SANDBOX PLACE [BOX]"; behind LOOKED, it says where else was looked already. */
#define PLACE_LENGTH 8
#define LOOKED "#"

struct ledger {
	char owner[OWNER_SIZE];
	atomic_uint next_call;
	atomic_bool keep;
	pthread_mutex_t lock; /* of what follows */
	bool dir_tried;
	char *dir;
	int fd; /* our file, -1 before its first line */
};

/* Of a small file, for telling machines and boots apart; 0 when it cannot be read. */
static uint32_t file_hash(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char bytes[128];
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, bytes, sizeof(bytes));
	return n > 0 ? hash_add(HASH_START, bytes, (size_t)n) : 0;
}

static unsigned int pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) ? 0 : (unsigned int)st.st_ino;
}

/* machine, boot, pid namespace, pid, start time, and which host of the process it is */
#define OWNER_FORMAT "%08x-%08x-%x-%x-%" PRIx64 "-%x"
#define OWNER_SCAN "%8x-%8x-%x-%x-%" SCNx64 "-%x%n"

static uint32_t machine_hash(void)
{
	return file_hash("/etc/machine-id") ^ file_hash("/proc/sys/kernel/hostname");
}

static uint32_t boot_hash(void)
{
	return file_hash("/proc/sys/kernel/random/boot_id");
}

struct ledger *ledger_new(void)
{
	static atomic_uint hosts;
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger)
		return NULL;
	snprintf(ledger->owner, sizeof(ledger->owner), OWNER_FORMAT, machine_hash(), boot_hash(),
		 pid_namespace(), (unsigned int)getpid(), process_start_time(getpid()),
		 atomic_fetch_add(&hosts, 1) & 0xff);
	pthread_mutex_init(&ledger->lock, NULL);
	ledger->fd = -1;
	return ledger;
}

const char *ledger_owner(const struct ledger *ledger)
{
	return ledger->owner;
}

void ledger_new_call_id(struct ledger *ledger, char id[LEDGER_CALL_ID_SIZE])
{
	snprintf(id, LEDGER_CALL_ID_SIZE, "%s-%08x", ledger->owner,
		 atomic_fetch_add(&ledger->next_call, 1));
}

void ledger_keep(struct ledger *ledger)
{
	atomic_store(&ledger->keep, true);
}

/* Is the process behind an owner id gone for certain? Not for ids of other machines. */
static bool owner_is_dead(const char *owner)
{
	unsigned int machine, boot, namespace, pid, host;
	uint64_t start, start_now;
	uint32_t boot_now = boot_hash();
	int used = 0;

	if (sscanf(owner, OWNER_SCAN, &machine, &boot, &namespace, &pid, &start, &host, &used) !=
		    6 ||
	    owner[used] || machine != machine_hash())
		return false;
	if (boot_now && boot != boot_now)
		return true;
	start_now = process_start_time((pid_t)pid);
	return namespace == pid_namespace() && start_now != start &&
	       start_now != PROCESS_START_UNKNOWN;
}

static char *private_dir(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char *dir = NULL;
	struct stat st;
	int made;

	if (runtime && runtime[0] == '/')
		made = asprintf(&dir, "%s/hookbox", runtime);
	else if (geteuid() == 0)
		made = asprintf(&dir, "/run/hookbox");
	else
		made = asprintf(&dir, "/tmp/hookbox-%u", (unsigned int)geteuid());
	if (made < 0)
		return NULL;
	if ((mkdir(dir, 0700) && errno != EEXIST) || lstat(dir, &st) || !S_ISDIR(st.st_mode) ||
	    st.st_uid != geteuid() || (st.st_mode & 077)) {
		free(dir);
		return NULL;
	}
	return dir;
}

/* Under the lock. */
static const char *state_dir_locked(struct ledger *ledger)
{
	if (!ledger->dir_tried) {
		ledger->dir_tried = true;
		ledger->dir = private_dir();
	}
	return ledger->dir;
}

const char *ledger_state_dir(struct ledger *ledger)
{
	const char *dir;

	pthread_mutex_lock(&ledger->lock);
	dir = state_dir_locked(ledger);
	pthread_mutex_unlock(&ledger->lock);
	return dir;
}

/* Appends "MODE SANDBOX PLACE [BOX]" to our file. Under the lock. */
static int write_note(struct ledger *ledger, const char *line, struct hookbox_error *error)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/%s", ledger->dir, ledger->owner) < 0)
		return error_no_memory(error);
	if (ledger->fd < 0)
		ledger->fd =
			open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (ledger->fd < 0 || write(ledger->fd, line, strlen(line)) != (ssize_t)strlen(line))
		return error_set(error, -EIO,
				 "cannot write \"%s\": %s; free space or make it writable", path,
				 strerror(errno));
	return 0;
}

/* ---- One killed host's file ---- */

#define FILE_SIZE 16384

/* The line of the text that is this one, or NULL. */
static char *find_line(char *text, const char *line)
{
	char *found = text;

	while ((found = strstr(found, line)) && found > text && found[-1] != '\n')
		found++;
	return found;
}

/* Is there a line that differs from this one in its place alone? `head` is what is before it. */
static bool has_other_place(const char *text, const char *line, size_t head)
{
	const char *rest = line + head + PLACE_LENGTH;

	for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
		if (!strncmp(text, line, head) && strnlen(text + head, PLACE_LENGTH) == PLACE_LENGTH &&
		    !strncmp(text + head + PLACE_LENGTH, rest, strlen(rest)))
			return true;
	return false;
}

static bool has_notes(const char *text)
{
	for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
		if (*text != *LOOKED)
			return true;
	return false;
}

/*
 * What the file stands for is ended: the line is taken out. What it used under the same name may
 * also be the same place by another address, or another place: we look, once, and the note of it
 * stays for who comes to that very place. True: the text has changed.
 */
static bool settle_text(char text[FILE_SIZE], const char *owner, const char *looked, size_t head,
			bool (*left)(void *data, const char *owner), void *data)
{
	const char *line = looked + strlen(LOOKED);
	char *found = find_line(text, line);

	if (found) {
		if (!left(data, owner))
			return false;
		memmove(found, found + strlen(line), strlen(found + strlen(line)) + 1);
		return true;
	}
	if (!has_other_place(text, line, head) || find_line(text, looked) ||
	    strlen(text) + strlen(looked) >= FILE_SIZE || !left(data, owner))
		return false;
	strcat(text, looked);
	return true;
}

static void settle_file(int dirfd, const char *owner, const char *looked, size_t head,
			bool (*left)(void *data, const char *owner), void *data)
{
	_cleanup_close_ int fd = openat(dirfd, owner, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	char text[FILE_SIZE];
	ssize_t n;

	/* Others may be settling their lines of it. */
	if (fd < 0 || flock(fd, LOCK_EX))
		return;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return;
	text[n] = '\0';
	if (settle_text(text, owner, looked, head, left, data)) {
		n = (ssize_t)strlen(text);
		if (pwrite(fd, text, (size_t)n, 0) != n || ftruncate(fd, n))
			return;
	}
	if (!has_notes(text))
		unlinkat(dirfd, owner, 0);
}

/* A socket of a killed host: its name is a call id, which is the owner's and a number. */
static void remove_dead_socket(int dirfd, const char *name)
{
	size_t length = strlen(name), after = strlen("-00000000" LISTENER_SUFFIX);
	char owner[OWNER_SIZE];

	if (length <= after || length - after >= sizeof(owner) ||
	    strcmp(name + length - strlen(LISTENER_SUFFIX), LISTENER_SUFFIX))
		return;
	snprintf(owner, sizeof(owner), "%.*s", (int)(length - after), name);
	if (owner_is_dead(owner))
		unlinkat(dirfd, name, 0);
}

int ledger_use(struct ledger *ledger, const struct ledger_use *use,
	       bool (*left)(void *data, const char *owner), void *data, struct hookbox_error *error)
{
	_cleanup_free_ char *looked = NULL;
	size_t head = strlen(use->mode) + 1 + strlen(use->sandbox) + 1;
	struct dirent *entry;
	DIR *dir = NULL;
	int result = 0;

	if (asprintf(&looked, LOOKED "%s %s %08" PRIx32 "%s%s\n", use->mode, use->sandbox,
		     use->place, use->box ? " " : "", use->box ? use->box : "") < 0)
		return error_no_memory(error);
	pthread_mutex_lock(&ledger->lock);
	if (state_dir_locked(ledger)) {
		result = write_note(ledger, looked + strlen(LOOKED), error);
		if (!result)
			dir = opendir(ledger->dir);
	}
	pthread_mutex_unlock(&ledger->lock);
	if (!dir)
		return result;
	while ((entry = readdir(dir)))
		if (owner_is_dead(entry->d_name))
			settle_file(dirfd(dir), entry->d_name, looked, head, left, data);
		else
			remove_dead_socket(dirfd(dir), entry->d_name);
	closedir(dir);
	return 0;
}

void ledger_free(struct ledger *ledger)
{
	_cleanup_free_ char *path = NULL;

	if (!ledger)
		return;
	if (ledger->fd >= 0) {
		close(ledger->fd);
		if (!atomic_load(&ledger->keep) &&
		    asprintf(&path, "%s/%s", ledger->dir, ledger->owner) >= 0)
			unlink(path);
	}
	pthread_mutex_destroy(&ledger->lock);
	free(ledger->dir);
	free(ledger);
}
