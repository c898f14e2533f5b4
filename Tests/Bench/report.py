"""From numbers to Markdown, and into the marked places of docs/PERFORMANCE.md."""

import pathlib
import re

import machine


def number(value):
    """Three digits that count, and no more than are there."""
    if value is None:
        return "–"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head, lines):
    text = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(text + ["| " + " | ".join(map(str, line)) + " |" for line in lines])


def verdict(met):
    return {True: "met", False: "**not met**", None: "–"}[met]


def comparison(run, versions, accounting):
    kinds = run.kinds
    head = ["work", *(f"{kind.title} {versions[kind.name]}".strip() for kind in kinds), "ours ÷ nginx", "target", ""]
    lines = []
    for row in run.rows:
        values = {kind.name: run.median(row, kind.name) for kind in kinds}
        ratio = values["ours"] / values["nginx"] if values.get("ours") and values.get("nginx") else None
        target, met = run.met(row)
        lines.append([f"{row.work} ({row.unit})", *(number(values[kind.name]) for kind in kinds), number(ratio),
                      target, verdict(met)])
    notes = [f"{machine.sentence()}.", f"Medians of {run.rounds} rounds, the proxies in turn; {accounting}."]
    titles = {kind.name: kind.title for kind in kinds}
    for key, agreed in run.agreed.items():
        same = {}
        for name, tls in agreed.items():
            same.setdefault(tls, []).append(titles[name])
        notes.append(f"With the {key} key: " + "; ".join(
            f"{tls} ({', '.join(names)})" for tls, names in same.items()) + ".")
    notes += [f"{text}." for text in run.trouble.told]
    return "\n".join(notes) + "\n\n" + table(head, lines)


def put(file, name, text):
    """Replaces what stands between the marks of a name."""
    page = pathlib.Path(file).read_text()
    begin, end = f"<!-- bench: {name} -->", f"<!-- bench: end of {name} -->"
    marks = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if len(marks.findall(page)) != 1:
        raise SystemExit(f"bench: {file} has no marks for {name}")
    pathlib.Path(file).write_text(marks.sub(lambda _: f"{begin}\n{text}\n{end}", page))
