/* SPDX-License-Identifier: MIT */
#include "prologue.h"

#include <string.h>

#include "spawn.h"

/*
 * Everything here must work in busybox sh, dash and bash, with nothing but builtins and grep, and
 * start nothing else as long as the command leaves nothing behind: in a small box each process
 * costs more than all the rest. Its variables begin with PROLOGUE_PREFIX, so that it disturbs none
 * that the box exports.
 *
 * _hb_c: the time in 1/100 s, and the last pid that the kernel gave; fails where that is not known.
 */
#define CLOCK_FUNCTION                                                                            \
	"_hb_c() {\n"                                                                             \
	"[ -e /proc/self/ns ] && read -r _hb_u _hb_x </proc/uptime &&\n"                          \
	"read -r _hb_x _hb_x _hb_x _hb_x _hb_a </proc/loadavg || return 1\n"                      \
	"_hb_u=1${_hb_u%.*}${_hb_u#*.}\n"                                                         \
	"[ \"$_hb_u\" -gt 0 ] && [ \"$_hb_a\" -gt 0 ]\n"                                          \
	"}\n"

/*
 * _hb_g: the processes that may have begun with the command or after it, in _hb_p. Of those that
 * were there before it, _hb_b has the names, if a name still means the same process: pids are given
 * in a circle of 32768 or more, so none was given anew if the last one is no lower than before, and
 * no more than 0.25 s have gone by, in which no machine gets around. Where that is not certain, or
 * comparing would take longer than looking, it is all of them, from then on.
 */
#define PROCESSES_FUNCTION                                                                        \
	"_hb_g() {\n"                                                                             \
	"set -- /proc/[0-9]*\n"                                                                   \
	"[ \"$_hb_b\" ] && [ $# -le 256 ] && _hb_c && [ $_hb_a -ge $_hb_o ] &&\n"                 \
	"[ $((_hb_u-_hb_v)) -le 25 ] || _hb_b=\n"                                                 \
	"_hb_p=\n"                                                                                \
	"[ \"$_hb_b\" != \" $* \" ] || return 0\n"                                                \
	"for _hb_q; do\n"                                                                         \
	"case $_hb_b in *\" $_hb_q \"*) ;; *) _hb_p=\"$_hb_p $_hb_q/environ\" ;; esac\n"          \
	"done\n"                                                                                  \
	"}\n"

/* In /proc/PID/stat: its environment, which is there, is of no bytes (env_start and env_end). */
#define NO_ENVIRONMENT "^[0-9]* (.*) [A-Z]\\( [0-9-]*\\)\\{46\\} \\([1-9][0-9]*\\) \\2 "

/*
 * _hb_k MARK: kills whatever bears a mark beginning with MARK, until a look finds none. In the middle
 * of execve() a process has a program and shows no environment: it is looked at until it does, and
 * then all are once more, for what passed through that between two looks. Dead ones and the kernel's
 * have no program.
 */
#define SWEEP_FUNCTION                                                                            \
	CLOCK_FUNCTION                                                                            \
	PROCESSES_FUNCTION                                                                        \
	"_hb_k() {\n"                                                                             \
	"_hb_p=unknown\n"                                                                         \
	"[ -r /proc/self/environ ] || return 2\n"                                                 \
	"_hb_j=0 _hb_e=\n"                                                                        \
	"while [ $_hb_j -lt 100 ]; do\n"                                                          \
	"_hb_j=$((_hb_j+1))\n"                                                                    \
	"_hb_g\n"                                                                                 \
	"[ \"$_hb_p\" ] || return 0\n"                                                            \
	"command -v grep >/dev/null || return 2\n"                                                \
	"_hb_l=$(grep -l \"" SPAWN_MARK "=$1\" $_hb_p 2>/dev/null)\n"                              \
	"for _hb_q in $_hb_l; do\n"                                                               \
	"_hb_q=${_hb_q#/proc/}\n"                                                                 \
	"kill -9 ${_hb_q%/environ}\n"                                                             \
	"done\n"                                                                                  \
	"[ \"$_hb_l\" ] && _hb_e= && continue\n"                                                  \
	"[ \"$_hb_e\" ] && return 0\n"                                                            \
	"_hb_e=1\n"                                                                               \
	"for _hb_q in $(grep -L '' $_hb_p 2>/dev/null); do\n"                                     \
	"_hb_q=${_hb_q%environ}\n"                                                                \
	"[ -e ${_hb_q}exe ] && ! grep -q '" NO_ENVIRONMENT "' ${_hb_q}stat && _hb_e=\n"           \
	"done\n"                                                                                  \
	"done\n"                                                                                  \
	"return 1\n"                                                                              \
	"}\n"

/*
 * _hb_h, after _hb_k: kills the strangers that hold our stdout as theirs: they have left the call's
 * environment behind, but would keep its output open. Only descriptors 1 and 2 count: the other end
 * of the same pipe belongs to whoever carries the output. The shell that started us waits for us.
 */
#define HOLDERS_FUNCTION                                                                          \
	"_hb_h() {\n"                                                                             \
	"[ \"$_hb_p\" ] && [ -p /proc/$$/fd/1 ] || return 0\n"                                    \
	"_hb_g\n"                                                                                 \
	"for _hb_q in $_hb_p; do\n"                                                               \
	"_hb_q=${_hb_q%/environ}\n"                                                               \
	"case ${_hb_q#/proc/} in $$|$PPID) continue ;; esac\n"                                    \
	"for _hb_l in $_hb_q/fd/1 $_hb_q/fd/2; do\n"                                              \
	"[ $_hb_l -ef /proc/$$/fd/1 ] || [ $_hb_l -ef /proc/$$/fd/4 ] || continue\n"              \
	"kill -9 ${_hb_q#/proc/}\n"                                                               \
	"break\n"                                                                                 \
	"done\n"                                                                                  \
	"done\n"                                                                                  \
	"}\n"

/*
 * The header is "NONCE CALL-ID sweep|-". The subshell reads on from there and becomes the command;
 * the shell around it stays to say how it ended. A trap tells a failed exec from a command that
 * exits with 126 or 127: a successful exec never runs it.
 */
static const char prologue_script[] =
	"exec 4>&2 2>/dev/null\n"
	"IFS=' ' read -r _hb_n _hb_i _hb_s || exit 125\n"
	"_hb_m() { printf '\\036%s %s\\n' \"$_hb_n\" \"$1\"; }\n"
	SWEEP_FUNCTION
	HOLDERS_FUNCTION
	"_hb_m start\n"
	"_hb_m start >&4\n"
	"_hb_b=\n"
	"case $_hb_s in sweep)\n"
	"_hb_c && _hb_v=$_hb_u _hb_o=$_hb_a && set -- /proc/[0-9]* && _hb_b=\" $* \" ;;\n"
	"esac\n"
	"(\n"
	"exec 2>&4\n"
	"_hb_f() { trap - EXIT; _hb_m \"failed $1\" >&2; exit 127; }\n"
	"trap '_hb_f setup' EXIT\n"
	"_hb_t() {\n"
	"[ -e \"$1\" ] || return 2\n"
	"[ ! -d \"$1\" ] && [ -x \"$1\" ] || return 13\n"
	"}\n"
	"_hb_w() {\n"
	"case $1 in */*) _hb_t \"$1\"; return ;; esac\n"
	"_hb_r=2 _hb_q=${PATH-/usr/local/bin:/usr/bin:/bin}:\n"
	"while [ \"$_hb_q\" ]; do\n"
	"_hb_d=${_hb_q%%:*} _hb_q=${_hb_q#*:}\n"
	"_hb_t \"${_hb_d:-.}/$1\" && return; [ \"$?\" = 2 ] || _hb_r=13\n"
	"done\n"
	"return $_hb_r\n"
	"}\n"
	"_hb_z='\n'\n"
	"_hb_o=\n"
	"while IFS= read -r _hb_l; do\n"
	"case $_hb_l in .) _hb_o=1; break ;; esac\n"
	"eval \"$_hb_l\"\n"
	"done\n"
	"[ \"$_hb_o\" ] || _hb_f input\n"
	"export " SPAWN_MARK "=\"$_hb_i\"\n"
	"_hb_w \"$1\" || _hb_f \"command $?\"\n"
	"trap '_hb_f exec' EXIT\n"
	"exec 4>&-\n"
	"exec \"$@\"\n"
	")\n"
	"_hb_r=$?\n"
	"_hb_w=-\n"
	"case $_hb_s in sweep) _hb_k \"$_hb_i\"; _hb_w=$?; _hb_h ;; esac\n"
	"_hb_m \"end $_hb_r $_hb_w\"\n"
	"_hb_m \"end $_hb_r $_hb_w\" >&4\n";

/*
 * An agent that somebody stopped does not see that its channel has ended. It is none of the call's
 * and not ours to kill; it ends by itself when it goes on, with all it started.
 */
static const char sweep_script[] = SWEEP_FUNCTION
	"for _hb_l in $(grep -l ^hookbox-agent /proc/[0-9]*/comm 2>/dev/null); do\n"
	"_hb_q=${_hb_l#/proc/}\n"
	"kill -CONT ${_hb_q%/comm} 2>/dev/null\n"
	"done\n"
	"_hb_b=\n"
	"_hb_k \"$1\" 2>/dev/null\n"
	"echo " SWEEP_WORD "$?\n";

/* What makes a newline within the prologue's single lines. */
#define LINE_NEWLINE "'\"$_hb_z\"'"

void quote_add(struct buf *buf, const char *text, const char *newline)
{
	buf_add_char(buf, '\'');
	while (*text) {
		size_t plain = strcspn(text, "'\n");

		buf_add(buf, text, plain);
		text += plain;
		if (*text == '\'')
			buf_add_string(buf, "'\\''");
		else if (*text == '\n')
			buf_add_string(buf, newline);
		text += *text != '\0';
	}
	buf_add_char(buf, '\'');
}

const char *const *prologue_argv(void)
{
	static const char *const argv[] = {"sh", "-c", prologue_script, "hookbox", NULL};

	return argv;
}

void prologue_build(struct buf *buf, const char *nonce, const char *call_id, bool sweep,
		    const char *const *argv, const char *const *env, const char *cwd)
{
	buf_printf(buf, "%s %s %s\n", nonce, call_id, sweep ? "sweep" : "-");
	if (cwd) {
		buf_add_string(buf, "CDPATH= cd ");
		quote_add(buf, cwd, LINE_NEWLINE);
		/* 2: no such directory; 20: no directory; 13: there, but not to be entered. */
		buf_add_string(buf, " 2>/dev/null || { _hb_d=");
		quote_add(buf, cwd, LINE_NEWLINE);
		buf_add_string(buf,
			       "; [ -e \"$_hb_d\" ] || _hb_f 'workdir 2'; "
			       "[ -d \"$_hb_d\" ] || _hb_f 'workdir 20'; _hb_f 'workdir 13'; }\n");
	}
	for (; *env; env++) {
		size_t name = strcspn(*env, "=");

		buf_add_string(buf, "export ");
		buf_add(buf, *env, name + 1);
		quote_add(buf, *env + name + 1, LINE_NEWLINE);
		/* bash complains about locales it does not have. */
		buf_add_string(buf, " 2>/dev/null\n");
	}
	buf_add_string(buf, "set --");
	for (; *argv; argv++) {
		buf_add_char(buf, ' ');
		quote_add(buf, *argv, LINE_NEWLINE);
	}
	buf_add_string(buf, "\n.\n");
}

void sweep_argv(struct strv *argv, const char *mark)
{
	strv_add(argv, "sh");
	strv_add(argv, "-c");
	strv_add(argv, sweep_script);
	strv_add(argv, "hookbox");
	strv_add(argv, mark);
}
