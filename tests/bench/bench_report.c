/* SPDX-License-Identifier: MIT */
/* The results, as they come, as a table; and all of them as JSON, which figures.py describes. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define FORMAT 1

static struct {
	json_t *root, *subjects, *rows, *skipped;
	const char *subject;
} report;

/* ---- A row, as people read it ---- */

static void print_value(double value, const char *unit)
{
	char text[32];

	if (strcmp(unit, "us"))
		snprintf(text, sizeof(text), "%.*f %s", value < 10 ? 2 : value < 1000, value, unit);
	else if (value < 10000)
		snprintf(text, sizeof(text), "%.0f us", value);
	else
		snprintf(text, sizeof(text), "%.1f ms", value / 1000);
	printf(" %14s", text);
}

static double row_ratio(const struct row *row)
{
	return row->base ? row->value / row->base_value : 0;
}

static bool row_is_met(const struct row *row)
{
	double value = row->base ? row_ratio(row) : row->value;

	return row->at_least ? value >= row->bar : value <= row->bar;
}

static void print_row(const struct row *row)
{
	char base[64] = "", bar[48] = "";

	printf("%-38s", row->title);
	print_value(row->value, row->unit);
	if (row->p99) {
		print_value(row->p90, row->unit);
		print_value(row->p99, row->unit);
	} else {
		printf(" %14s %14s", "", "");
	}
	if (row->base)
		snprintf(base, sizeof(base), "%.3g x %s", row_ratio(row), row->base);
	if (row->bar)
		snprintf(bar, sizeof(bar), "%s %g%s%s: %s", row->at_least ? ">=" : "<=", row->bar,
			 row->base ? "" : " ", row->base ? "" : row->unit,
			 row_is_met(row) ? "met" : "NOT MET");
	printf("  %-32s %s\n", base, bar);
	fflush(stdout);
}

/* ---- The same for machines ---- */

static void set(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value))
		fail("the report", strerror(ENOMEM));
}

/* Four digits are more than any of this is worth. */
static json_t *rounded(double value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.4g", value);
	return json_real(atof(text));
}

static void keep_row(const struct row *row)
{
	json_t *object = json_object();

	set(object, "subject", json_string(report.subject));
	set(object, "id", json_string(row->id));
	set(object, "title", json_string(row->title));
	set(object, "unit", json_string(row->unit));
	set(object, "samples", json_integer((json_int_t)row->n));
	set(object, "value", rounded(row->value));
	if (row->p99) {
		set(object, "p90", rounded(row->p90));
		set(object, "p99", rounded(row->p99));
	}
	if (row->base) {
		set(object, "base", json_string(row->base));
		set(object, "base_value", rounded(row->base_value));
		set(object, "ratio", rounded(row_ratio(row)));
	}
	if (row->floor)
		set(object, "floor", rounded(row->floor));
	if (row->bar) {
		set(object, row->at_least ? "at_least" : "at_most", json_real(row->bar));
		set(object, "met", json_boolean(row_is_met(row)));
	}
	if (row->line) {
		set(object, "line", json_string(row->line));
		set(object, "x", json_real(row->x));
	}
	json_array_append_new(report.rows, object);
}

/* What the first line of that name in a file of /proc says. */
static json_t *proc_line(const char *path, const char *name)
{
	char line[256], *value = NULL;
	FILE *file = fopen(path, "re");

	while (file && !value && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, name, strlen(name)) && (value = strchr(line, ':')))
			value += 1 + strspn(value + 1, " \t");
	}
	if (file)
		fclose(file);
	return json_string(value ? value : "unknown");
}

/* What the figures depend on, and nothing that tells one machine of a kind from another. */
static void describe_run(void)
{
	time_t now = time(NULL);
	char date[32];
	struct utsname system;
	double load[1];

	uname(&system);
	/* Not who built it. */
	system.release[strspn(system.release, "0123456789.")] = '\0';
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	set(report.root, "format", json_integer(FORMAT));
	set(report.root, "hookbox", json_string(hookbox_version()));
	set(report.root, "date", json_string(date));
	set(report.root, "cpu", proc_line("/proc/cpuinfo", "model name"));
	set(report.root, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	set(report.root, "memory", proc_line("/proc/meminfo", "MemTotal"));
	set(report.root, "kernel", json_string(system.release));
	set(report.root, "load_before", rounded(getloadavg(load, 1) == 1 ? load[0] : 0));
	set(report.root, "runs", json_integer(options.runs));
}

/* ---- The whole ---- */

void report_begin(void)
{
	report.root = json_object();
	report.subjects = json_object();
	report.rows = json_array();
	report.skipped = json_array();
	if (!report.root || !report.subjects || !report.rows || !report.skipped)
		fail("the report", strerror(ENOMEM));
	describe_run();
	set(report.root, "subjects", report.subjects);
	set(report.root, "rows", report.rows);
	set(report.root, "skipped", report.skipped);
}

void report_subject(const char *name, const char *title)
{
	report.subject = name;
	set(report.subjects, name, json_string(title));
	printf("\n%s\n%-38s %14s %14s %14s  %-32s %s\n", title, "", "median", "p90", "p99",
	       "compared to", "bar");
	fflush(stdout);
}

void report_row(const struct row *row)
{
	print_row(row);
	keep_row(row);
}

void report_skip(const char *id, const char *why)
{
	json_t *object = json_object();

	printf("%-38s left out: %s\n", id, why);
	set(object, "subject", json_string(report.subject));
	set(object, "id", json_string(id));
	set(object, "why", json_string(why));
	json_array_append_new(report.skipped, object);
}

void report_progress(const char *what, int turn, int turns)
{
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r%-60.60s %2d/%-2d", what, turn, turns);
	if (turn == turns)
		fprintf(stderr, "\r%-70s\r", "");
}

void report_end(void)
{
	const size_t how = JSON_INDENT(2) | JSON_REAL_PRECISION(6);

	if (options.json && json_dump_file(report.root, options.json, how))
		fail(options.json, strerror(errno));
	json_decref(report.root);
}
