/* SPDX-License-Identifier: MIT */
/*
 * smolbsd_ssh in parts. smolbsd_ssh.c: what is planned, pure. smolbsd_failure.c: telling ssh's
 * failures from the command's. smolbsd_vm.c: machines of our own, found and ended. smolbsd_boot.c:
 * booting them. smolbsd_probe.c: what doctor asks.
 */
#ifndef PLUGINS_SMOLBSD_H
#define PLUGINS_SMOLBSD_H

#include <sys/types.h>

#include "../common/backend.h"

struct smolbsd_ssh {
	/* How ssh gets in. */
	const char *host;
	uint64_t port;
	bool port_set;
	const char *user;
	const char *identity_file;
	const char *host_key;
	const char *known_hosts;
	const char *ssh_path;
	int64_t connect_timeout;
	int64_t boot_timeout;
	bool boot_timeout_set;
	struct sandbox_list extra_args;
	/* A virtual machine of our own. */
	const char *smolbsd_dir;
	const char *service;
	const char *image;
	const char *kernel;
	bool kernel_set;
	const char *startnb;
	bool startnb_set;
	uint64_t memory;
	bool memory_set;
	uint64_t cpus;
	bool cpus_set;

	const struct sandbox_host *table;
	char *known_hosts_path;		/* where keys that are trusted on first use are kept */
};

/* ---- Planning (smolbsd_ssh.c) ---- */

/* What host_key may be, beside a key. */
#define HOST_KEY_ACCEPT_NEW "accept-new"
#define HOST_KEY_STRICT "strict"

int smolbsd_plan(const void *instance, const struct sandbox_plan_request *request,
		 const struct sandbox_plan_sink *sink, char error[SANDBOX_ERROR_SIZE]);

/* ---- Failures (smolbsd_failure.c) ---- */

struct smolbsd_failure {
	uint32_t end;			/* SANDBOX_END_NOT_STARTED or _LOST */
	char what[640];			/* what went wrong ... */
	const char *advice;		/* ... and what to do */
	size_t tail;			/* that many last bytes of stderr said so */
};

/*
 * Did ssh itself fail? `said` are the last bytes of its stderr. False: these are no words of ssh's.
 */
bool smolbsd_explain(const char *said, size_t size, struct smolbsd_failure *failure);
void smolbsd_classify(const void *instance, const struct sandbox_process_end *end,
		      struct sandbox_verdict *verdict);

/* ---- Machines (smolbsd_vm.c), all [any, blocking] ---- */

/*
 * A machine of ours is known by its name, "hookbox-OWNER-PORT": it is the box's id, names its pid
 * file, and tells whose it is and where its ssh listens.
 */
#define SMOLBSD_NAME_PREFIX "hookbox-"
#define SMOLBSD_NAME_SIZE 128

/* 0: it is no such name. */
unsigned int smolbsd_vm_port(const char *name);
/* smolbsd_dir, to be closed; else negative errno, never -ENOENT, which would mean "no box". */
int smolbsd_open_directory(const struct smolbsd_ssh *ssh, char error[SANDBOX_ERROR_SIZE]);
/* The process that has the machine's pid file locked; 0: none has, -1: that cannot be told. */
pid_t smolbsd_lock_holder(int directory, const char *name);
/* Ends it, if it runs, and removes its files. */
int smolbsd_end_machine(int directory, const char *name, int64_t timeout_ms,
			char error[SANDBOX_ERROR_SIZE]);
void smolbsd_pause_ms(long ms);

int smolbsd_find(void *instance, const struct sandbox_box_request *request,
		 const struct sandbox_text_sink *id, char error[SANDBOX_ERROR_SIZE]);
int smolbsd_stop(void *instance, const struct sandbox_box_request *request, const char *box_id,
		 char error[SANDBOX_ERROR_SIZE]);
int smolbsd_list(void *instance, const struct sandbox_box_request *request,
		 const struct sandbox_box_list_sink *sink, char error[SANDBOX_ERROR_SIZE]);

/* ---- Booting (smolbsd_boot.c), [any, blocking] ---- */

int smolbsd_start(void *instance, const struct sandbox_box_request *request,
		  const struct sandbox_text_sink *id, char error[SANDBOX_ERROR_SIZE]);
/* Logs in once, as a call would. 0; -EAGAIN: no answer yet; else negative errno. Error filled. */
int smolbsd_log_in(const struct smolbsd_ssh *ssh, const char *box_id, int64_t timeout_ms,
		   char error[SANDBOX_ERROR_SIZE]);

/* smolbsd_probe.c */
void smolbsd_probe(void *instance, int64_t timeout_ms, const struct sandbox_probe_sink *sink);

#endif
