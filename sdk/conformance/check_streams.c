/* SPDX-License-Identifier: MIT */
/* stdin, stdout and stderr: byte for byte, whatever the size and the way. */
#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void echo_bytes(struct kit *kit, size_t n)
{
	_cleanup_free_ char *bytes = kit_bytes(n, 7);
	struct hookbox_call call = {.stdin_data = bytes, .stdin_size = n, .stdout_limit = 16 << 20};
	_cleanup_result_ struct hookbox_result *result = KIT_CALL(kit, call, "cat");

	kit_said(kit, result, bytes, n);
}

static void stdin_empty(struct kit *kit)
{
	echo_bytes(kit, 0);
}

static void stdin_one_byte(struct kit *kit)
{
	echo_bytes(kit, 1);
}

static void stdin_64_kib(struct kit *kit)
{
	echo_bytes(kit, 65536);
}

static void stdin_10_mib(struct kit *kit)
{
	echo_bytes(kit, 10 << 20);
}

static void stdin_every_byte(struct kit *kit)
{
	char bytes[512];
	struct hookbox_call call = {.stdin_data = bytes, .stdin_size = sizeof(bytes)};
	_cleanup_result_ struct hookbox_result *result = NULL;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	result = KIT_CALL(kit, call, "cat");
	kit_said(kit, result, bytes, sizeof(bytes));
}

static void stdin_from_descriptor(struct kit *kit)
{
	_cleanup_close_ int fd = memfd_create("stdin", MFD_CLOEXEC);
	_cleanup_free_ char *bytes = kit_bytes(300000, 3);
	struct hookbox_call call = {.use_stdin_fd = true, .stdin_fd = fd};
	_cleanup_result_ struct hookbox_result *result = NULL;

	EXPECT(kit, fd >= 0 && write(fd, bytes, 300000) == 300000 && !lseek(fd, 0, SEEK_SET),
	       "no memory file could be made");
	result = KIT_CALL(kit, call, "cat");
	kit_said(kit, result, bytes, 300000);
}

static void stdin_unread(struct kit *kit)
{
	_cleanup_free_ char *bytes = kit_bytes(10 << 20, 5);
	struct hookbox_call call = {.stdin_data = bytes, .stdin_size = 10 << 20};
	_cleanup_result_ struct hookbox_result *result = KIT_CALL(kit, call, "true");

	kit_exited(kit, result, 0);
}

static void stdin_stays_open(struct kit *kit)
{
	struct hookbox_call call = {.use_stdin_fd = true,
				    .timeout_ms = 5000 + 4 * kit->patience_ms};
	_cleanup_result_ struct hookbox_result *result = NULL;
	int fds[2];

	EXPECT(kit, !pipe2(fds, O_CLOEXEC), "no pipe could be made");
	call.stdin_fd = fds[0];
	result = KIT_CALL(kit, call, "echo", "done");
	close(fds[0]);
	close(fds[1]);
	kit_said(kit, result, "done\n", 5);
}

static void streams_apart(struct kit *kit)
{
	static const char script[] =
		"i=0; while [ $i -lt 2000 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done";
	_cleanup_result_ struct hookbox_result *result = KIT_CALL(kit, PLAIN, "sh", "-c", script);
	_cleanup_buf_ struct buf out = {0}, err = {0};

	for (int i = 0; i < 2000; i++) {
		buf_printf(&out, "out%d\n", i);
		buf_printf(&err, "err%d\n", i);
	}
	if (!kit_said(kit, result, out.data, out.size))
		return;
	EXPECT(kit, result->err_size == err.size && !memcmp(result->err, err.data, err.size),
	       "stderr has %zu bytes instead of %zu, or other ones", result->err_size, err.size);
}

/* Each is more than a pipe holds: who reads one to its end first waits for ever. */
static void streams_large(struct kit *kit)
{
	static const char script[] =
		"x=0123456789abcdef; while [ ${#x} -lt 262144 ]; do x=$x$x; done; "
		"printf %s \"$x\" >&2 & printf %s \"$x\"; wait";
	_cleanup_result_ struct hookbox_result *result = KIT_CALL(kit, PLAIN, "sh", "-c", script);
	_cleanup_buf_ struct buf expected = {0};

	while (expected.size < 262144)
		buf_add_string(&expected, "0123456789abcdef");
	if (kit_said(kit, result, expected.data, expected.size))
		EXPECT(kit,
		       result->err_size == expected.size &&
			       !memcmp(result->err, expected.data, expected.size),
		       "stderr has %zu bytes instead of %zu, or other ones", result->err_size,
		       expected.size);
}

static void streams_without_newline(struct kit *kit)
{
	_cleanup_result_ struct hookbox_result *result =
		KIT_CALL(kit, PLAIN, "sh", "-c", "printf 'no end'; printf ' of line' >&2");

	if (kit_said(kit, result, "no end", 6))
		EXPECT(kit, !strcmp(result->err, " of line"), "stderr is \"%.40s\"", result->err);
}

static void output_total(struct kit *kit)
{
	_cleanup_free_ char *bytes = kit_bytes(70000, 9);
	struct hookbox_call call = {.stdin_data = bytes, .stdin_size = 70000};
	_cleanup_result_ struct hookbox_result *result = KIT_CALL(kit, call, "cat");

	if (kit_exited(kit, result, 0))
		EXPECT(kit,
		       result->out_total == 70000 && !result->out_dropped && !result->err_total &&
			       !result->truncated,
		       "totals are %llu and %llu, dropped %llu",
		       (unsigned long long)result->out_total, (unsigned long long)result->err_total,
		       (unsigned long long)result->out_dropped);
}

static int sink_add(void *data, int stream, const void *bytes, size_t n)
{
	struct buf *streams = data;

	buf_add(&streams[stream - 1], bytes, n);
	return 0;
}

static void stream_to_sink(struct kit *kit)
{
	_cleanup_free_ char *bytes = kit_bytes(500000, 11);
	struct buf streams[2] = {{0}};
	struct hookbox_call call = {
		.stdin_data = bytes, .stdin_size = 500000, .sink = sink_add, .sink_data = streams};
	_cleanup_result_ struct hookbox_result *result =
		KIT_CALL(kit, call, "sh", "-c", "cat; echo told >&2");

	if (kit_exited(kit, result, 0) &&
	    (streams[0].size != 500000 || memcmp(streams[0].data, bytes, 500000) ||
	     !streams[1].data || strcmp(streams[1].data, "told\n")))
		kit_fail(kit, "the sink got %zu and %zu bytes, or other ones", streams[0].size,
			 streams[1].size);
	buf_free(&streams[0]);
	buf_free(&streams[1]);
}

struct pipe_reader {
	int fd;
	struct buf got;
};

static void *read_slowly(void *data)
{
	struct pipe_reader *reader = data;
	char bytes[30000];
	ssize_t n;

	while ((n = read(reader->fd, bytes, sizeof(bytes))) > 0) {
		buf_add(&reader->got, bytes, (size_t)n);
		usleep(1000);
	}
	return NULL;
}

static void stream_to_descriptor(struct kit *kit)
{
	_cleanup_free_ char *bytes = kit_bytes(1 << 20, 13);
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct hookbox_call call = {.stdin_data = bytes, .stdin_size = 1 << 20};
	_cleanup_result_ struct hookbox_result *result = NULL;
	struct pipe_reader reader = {0};
	pthread_t thread;
	int fds[2];

	EXPECT(kit, !pipe2(fds, O_CLOEXEC), "no pipe could be made");
	reader.fd = fds[0];
	if (pthread_create(&thread, NULL, read_slowly, &reader)) {
		close(fds[0]);
		close(fds[1]);
		kit_fail(kit, "no thread could be made");
		return;
	}
	call.use_output_fds = true;
	call.stdout_fd = fds[1];
	call.stderr_fd = null;
	result = KIT_CALL(kit, call, "cat");
	close(fds[1]);
	pthread_join(thread, NULL);
	close(fds[0]);
	if (kit_exited(kit, result, 0) &&
	    (reader.got.size != 1 << 20 || memcmp(reader.got.data, bytes, 1 << 20)))
		kit_fail(kit, "the reader got %zu bytes, or other ones", reader.got.size);
	buf_free(&reader.got);
}

struct leaver {
	struct kit *kit;
	int fds[2];
};

/* Nothing was read of a full pipe, and the command has long ended. */
static void *leave(void *data)
{
	struct leaver *leaver = data;

	usleep((useconds_t)leaver->kit->patience_ms * 2000);
	close(leaver->fds[0]);
	return NULL;
}

static bool fill_pipe(int fds[2])
{
	char bytes[4096] = "";

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return false;
	while (write(fds[1], bytes, sizeof(bytes)) > 0)
		;
	return errno == EAGAIN;
}

/* What is lost must not look like a clean end. */
static void reader_leaves(struct kit *kit)
{
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct hookbox_call call = {.use_output_fds = true, .stderr_fd = null};
	_cleanup_result_ struct hookbox_result *result = NULL;
	struct leaver leaver = {.kit = kit};
	pthread_t thread;

	EXPECT(kit, fill_pipe(leaver.fds), "no pipe could be made and filled");
	if (pthread_create(&thread, NULL, leave, &leaver)) {
		close(leaver.fds[0]);
		close(leaver.fds[1]);
		kit_fail(kit, "no thread could be made");
		return;
	}
	call.stdout_fd = leaver.fds[1];
	result = KIT_CALL(kit, call, "sh", "-c", "echo all that there is");
	pthread_join(thread, NULL);
	close(leaver.fds[1]);
	if (result)
		EXPECT(kit, result->end == HOOKBOX_CANCELLED, "it ended as \"%s\"",
		       hookbox_end_name(result->end));
}

const struct kit_check kit_stream_checks[] = {
	{"an empty stdin reaches the command", stdin_empty},
	{"one byte of stdin reaches the command", stdin_one_byte},
	{"64 KiB of stdin come back byte for byte", stdin_64_kib},
	{"10 MiB of stdin come back byte for byte", stdin_10_mib},
	{"all 256 byte values come back", stdin_every_byte},
	{"stdin is read from a descriptor", stdin_from_descriptor},
	{"a command may exit without reading stdin", stdin_unread},
	{"a command may exit while its stdin stays open", stdin_stays_open},
	{"stdout and stderr are apart and whole", streams_apart},
	{"stdout and stderr may both be large at once", streams_large},
	{"output needs no newline at its end", streams_without_newline},
	{"output is counted", output_total},
	{"output goes to a sink as it comes", stream_to_sink},
	{"output goes to descriptors as it comes, to slow readers too", stream_to_descriptor},
	{"a reader that leaves before it has all of the output ends the call", reader_leaves},
	{0},
};
