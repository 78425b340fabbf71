#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the benchmark measured (bench.json), for people.

    figures.py data BENCH.JSON DIR   writes what plot.gp draws: DIR/ways.dat, load.dat, stream.dat
    figures.py page BENCH.JSON PAGE  fills the tables of PAGE: what is between a line with
                                     <!-- NAME: made by "make bench-docs" --> and the next with
                                     <!-- end of what is made -->

bench.json is an object. Beside what it says of the machine and the run it has "rows", a list of

    subject, id, title, unit ("us", "calls/s", "MB/s", "KiB", "boxes/s", "calls"), samples, value (the
    median), and where there are such: p90, p99; base, base_value and ratio (value / base_value);
    floor (F, measured in turns with it); at_most or at_least and met: the bar, of the ratio, or of
    the value where there is no base; line and x: where it is on a plot

and "skipped", a list of what could not be measured: subject, id, why.
"""
import json
import re
import sys

FORMAT = 1
# What is drawn in which of plot.gp's colours.
KINDS = {"direct": 5, "one_off": 1, "miss": 1, "channel": 2, "pool": 3, "socket": 4, "multiplexed": 2}
COLOURS = {"the floor": 1, "direct": 6, "docker exec by hand": 2, "docker_exec, channel": 3}


def fail(why):
    sys.exit(f"figures.py: {why}")


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            bench = json.load(file)
    except FileNotFoundError:
        fail(f"{path} is not there; make bench-json measures it")
    except ValueError as error:
        fail(f"{path} is no JSON: {error}; make bench-json measures it anew")
    if bench.get("format") != FORMAT:
        fail(f"{path} has another format than {FORMAT}; make bench-json measures it anew")
    return bench


def rows_of(bench, subject):
    return [row for row in bench["rows"] if row["subject"] == subject]


# ---- What is drawn ----

def kind_of(row):
    """How a call reaches its box: the colour of its dot."""
    return next((KINDS[word] for word in row["id"].split(".") if word in KINDS), 0)


def quoted(text):
    return '"' + text.replace('"', "'") + '"'


def ways_data(bench):
    """Each way, as multiples of F: the median, the p99, the bar."""
    rows = [row for row in rows_of(bench, "latency") if row.get("floor") and "p99" in row]
    for y, row in enumerate(reversed(rows)):
        bar = "NaN"
        if "at_most" in row:
            bar = row["at_most"] * row.get("base_value", 1) / row["floor"]
        yield f'{y} {row["value"] / row["floor"]:.4g} {row["p99"] / row["floor"]:.4g} ' \
              f'{bar if bar == "NaN" else format(bar, ".4g")} {kind_of(row)} {quoted(row["title"])}'


def lines_of(rows):
    return list(dict.fromkeys(row["line"] for row in rows))


def lines_data(rows):
    """One block for each line of a plot, which begins with its title."""
    for line in lines_of(rows):
        yield quoted(line)
        yield from (f'{row["x"]:g} {row["value"]:g}' for row in rows if row["line"] == line)
        yield "\n"


def words(bench, load_rows, stream_rows):
    yield f'run = {quoted(plain(next(text_of_run(bench))))}'
    for name, rows in (("load", load_rows), ("stream", stream_rows)):
        yield f'{name}_colours = "{" ".join(str(COLOURS.get(line, 1)) for line in lines_of(rows))}"'


def plain(text):
    """Without what gnuplot would take for markup."""
    return re.sub(r"[`{}^_@&~\\]", "", text)


def write_data(bench, directory):
    streams = [row for row in rows_of(bench, "stream") if row["id"].startswith("stream.both.")]
    loads = [row for row in rows_of(bench, "load") if "line" in row]
    for name, lines in (("ways.dat", ways_data(bench)), ("load.dat", lines_data(loads)),
                        ("stream.dat", lines_data(streams)),
                        ("words.gp", words(bench, loads, streams))):
        text = "".join(line + "\n" for line in lines)
        if not text:
            fail(f"nothing was measured for {name}; run make bench-json without --only")
        with open(f"{directory}/{name}", "w", encoding="utf-8") as file:
            file.write(text)


# ---- What is written ----

def amount(value, unit):
    if unit == "us":
        return f"{value:.0f} µs" if value < 1000 else \
            f"{value / 1000:.3g} ms" if value < 999.5e3 else f"{value / 1e6:.3g} s"
    if unit == "KiB":
        return f"{value / 1024:.2f} MiB"
    return f"{value:,.0f} {unit}" if value >= 10 else f"{value:.3g} {unit}"


def ratio(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(head, lines):
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for line in lines:
        yield "| " + " | ".join(line) + " |"


def bar_of(row):
    which = "at_most" if "at_most" in row else "at_least"
    bar = row[which]
    text = ratio(bar) if "base" in row else amount(bar, row["unit"])
    return f'{which.replace("_", " ")} {text}'


def table_of_bars(bench):
    rows = [row for row in bench["rows"] if "met" in row]
    return table(
        ["", "measured", "compared to", "ratio", "bar", "", "command"],
        ([row["title"], amount(row["value"], row["unit"]),
          f'{row["base"]}: {amount(row["base_value"], row["unit"])}' if "base" in row else "",
          ratio(row["ratio"]) if "base" in row else "",
          bar_of(row), "met" if row["met"] else "**missed**",
          f'`make bench BENCH_FLAGS="--only {row["subject"]}"`'] for row in rows))


def table_of_latency(bench):
    rows = [row for row in rows_of(bench, "latency") if "p99" in row]
    return table(
        ["", "median", "p90", "p99", "multiple of F", "compared to", "ratio"],
        ([row["title"], *(amount(row[key], "us") for key in ("value", "p90", "p99")),
          ratio(row["value"] / row["floor"]) if "floor" in row else "",
          f'{row["base"]}: {amount(row["base_value"], "us")}' if "base" in row else "",
          ratio(row["ratio"]) if "base" in row else ""] for row in rows))


def matrix(rows, what, name_of_x):
    """Lines against x, from rows that have both."""
    xs = sorted({row["x"] for row in rows})
    values = {(what(row), row["x"]): row["value"] for row in rows}
    return table(["", *(name_of_x(x) for x in xs)],
                 ([line, *(f"{values[line, x]:.3g}" if values.get((line, x), 100) < 100
                           else f"{values[line, x]:,.0f}" if (line, x) in values else ""
                           for x in xs)] for line in dict.fromkeys(map(what, rows))))


def table_of_load(bench):
    return matrix([row for row in rows_of(bench, "load") if "line" in row],
                  lambda row: row["line"], lambda x: f"{x:.0f} in flight")


def size_name(x):
    return f"{x / 1024:.0f} KB" if x < 1 << 20 else f"{x / (1 << 20):.0f} MB"


def table_of_stream(bench):
    flows = {"in": "in", "out": "out", "both": "in and out"}
    return matrix([row for row in rows_of(bench, "stream") if "line" in row],
                  lambda row: f'{flows[row["id"].split(".")[1]]}: {row["line"]}', size_name)


def table_of_beside(bench):
    rows = [row for row in rows_of(bench, "stream") if "p99" in row]
    return table(["", "median", "p90", "p99"],
                 ([row["title"], *(amount(row[key], "us") for key in ("value", "p90", "p99"))]
                  for row in rows))


def table_of_subject(subject):
    def simple(bench):
        return table(["", "measured", "compared to", "ratio"],
                     ([row["title"].rstrip("+ "), ("+ " if row["title"].endswith("+") else "") +
                       amount(row["value"], row["unit"]),
                       f'{row["base"]}: {amount(row["base_value"], row["unit"])}'
                       if "base" in row else "",
                       ratio(row["ratio"]) if "base" in row else ""]
                      for row in rows_of(bench, subject)))
    return simple


def text_of_run(bench):
    yield (f'Measured on {bench["date"][:10]} with hookbox {bench["hookbox"]}: {bench["cpus"]} x '
           f'{bench["cpu"]}, {int(bench["memory"].split()[0]) / (1 << 20):.0f} GiB, Linux '
           f'{bench["kernel"]}, `--runs {bench["runs"]}`; the load average before it was '
           f'{bench["load_before"]:.2f}.')
    if bench["skipped"]:
        yield ""
        yield "Left out: " + "; ".join(f'{skip["id"]} ({skip["why"]})' for skip in bench["skipped"]) + "."


PARTS = {
    "run": text_of_run,
    "bars": table_of_bars,
    "latency": table_of_latency,
    "pool": table_of_subject("pool"),
    "load": table_of_load,
    "stream": table_of_stream,
    "beside": table_of_beside,
    "memory": table_of_subject("memory"),
    "crowd": table_of_subject("crowd"),
}
BEGIN = re.compile(r'^<!-- (\w+): made by "make bench-docs" -->$')
END = "<!-- end of what is made -->"


def fill_page(bench, path):
    with open(path, encoding="utf-8") as file:
        page = file.read().splitlines()
    filled, inside, seen = [], False, []
    for line in page:
        begin = BEGIN.match(line)
        if begin and (inside or begin[1] not in PARTS):
            fail(f"{path}: {line}: the parts are {', '.join(PARTS)}, each with an end")
        if line == END:
            inside = False
        if not inside:
            filled.append(line)
        if begin:
            inside = True
            seen.append(begin[1])
            filled += ["", *PARTS[begin[1]](bench), ""]
    if inside or sorted(seen) != sorted(PARTS):
        fail(f"{path} needs each of these parts once, with an end: {', '.join(PARTS)}")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(filled) + "\n")


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("data", "page"):
        fail("usage: figures.py data BENCH.JSON DIR, or figures.py page BENCH.JSON PAGE")
    bench = load(sys.argv[2])
    (write_data if sys.argv[1] == "data" else fill_page)(bench, sys.argv[3])


main()
