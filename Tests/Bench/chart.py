"""A small chart of horizontal bars, readable on light and dark pages."""

import html

WIDTH, LABEL, BAR, GAP, HEAD = 640, 90, 11, 3, 17
COLORS = {"nginx": "#2da44e", "dovecot": "#8250df", "original": "#bf8700", "ours": "#0969da"}
STYLE = """
text { font: 11px system-ui, sans-serif; fill: #57606a }
.head { font-weight: 600; fill: #24292f }
.ours { font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text { fill: #9da7b3 }
  .head { fill: #e6edf3 }
}
"""


def draw(rows, kinds):
    """`rows`: (title, unit, {name: value}); a shorter bar is better unless the unit is a rate."""
    parts, top = [], 0
    for title, unit, values in rows:
        hint = "more is better" if unit.endswith("/s") else "less is better"
        parts.append(f'<text class="head" x="0" y="{top + 12}">{html.escape(title)}, {unit} ({hint})</text>')
        top += HEAD
        most = max(values.values())
        for kind in kinds:
            if kind.name not in values:
                continue
            value = values[kind.name]
            length = max(1, (WIDTH - LABEL - 70) * value / most)
            mark = ' class="ours"' if kind.name == "ours" else ""
            text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
            parts.append(f'<text{mark} x="{LABEL - 6}" y="{top + BAR - 2}" text-anchor="end">{kind.title}</text>')
            parts.append(f'<rect x="{LABEL}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2" '
                         f'fill="{COLORS[kind.name]}"/>')
            parts.append(f'<text{mark} x="{LABEL + length + 5:.1f}" y="{top + BAR - 2}">{text}</text>')
            top += BAR + GAP
        top += 10
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" '
            f'role="img" aria-label="CPU, memory and latency of four proxies">\n<style>{STYLE}</style>\n' +
            "\n".join(parts) + "\n</svg>\n")
