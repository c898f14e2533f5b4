"""What two runs of a case differ in, and which of it docs/COMPATIBILITY.md explains."""

import difflib
import fnmatch
import re
import tomllib

VIEWS = ("client", "real", "wire", "log", "exit")


class Mistake(Exception):
    """The table or the rules contradict each other."""


def table_rows(path):
    """The ids of the table, in its order."""
    rows = []
    for line in open(path, encoding="utf-8"):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if line.startswith("|") and len(cells) == 5 and cells[0] != "id" and not set(cells[0]) <= set("-: "):
            identifier = cells[0].strip("`")
            if identifier in rows:
                raise Mistake(f"{path}: {identifier} is there twice")
            if not all(cells):
                raise Mistake(f"{path}: {identifier} has an empty cell")
            rows.append(identifier)
    return rows


class Rule:
    """Lines of the original that may be missing, lines of ours that may be new; one form for another; a line of ours
    that without what it adds is the original's."""

    def __init__(self, table, kind):
        unknown = set(table) - {"row", "case", "view", "original", "ours"}
        if unknown or "row" not in table:
            raise Mistake(f"differences.toml: {table.get('row')}: {unknown or 'no row'}")
        self.row, self.kind, self.used = table["row"], kind, 0
        cases, views = table.get("case", "*"), table.get("view", VIEWS)
        self.cases = [cases] if isinstance(cases, str) else cases
        self.views = [views] if isinstance(views, str) else views
        try:
            if kind == "rewrite":
                self.pattern, self.replacement = re.compile(table["original"]), table["ours"]
            elif kind == "addition":
                self.pattern, self.replacement = re.compile(table["ours"]), table["original"]
            else:
                self.original = [re.compile(each) for each in table.get("original", [])]
                self.ours = [re.compile(each) for each in table.get("ours", [])]
        except (re.error, KeyError) as error:
            raise Mistake(f"differences.toml: {self.row}: {error}") from error

    def covers(self, case, view):
        return view in self.views and any(fnmatch.fnmatchcase(case, each) for each in self.cases)


class Written:
    """differences.txt: for each case that differs, its rows and every line that may differ, and no other."""

    def __init__(self, path):
        self.path, self.blocks = path, {}
        case = view = None
        for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
            if line.startswith("== "):
                case, _, rows = line[3:].partition(": ")
                if case in self.blocks or not rows:
                    raise Mistake(f"{path.name}:{number}: {case} is there twice or has no row")
                self.blocks[case] = {"rows": rows.split(", "), "views": {}}
            elif line in VIEWS:
                view = self.blocks[case]["views"].setdefault(line, [])
            elif line[:2] in ("- ", "+ ", "  "):
                view.append(line)
            elif line and not line.startswith("#"):
                raise Mistake(f"{path.name}:{number}: neither a case, nor a view, nor a line of one")

    def named(self):
        return {row for block in self.blocks.values() for row in block["rows"]}

    def explains(self, case, views):
        """The rows, if exactly this was written down."""
        block = self.blocks.get(case)
        return block["rows"] if block and block["views"] == views else None

    def accept(self, case, rows, views):
        self.blocks[case] = {"rows": rows, "views": views}

    def save(self, order):
        """Writes all blocks, in the order of the cases."""
        head = [line for line in self.path.read_text("utf-8").split("\n") if line.startswith("#")]
        lines = head + [""]
        for case in sorted(self.blocks, key=lambda case: order.get(case, len(order))):
            block = self.blocks[case]
            lines.append(f"== {case}: {', '.join(block['rows'])}")
            for view in VIEWS:
                if view in block["views"]:
                    lines += [view, *block["views"][view]]
            lines.append("")
        self.path.write_text("\n".join(lines), "utf-8")


class Rules:
    def __init__(self, path, rows, named_by_cases):
        with open(path, "rb") as file:
            document = tomllib.load(file)
        self.rewrites = [Rule(table, "rewrite") for table in document.get("rewrite", [])]
        self.additions = [Rule(table, "addition") for table in document.get("addition", [])]
        self.differences = [Rule(table, "difference") for table in document.get("difference", [])]
        self.unseen = {table["row"]: table["why"] for table in document.get("unseen", [])}
        self.shown = set()
        named = {rule.row for rule in self.all()} | set(self.unseen) | named_by_cases
        if named - set(rows):
            raise Mistake(f"rules for rows that the table lacks: {', '.join(sorted(named - set(rows)))}")
        if set(rows) - named:
            raise Mistake(f"rows of the table without a rule: {', '.join(sorted(set(rows) - named))}")

    def all(self):
        return self.rewrites + self.additions + self.differences

    def explain(self, case, view, original, ours):
        """Unexplained lines, as `- x` and `+ x` with context, and the rows that explained others."""
        original, rows = self.change(self.rewrites, case, view, original, ours)
        ours, more = self.change(self.additions, case, view, ours, original)
        rows += more
        whole = self.compare(case, view, original, ours)
        if whole[0]:
            # Lines that may go or come, wherever they stand, taken out first: what is left is easier to tell apart.
            shorter, taken = self.without_explained(case, view, original, ours)
            rest = self.compare(case, view, *shorter)
            if len(rest[0]) < len(whole[0]):
                whole = (rest[0], rest[1] + taken)
        for rule in whole[1]:
            rule.used += 1
        return whole[0], rows + [rule.row for rule in whole[1]]

    def change(self, rules, case, view, lines, others):
        """The lines, each that the others lack in the form that they have, where a rule knows it; and the rows."""
        lines, remaining, rows = list(lines), list(others), []
        for line in lines:
            if line in remaining:
                remaining.remove(line)
        for position, line in enumerate(lines):
            if line in others:
                continue
            for rule in rules:
                if rule.covers(case, view) and rule.pattern.search(line):
                    changed = rule.pattern.sub(rule.replacement, line)
                    if changed in remaining:
                        remaining.remove(changed)
                        lines[position] = changed
                        rule.used += 1
                        rows.append(rule.row)
                        break
        return lines, rows

    def without_explained(self, case, view, original, ours):
        kept, taken = [], []
        for sign, lines, others in (("-", original, ours), ("+", ours, original)):
            others = list(others)
            left = []
            for line in lines:
                if line in others:
                    others.remove(line)
                    left.append(line)
                    continue
                rule = self.rule_for(case, view, sign, line)
                if rule:
                    taken.append(rule)
                else:
                    left.append(line)
            kept.append(left)
        return kept, taken

    def compare(self, case, view, original, ours):
        lines, rules = [], []
        matcher = difflib.SequenceMatcher(None, original, ours, autojunk=False)
        for what, first, last, start, end in matcher.get_opcodes():
            if what == "equal":
                continue
            changed = [("-", line) for line in original[first:last]] + [("+", line) for line in ours[start:end]]
            open_lines = []
            for sign, line in changed:
                rule = self.rule_for(case, view, sign, line)
                if rule:
                    rules.append(rule)
                else:
                    open_lines.append(f"{sign} {line}")
            if open_lines:
                if first and not lines:
                    lines.append(f"  {original[first - 1]}")
                lines += open_lines
        return lines, rules

    def show(self, row):
        """A case showed a difference of this row without a rule."""
        self.shown.add(row)

    def rule_for(self, case, view, sign, line):
        for rule in self.differences:
            patterns = rule.original if sign == "-" else rule.ours
            if rule.covers(case, view) and any(pattern.fullmatch(line) for pattern in patterns):
                return rule
        return None
