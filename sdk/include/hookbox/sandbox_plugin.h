/* SPDX-License-Identifier: MIT */
/*
 * hookbox/sandbox_plugin.h - what the author of a sandbox backend needs, and nothing else.
 *
 * A backend is one shared object that exports one symbol:
 *
 *	SANDBOX_PLUGIN_EXPORT const struct sandbox_plugin_v1 sandbox_plugin_v1 = { ... };
 *
 * It does not start, wait for, read from or kill processes. It says which argv runs a command in
 * its kind of box (plan), how that argv's own failures look (classify) and which command ends what
 * is left of a call (plan_end). The host does the rest: pipes, deadlines, output limits, killing.
 *
 * Versions. The symbol's name is the major version. A minor version only appends fields to structs,
 * and every struct that crosses the boundary starts with its size: the host copies
 * min(size, its own size) bytes into a zeroed struct, and so does whoever reads a struct of the
 * host's. A field beyond the size is absent, which means the same as zero. Set the size with
 * sizeof, and never read a host struct's field that lies beyond its size.
 *
 * Memory. Nobody frees another's memory. What is passed in is lent until the function returns,
 * except where a comment says longer. Results go through a copying sink. An error is one sentence
 * in the caller's buffer that says what failed, where, and what to do; it needs no newline.
 *
 * Threads. Each function has one of these tags:
 *	[once]		called once, by one thread, before anything else may run
 *	[any, pure]	called by any thread, by many at the same time, with the same instance;
 *			must not block, start processes, or change the instance
 *	[any, blocking]	called by any thread, by many at the same time; may block and use
 *			host->run()
 * A plugin may not change signal handlers, the signal mask, the working directory, the environment
 * or the umask of the process, and must not leave threads or descriptors behind.
 *
 * Loading. The host opens the file with RTLD_NOW | RTLD_LOCAL and never unloads it. A plugin links
 * nothing of the host and resolves no symbol from it: all it gets is the host table.
 *
 * Return values. Functions return 0, or a negative errno value with the error buffer filled.
 */
#ifndef HOOKBOX_SANDBOX_PLUGIN_H
#define HOOKBOX_SANDBOX_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
/* A const object of C++ is otherwise local to its file. */
#define SANDBOX_PLUGIN_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define SANDBOX_PLUGIN_EXPORT __attribute__((visibility("default")))
#endif

/* First field of the descriptor: "hbx1" read as a big-endian number. */
#define SANDBOX_PLUGIN_MAGIC 0x68627831u

/* Length of every error buffer that the host lends, terminating NUL included. */
#define SANDBOX_ERROR_SIZE 1024

/*
 * ---- What a backend is: the descriptor's flags ----
 *
 * Bits 0 to 31 are hints that an older host may ignore. Bits 32 to 63 must be understood: a host
 * that meets an unknown one there refuses the plugin. (There is none in this version.)
 */

/* Every plan starts a new box, which is gone when the call is over. May be pooled. */
#define SANDBOX_FRESH (UINT64_C(1) << 0)
/* Plans enter a box that exists before and after the call. May carry an agent channel. */
#define SANDBOX_KEPT (UINT64_C(1) << 1)
/* A plan can make host paths visible in the box (sandbox_plan_request.mounts). */
#define SANDBOX_MOUNTS (UINT64_C(1) << 2)
/* A one-off call cannot tell "killed by signal N" from "exited with 128 + N". */
#define SANDBOX_SIGNALS_AS_128N (UINT64_C(1) << 3)
/*
 * The planned argv starts in a box that usually has a POSIX sh, with the call's stdin, stdout and
 * stderr connected. The host then hands plan() an argv that runs its prologue script in that sh,
 * which brings environment, directory and arguments in byte for byte through stdin, and marks
 * where the command's output begins and ends. Such a request has no env and no cwd. The user can
 * turn it off for a box without sh (shell = none); env and cwd are then the plan's to pass on.
 */
#define SANDBOX_SHELL (UINT64_C(1) << 4)
/*
 * When the planned process has ended and been waited for, nothing of the box is left: bubblewrap
 * with its own pid namespace. Without plan_end, the host reports such calls' cleanup as proven.
 */
#define SANDBOX_ENDS_WITH_PROCESS (UINT64_C(1) << 5)
/*
 * The planned process is the command itself, or becomes it, as an ordinary process of the host: a
 * wrapper such as nice(1). Environment and directory of the plan are the command's own; what a
 * call leaves behind is looked for on the host.
 */
#define SANDBOX_HOST_PROCESS (UINT64_C(1) << 6)
/*
 * A plan can let its fresh box share the network of another one (sandbox_plan_request.network_of).
 * The user asks for it with network_keeper = yes: the other one, the keeper, is then planned like a
 * box of the pool, whose one call never comes.
 */
#define SANDBOX_SHARES_NETWORK (UINT64_C(1) << 7)
/*
 * One-off calls can share one connection into a box that stays (a trunk), for a CLI whose own takes
 * long. See sandbox_plan_request.trunk and sandbox_process_end.trunk. Only with SANDBOX_KEPT and
 * SANDBOX_SHELL. The host keeps the trunk's process while the sandbox is used, starts it anew when
 * it has ended, and has calls make a connection of their own where there is none or it is full.
 */
#define SANDBOX_TRUNK (UINT64_C(1) << 8)

/*
 * ---- Parameters ----
 *
 * A plugin lists its keys of a [sandbox] section; the host parses, checks and documents them, and
 * writes the values into the instance before open(). A text (string, path, item of a list) is never
 * empty and holds no control character. Keys that belong to the host (mode, env,
 * workdir, shell, timeout_ms, stdout_limit, stderr_limit, agent, agent_idle, pool, pool_max_age,
 * socket, multiplex, network_keeper) and keys beginning with "hookbox" are refused.
 */

enum sandbox_param_type {
	SANDBOX_BOOL = 1,	/* bool: yes/no, true/false, on/off, 1/0 */
	SANDBOX_UINT = 2,	/* uint64_t: decimal digits */
	SANDBOX_SIZE = 3,	/* uint64_t bytes: a number, or one with k, m, g, t (of 1024) */
	SANDBOX_DURATION = 4,	/* int64_t milliseconds: a number with ms, s, m or h; plain = ms */
	SANDBOX_STRING = 5,	/* const char *, NULL when unset */
	SANDBOX_PATH = 6,	/* const char *: a host path, made absolute against the config
				 * file */
	SANDBOX_PROGRAM = 7,	/* const char *: a bare name stays as it is and is searched in PATH,
				 * anything with a slash is a path as above */
	SANDBOX_LIST = 8,	/* struct sandbox_list of strings */
	SANDBOX_MOUNT_LIST = 9,	/* struct sandbox_mount_list: HOST[:BOX][:ro|:rw], HOST made
				 * absolute; without BOX the box has it at the same path; ro unless
				 * rw */
};

/*
 * Flags of a parameter. Bits 0 to 15 are hints that an older host may ignore; bits 16 to 31 must be
 * understood: a host that meets an unknown one there refuses the plugin.
 */

/* The key must be in the section. */
#define SANDBOX_PARAM_REQUIRED (1u << 0)
/* The value is never printed (config show, logs, errors). */
#define SANDBOX_PARAM_SECRET (1u << 1)
/*
 * The value may end up in an argv where a leading dash would make it an option: the host refuses
 * values that begin with one.
 */
#define SANDBOX_PARAM_WORD (1u << 2)

struct sandbox_param {
	const char *key;	/* [a-z][a-z0-9_]* */
	uint32_t type;		/* enum sandbox_param_type */
	uint32_t flags;		/* SANDBOX_PARAM_* */
	const char *dflt;	/* as it would be written in the config, paths absolute; NULL: none,
				 * the value stays zero */
	const char *help;	/* one line, no full stop */
	size_t offset;		/* of the value in the instance struct (offsetof) */
	size_t set_offset;	/* of a bool that is set when the config names the key; 0: none */
	const char *metavar;	/* what the value stands for in help texts; NULL: from the type */
};

/* What stands in instances and requests by value: these three never grow. */
struct sandbox_list {
	size_t n;
	const char *const *v;
};

struct sandbox_mount {
	const char *host_path;	/* absolute */
	const char *box_path;	/* absolute */
	bool read_only;
};

struct sandbox_mount_list {
	size_t n;
	const struct sandbox_mount *v;
};

/*
 * ---- Sinks: how results leave a plugin ----
 *
 * The host lends a sink for one function call. Everything is copied at once. After a failed add
 * (out of memory) further ones do nothing, and the host fails the call: a plugin need not check.
 */
struct sandbox_plan_sink {
	size_t size;
	void *host_data;
	/* Appends one argument to the argv to start. The first is the program: a bare name is
	 * searched in the host's PATH. */
	void (*arg)(const struct sandbox_plan_sink *sink, const char *arg);
	/* Sets (NAME=value) or removes (NAME) a variable in the environment of the process to
	 * start, which otherwise is the host's own. Never put a call's values into a CLI's
	 * environment. */
	void (*env)(const struct sandbox_plan_sink *sink, const char *assignment);
	/* Sets the working directory of the process to start. */
	void (*dir)(const struct sandbox_plan_sink *sink, const char *path);
	/* Appends bytes that go into the process's stdin before those of the request. */
	void (*before_stdin)(const struct sandbox_plan_sink *sink, const void *bytes, size_t n);
};

/* Takes one text, such as a box id. */
struct sandbox_text_sink {
	size_t size;
	void *host_data;
	void (*text)(const struct sandbox_text_sink *sink, const char *text);
};

/*
 * ---- plan ----
 */
enum sandbox_purpose {
	SANDBOX_PURPOSE_CALL = 1,	/* a one-off call: argv runs once with the call's stdin */
	SANDBOX_PURPOSE_CHANNEL = 2,	/* argv is an agent that carries many calls over its
					 * stdio */
	SANDBOX_PURPOSE_POOL = 3,	/* a fresh box whose agent waits for its one call */
	SANDBOX_PURPOSE_SHELL = 4,	/* an interactive shell for a person */
	SANDBOX_PURPOSE_TRUNK = 5,	/* argv keeps a trunk: it prints something when it runs, which
					 * must mean that calls may go through, and ends with its
					 * stdin, with which the process planned must end as well */
};

struct sandbox_plan_request {
	size_t size;
	uint32_t purpose;		/* enum sandbox_purpose */
	bool tty;			/* the command gets a terminal; only with PURPOSE_SHELL */
	const char *call_id;		/* unique, [0-9a-z-]{1,63}: safe in a container's name */
	const char *box_id;		/* from sandbox.box/1, or NULL */
	const char *const *argv;	/* what to run in the box; NULL-terminated, never empty */
	const char *const *env;		/* NAME=value for the command; NULL-terminated, never
					 * NULL */
	const char *cwd;		/* the command's directory in the box; NULL: the box's
					 * own */
	struct sandbox_mount_list mounts; /* to make visible; empty unless SANDBOX_MOUNTS */
	const char *const *labels;	/* KEY=value for what is created; NULL-terminated */
	const char *state_dir;		/* private directory (0700) of this host, or NULL */
	/*
	 * The call id of the box whose network this one is to share; NULL: it has its own. Only with
	 * SANDBOX_SHARES_NETWORK, and for one-off calls as well. The host also asks for such a plan
	 * when it opens the sandbox, so that settings which do not go together with it are refused.
	 */
	const char *network_of;
	/*
	 * PURPOSE_TRUNK: the path, in a private directory, of the socket to make; 17 bytes more fit
	 * into a socket's address. PURPOSE_CALL: go through the trunk there, or else start nothing;
	 * never make another connection. NULL: do that, as a host without trunks expects.
	 */
	const char *trunk;
};

/*
 * ---- classify ----
 */
enum sandbox_call_end {
	SANDBOX_END_COMMAND = 1,	/* the command ran; `signaled` and `status` are its own
					 * end */
	SANDBOX_END_NOT_STARTED = 2,	/* no command ran: `error_number` and `message` say why */
	SANDBOX_END_LOST = 3,		/* the way to the command broke; how it ended is not
					 * known */
};

/* How the planned process ended. */
struct sandbox_process_end {
	size_t size;
	bool signaled;			/* else it exited */
	int status;			/* exit code or signal number */
	const char *stdout_head;	/* the first bytes of its stdout, up to 4096; not
					 * terminated */
	size_t stdout_head_size;
	const char *stderr_tail;	/* the last bytes of its stderr, up to 4096; not
					 * terminated */
	size_t stderr_tail_size;
	uint64_t stdout_total;		/* bytes it wrote in all */
	uint64_t stderr_total;
	bool killed;			/* the host ended it (timeout, cancel, limit) */
	bool trunk;			/* it was planned to go through a trunk */
};

/*
 * What that means for the call. The host presets: END_COMMAND with the process's own end, nothing
 * dropped. It does not ask about a call whose marks are complete.
 */
struct sandbox_verdict {
	size_t size;
	uint32_t end;			/* enum sandbox_call_end */
	bool signaled;
	int status;			/* the command's exit code or signal number */
	int error_number;		/* NOT_STARTED: ENOENT (no such command), EACCES (not
					 * executable), or 0 when it was the backend that failed */
	bool drop_stdout;		/* stdout is the CLI's message, none of the command's */
	size_t drop_stderr_tail;	/* that many last bytes of stderr are the CLI's */
	char message[SANDBOX_ERROR_SIZE]; /* NOT_STARTED, LOST: one sentence that says what to do */
	bool trunk_unused;		/* NOT_STARTED: the trunk did not take it, and nothing of its
					 * stdin got anywhere; the host runs it anew without one */
};

/*
 * ---- plan_end ----
 */
enum sandbox_end_step {
	/* End whatever bears this call id. Its exit code does not matter: it may be gone
	 * already. */
	SANDBOX_END_KILL = 1,
	/* Print at least one byte on stdout for what is left, and exit 0. Nothing printed and exit
	 * 0 is the proof that nothing is left. */
	SANDBOX_END_CHECK = 2,
};

struct sandbox_end_request {
	size_t size;
	uint32_t step;			/* enum sandbox_end_step */
	const char *call_id;		/* the call to end */
	const char *box_id;		/* or NULL */
	const char *state_dir;		/* or NULL */
};

/*
 * ---- The host table ----
 */
enum sandbox_log_level {
	SANDBOX_LOG_ERROR = 1,
	SANDBOX_LOG_WARNING = 2,
	SANDBOX_LOG_INFO = 3,
	SANDBOX_LOG_DEBUG = 4,
};

struct sandbox_command {
	size_t size;
	const char *const *argv;	/* NULL-terminated; argv[0] is searched in PATH */
	const char *const *env;		/* NAME=value to set, NAME to remove; may be NULL */
	const char *cwd;		/* or NULL */
	const void *stdin_data;		/* or NULL: empty stdin */
	size_t stdin_size;
	int64_t timeout_ms;		/* must be positive */
	size_t output_limit;		/* bytes kept of each stream; 0: 64 KiB */
};

struct sandbox_command_result {
	size_t size;
	bool timed_out;			/* it was killed, with its process group */
	bool signaled;
	int status;			/* exit code or signal number */
	const char *out;		/* terminated by a NUL that out_size does not count */
	size_t out_size;
	const char *err;
	size_t err_size;
	void *host_data;		/* the host's; never touch */
};

struct sandbox_host {
	size_t size;
	void *host_data;
	/* [any, pure] One line for the operator. Never log a secret. */
	void (*log)(const struct sandbox_host *host, uint32_t level, const char *message);
	/*
	 * [any, blocking] Runs a command on the host and waits for it; only for functions tagged
	 * [any, blocking]. 0: it ran, and result is filled (whatever its exit code) until
	 * run_done(); else negative errno, with one sentence in error. -ECANCELED: the call for
	 * which a box is found or started was cancelled; end what was begun, and return. This
	 * is said once: commands that end it are run.
	 */
	int (*run)(const struct sandbox_host *host, const struct sandbox_command *command,
		   struct sandbox_command_result *result, char error[SANDBOX_ERROR_SIZE]);
	/* [any, pure] Releases what run() put into result. Harmless on a zeroed one. */
	void (*run_done)(const struct sandbox_host *host, struct sandbox_command_result *result);
	/*
	 * [any, pure] Writes `text` so that a POSIX sh reads it back as one word, byte for byte,
	 * into the sink: for transports that take one string (ssh). It is the host's one quoting
	 * function.
	 */
	void (*quote)(const struct sandbox_host *host, const char *text,
		      const struct sandbox_text_sink *sink);
	/* [any, pure] The name of the [sandbox] section this instance was made for. */
	const char *sandbox_name;
	/* [any, pure] More of the host, by id. NULL: this host does not have it. */
	const void *(*get_extension)(const struct sandbox_host *host, const char *id);
};

/*
 * ---- The descriptor ----
 */
struct sandbox_plugin_v1 {
	uint32_t magic;			/* SANDBOX_PLUGIN_MAGIC */
	uint32_t struct_size;		/* sizeof(struct sandbox_plugin_v1) */
	const char *name;		/* the mode: [a-z][a-z0-9_]{0,31}, the file's name without
					 * .so */
	const char *version;		/* of the plugin, for people */
	const char *summary;		/* one line */
	uint64_t flags;			/* SANDBOX_* */

	const struct sandbox_param *params; /* may be NULL */
	uint32_t n_params;
	uint32_t param_size;		/* sizeof(struct sandbox_param): the table's stride */

	/* Size of the instance; the host allocates it zeroed and aligned for any type, and fills in
	 * the parameters. Strings and lists in it live until close() has returned. */
	size_t instance_size;

	/*
	 * [once, per instance] Checks what the parameter types cannot, and keeps `host` if it
	 * likes: the table lives until close() has returned. Must not reach for the network or
	 * start anything: opening a configuration is quick and works offline. NULL: nothing to do.
	 */
	int (*open)(void *instance, const struct sandbox_host *host,
		    char error[SANDBOX_ERROR_SIZE]);
	/* [once, per instance] After the last call has ended. Not called when open() failed. */
	void (*close)(void *instance);
	/* [any, pure] Says what to start for a request. Required, unless sandbox.run/1 is there. */
	int (*plan)(const void *instance, const struct sandbox_plan_request *request,
		    const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE]);
	/* [any, pure] Judges how the planned process ended. NULL: its end is the call's end. */
	void (*classify)(const void *instance, const struct sandbox_process_end *end,
			 struct sandbox_verdict *verdict);
	/* [any, pure] Says which command takes a step of ending a call. NULL: none is needed. */
	int (*plan_end)(const void *instance, const struct sandbox_end_request *request,
			const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE]);
	/* [any, pure] The way to more: returns the struct of an extension below, or NULL. The
	 * struct is constant and lives as long as the plugin. NULL: no extension. */
	const void *(*get_extension)(const char *id);

	/*
	 * [any, pure] For a CLI that writes lines of its own into the stderr which the command's
	 * passes through. Finds the first in `text`, the bytes of stderr that have not been handed
	 * on yet: returns where it begins and sets *length, with which it is taken out. Returns n
	 * when there is none. A *length of 0 holds the rest back until more has come; what is
	 * still held when the stream ends is taken for the command's, unless classify() drops it.
	 * `pid` is the planned process, which leads a process group. NULL: it writes none.
	 */
	size_t (*find_own_line)(const void *instance, const char *text, size_t n, int64_t pid,
				size_t *length);
};

/*
 * ---- Extension sandbox.box/1: boxes that outlive a call ----
 */
#define SANDBOX_BOX_EXTENSION "sandbox.box/1"

struct sandbox_box_request {
	size_t size;
	const char *const *labels;	/* KEY=value for what is created; NULL-terminated */
	const char *state_dir;		/* private directory (0700) of this host, or NULL */
	int64_t timeout_ms;		/* how long it may take; positive */
	const char *session;		/* the session the box is for; NULL: the sandbox's own
					 * box */
	const char *not_box_id;		/* find: a box that did not answer, or NULL. Another one is
					 * to be given; or the same, when start() made it and it
					 * runs nevertheless. For -ENOENT the host starts one, or
					 * else asks once more without it */
};

/* Takes the boxes that list() finds. */
struct sandbox_box_list_sink {
	size_t size;
	void *host_data;
	/* `owner` is the value of the box's label hookbox.owner. */
	void (*box)(const struct sandbox_box_list_sink *sink, const char *box_id,
		    const char *owner);
};

struct sandbox_box_v1 {
	size_t size;
	/* [any, blocking] Finds the box to enter (a pod of a selector) and gives its id. -ENOENT:
	 * there is none, and start() may make one. NULL: there is nothing to find. */
	int (*find)(void *instance, const struct sandbox_box_request *request,
		    const struct sandbox_text_sink *id, char error[SANDBOX_ERROR_SIZE]);
	/* [any, blocking] Makes a box and returns when it can be entered. NULL: it cannot. */
	int (*start)(void *instance, const struct sandbox_box_request *request,
		     const struct sandbox_text_sink *id, char error[SANDBOX_ERROR_SIZE]);
	/* [any, blocking] Ends a box and all in it. Ending one that is gone succeeds. */
	int (*stop)(void *instance, const struct sandbox_box_request *request, const char *box_id,
		    char error[SANDBOX_ERROR_SIZE]);
	/* [any, blocking] Lists every box with a label hookbox.owner, whoever the owner is. It is
	 * how a host finds what a killed one left. NULL: nothing is created that could be left. */
	int (*list)(void *instance, const struct sandbox_box_request *request,
		    const struct sandbox_box_list_sink *sink, char error[SANDBOX_ERROR_SIZE]);
};

/*
 * ---- Extension sandbox.run/1: backends that are no command, such as a cloud API ----
 */
#define SANDBOX_RUN_EXTENSION "sandbox.run/1"

struct sandbox_run_io {
	size_t size;
	void *host_data;
	/* Next bytes of stdin into `buffer`: count, 0 at the end, negative errno. May block. */
	ptrdiff_t (*read_stdin)(const struct sandbox_run_io *io, void *buffer, size_t n);
	/* Hands on output (stream 1 or 2). Nonzero: end the call, its output is over the limit. */
	int (*write_output)(const struct sandbox_run_io *io, int stream, const void *bytes,
			    size_t n);
	/* A descriptor that becomes readable when the call must end (cancel, deadline). Not to
	 * read. */
	int cancel_fd;
};

struct sandbox_run_result {
	size_t size;
	bool proven;			/* nothing of the call is left, for certain */
	/* How the command ended; when cancel_fd told it to: LOST, which the host presets. It has
	 * its own size and stays the last field, so that what a later version adds to it moves
	 * nothing. */
	struct sandbox_verdict verdict;
};

struct sandbox_run_v1 {
	size_t size;
	/* [any, blocking] Runs a call. Returns soon after cancel_fd is readable, with nothing of
	 * the call left. 0 with *result filled, or negative errno: nothing was started. */
	int (*run)(void *instance, const struct sandbox_plan_request *request,
		   const struct sandbox_run_io *io, struct sandbox_run_result *result,
		   char error[SANDBOX_ERROR_SIZE]);
};

/*
 * ---- Extension sandbox.probe/1: what `hookbox doctor` asks ----
 */
#define SANDBOX_PROBE_EXTENSION "sandbox.probe/1"

enum sandbox_probe_status {
	SANDBOX_PROBE_OK = 1,
	SANDBOX_PROBE_WARNING = 2,
	SANDBOX_PROBE_FAILED = 3,
};

struct sandbox_probe_sink {
	size_t size;
	void *host_data;
	/* One finding: what was looked at and found; for a failure also what to do (else NULL). */
	void (*finding)(const struct sandbox_probe_sink *sink, uint32_t status, const char *what,
			const char *remedy);
};

struct sandbox_probe_v1 {
	size_t size;
	/* [any, blocking] Looks at everything a call would need, in that order, within
	 * timeout_ms. */
	void (*probe)(void *instance, int64_t timeout_ms, const struct sandbox_probe_sink *sink);
};

#ifdef __cplusplus
}
#endif

#endif
