/* SPDX-License-Identifier: MIT */
/* Listeners: who gets in, and what is left of them. */
#include "channels.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "listener.h"
#include "spawning.h"

/* ---- A private directory ---- */

struct room {
	char dir[200];
	struct listener listener;
	int fds;			/* before there was one */
};

/* With a path that no address of a socket could hold. */
static int set_up(void **state)
{
	struct room *room = calloc(1, sizeof(*room));

	strcpy(room->dir, "/tmp/hookbox-test-listener-XXXXXX");
	if (!mkdtemp(room->dir))
		return -1;
	strcat(room->dir, "/");
	memset(room->dir + strlen(room->dir), 'd', sizeof(room->dir) - strlen(room->dir) - 1);
	if (mkdir(room->dir, 0700))
		return -1;
	room->fds = count_fds();
	*state = room;
	return !listener_open(&room->listener, room->dir, "box-00000001");
}

/* Nothing may be left but the directory. */
static int tear_down(void **state)
{
	struct room *room = *state;
	int left = count_fds() - room->fds;

	left |= rmdir(room->dir);
	*strrchr(room->dir, '/') = '\0';
	left |= rmdir(room->dir);
	free(room);
	return left;
}

/* -1: nobody listens there. */
static int knock(const struct room *room)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int dir = open(room->dir, O_PATH | O_CLOEXEC);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(dir >= 0 && fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path),
		 "/proc/self/fd/%d/box-00000001" LISTENER_SUFFIX, dir);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		cleanup_close(&fd);
	close(dir);
	return fd;
}

/* ---- Listeners ---- */

static void test_one_gets_in(void **state)
{
	struct room *room = *state;
	int first, second, in;
	char byte;

	assert_int_equal(listener_accept(&room->listener), -1);
	assert_true(room->listener.fd >= 0);
	first = knock(room);
	second = knock(room);
	assert_true(first >= 0 && second >= 0);
	in = listener_accept(&room->listener);
	assert_true(in >= 0);
	assert_int_equal(fcntl(in, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(in, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(room->listener.fd, -1);
	assert_int_equal(knock(room), -1);
	/* Who stood behind the first sees the end. */
	assert_true(read(second, &byte, 1) <= 0);
	assert_int_equal(write(first, "a", 1), 1);
	assert_int_equal(read(in, &byte, 1), 1);
	close(first);
	close(second);
	close(in);
	listener_close(&room->listener);
}

static void test_nobody_came(void **state)
{
	struct room *room = *state;

	listener_close(&room->listener);
	assert_int_equal(knock(room), -1);
	listener_close(&room->listener);
}

static void test_there_can_be_none(void **state)
{
	struct room *room = *state;
	struct listener other;
	int first;

	assert_false(listener_open(&other, room->dir, "box-00000001"));
	assert_int_equal(other.fd, -1);
	assert_null(other.path);
	assert_false(listener_open(&other, "/no/such/directory", "box-00000001"));
	assert_null(other.path);
	/* It is still the first one's. */
	first = knock(room);
	assert_true(first >= 0);
	close(first);
	listener_close(&room->listener);
}

static void test_the_directory_must_be_private(void **state)
{
	struct room *room = *state;
	struct listener other;
	char link[64];

	assert_int_equal(chmod(room->dir, 0750), 0);
	assert_false(listener_open(&other, room->dir, "box-00000002"));
	assert_int_equal(chmod(room->dir, 0701), 0);
	assert_false(listener_open(&other, room->dir, "box-00000002"));
	assert_int_equal(chmod(room->dir, 0700), 0);
	snprintf(link, sizeof(link), "%.*s-link",
		 (int)(strrchr(room->dir, '/') - room->dir), room->dir);
	assert_int_equal(symlink(room->dir, link), 0);
	assert_false(listener_open(&other, link, "box-00000002"));
	assert_int_equal(unlink(link), 0);
	assert_true(listener_open(&other, room->dir, "box-00000002"));
	listener_close(&other);
	listener_close(&room->listener);
}

/* ---- Channels ---- */

/* Whoever is no agent and comes first: what it does, and then it stays until it sees the end. */
struct stranger {
	const struct room *room;
	const char *words;
};

static void *come_in(void *data)
{
	struct stranger *stranger = data;
	int fd = knock(stranger->room);
	char bytes[64];

	if (write(fd, stranger->words, strlen(stranger->words)) < 0)
		return NULL;
	while (*stranger->words && read(fd, bytes, sizeof(bytes)) > 0)
		;
	close(fd);
	return NULL;
}

/* The box waits for an answer in vain; it is ended. */
static void test_strangers_are_no_agents(void **state)
{
	struct room *room = *state;
	static char noise[FRAME_NOISE_MAX + FRAME_MAGIC_SIZE + 1];
	struct stranger strangers[] = {{room, ""}, {room, noise}};

	memset(noise, 'x', sizeof(noise) - 1);
	for (size_t i = 0; i < 2; i++) {
		_cleanup_plan_ struct plan plan = {0};
		struct hookbox_error error = {0};
		struct channel *channel = NULL;
		struct process_fate end;
		const struct channel_start start = {
			.plan = &plan, .listener = &room->listener, .cancel_fd = -1, .end = &end,
			.deadline_us = clock_deadline_us(20000),
		};
		pthread_t thread;

		strv_add(&plan.argv, "sh");
		strv_add(&plan.argv, "-c");
		strv_add(&plan.argv, "sleep 3600");
		add_environment(&plan);
		if (i)
			assert_true(listener_open(&room->listener, room->dir, "box-00000001"));
		assert_int_equal(pthread_create(&thread, NULL, come_in, &strangers[i]), 0);
		assert_int_equal(channel_open(&start, &channel, &error), CHANNEL_NO_WAY);
		pthread_join(thread, NULL);
		assert_true(end.started && end.group_gone);
		assert_int_equal(room->listener.fd, -1);
		assert_int_equal(knock(room), -1);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_one_gets_in),
		TEST(test_nobody_came),
		TEST(test_there_can_be_none),
		TEST(test_the_directory_must_be_private),
		TEST(test_strangers_are_no_agents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
