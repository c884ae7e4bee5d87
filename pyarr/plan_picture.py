"""A plan as a picture: what is given, steps and results, with bytes on the edges (SVG)."""

from __future__ import annotations

import html
import itertools
import math

from ._quantities import amount, counted, shape_text

_FONT = "font-family='ui-sans-serif, Helvetica, Arial, sans-serif'"
_FILL = {
    "given": ("#f3f4f6", "#9ca3af"),
    "program": ("#dbeafe", "#3b82f6"),
    "stage": ("#dcfce7", "#22a05a"),
    "library": ("#fef3c7", "#d99a1e"),
    "result": ("#ede9fe", "#8b5cf6"),
}
_GAP_X, _GAP_Y, _LINE = 36, 58, 16


class _Box:
    def __init__(self, kind, lines):
        self.kind, self.lines = kind, lines
        self.width = 24 + max(6.5 * len(line) for line in lines)
        self.width = max(self.width, 90)
        self.height = 14 + _LINE * len(lines)
        self.layer, self.x, self.y = 0, 0.0, 0.0


def picture(plan):
    """SVG text of a plan as `_core.watch_plans` gives it."""
    boxes, edges = _graph(plan)
    _place_layers(boxes, edges)
    routes = _routes(edges)
    width, height = _place(boxes, routes)
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' "
        f"height='{height:.0f}' viewBox='0 0 {width:.0f} {height:.0f}' {_FONT}>",
        "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' "
        "markerHeight='7' markerUnits='userSpaceOnUse' orient='auto'>"
        "<path d='M0,0 L8,4 L0,8 z' fill='#6b7280'/></marker></defs>",
    ]
    parts += [_draw_edge(route, edges[route[0], route[-1]]) for route in routes]
    parts += [_draw_box(box) for box in boxes]
    parts += [_draw_label(route, edges[route[0], route[-1]]) for route in routes]
    return "\n".join([*parts, "</svg>"])


# ---- from the plan to boxes and edges ----


def _merged(plan):
    """Steps, where a row of writes into one array counts as one: (indices, step)."""
    runs = []
    for number, step in enumerate(plan["steps"]):
        memory = plan["values"][step["outputs"][0]]["memory"]
        small = step["kind"] == "library" and step["name"] in ("element", "assign_add")
        if runs and small and runs[-1][2] == memory:
            runs[-1][0].append(number)
        else:
            runs.append(([number], step, memory if small else None))
    return [(indices, step) for indices, step, _ in runs]


def _step_lines(indices, step):
    first, last = indices[0] + 1, indices[-1] + 1
    number = f"{first}" if first == last else f"{first}-{last}"
    if len(indices) > 1:
        return [f"{number}  gather results", f"{len(indices)} writes"]
    ops = f", {counted(step['nodes'], 'op')}" if step["nodes"] else ""
    lines = [f"{number}  {step['name']}{ops}"]
    sums = f", {counted(step['sums'], 'sum')}" if step["sums"] else ""
    lines.append(f"over {shape_text(step['shape'])}{sums}")
    if step["flops"] >= 1000 or step["kind"] == "stage":
        lines.append(f"{amount(step['flops'], 'flop')}, {step['executor']}")
    return lines


def _graph(plan):
    values = plan["values"]
    boxes, edges, writer = [], {}, {}
    reads = {}  # memory that is given -> (bytes, boxes that read it)

    def connect(a, b, size):
        edges[a, b] = edges.get((a, b), 0) + size

    for indices, step in _merged(plan):
        box = _Box(step["kind"], _step_lines(indices, step))
        boxes.append(box)
        seen, written = set(), set()
        for index in indices:
            for value in map(values.__getitem__, plan["steps"][index]["inputs"]):
                memory = value["memory"]
                if memory in seen or memory in written:
                    continue
                seen.add(memory)
                if value["kind"] in ("given", "literal"):
                    size, readers = reads.setdefault(memory, (value["bytes"], []))
                    readers.append(box)
                    reads[memory] = (max(size, value["bytes"]), readers)
                elif memory in writer:
                    connect(writer[memory], box, value["bytes"])
            for value in map(values.__getitem__, plan["steps"][index]["outputs"]):
                written.add(value["memory"])
        for memory in written:
            writer[memory] = box
    _add_given(boxes, values, reads, connect)
    _add_results(boxes, plan, writer, connect)
    return boxes, edges


def _value_text(value):
    space = f" {shape_text(value['shape'])}" if value["shape"] else ""
    return value["dtype"] + space


def _add_given(boxes, values, reads, connect):
    """One box for each large array, one for all small ones with the same readers."""
    groups = {}
    for memory, (size, readers) in reads.items():
        key = memory if size > 4096 else tuple(map(id, readers))
        groups.setdefault(key, []).append((memory, size, readers))
    for members in groups.values():
        memory, size, readers = members[0]
        if len(members) == 1:
            value = next(v for v in values if v["memory"] == memory)
            lines = [_value_text(value)]
        else:
            lines = [f"{len(members)} small arrays"]
        size = sum(size for _, size, _ in members)
        box = _Box("given", lines)
        boxes.append(box)
        for reader in readers:
            connect(box, reader, size)


def _add_results(boxes, plan, writer, connect):
    groups = {}
    for number, place in enumerate(plan["results"]):
        if place >= 0:
            value = plan["values"][place]
            groups.setdefault(id(writer.get(value["memory"])), []).append(
                (number, value)
            )
    for members in groups.values():
        names = [_value_text(value) for _, value in members]
        lines = names if len(names) <= 3 else [f"{len(names)} arrays"]
        box = _Box("result", lines)
        boxes.append(box)
        start = writer.get(members[0][1]["memory"])
        if start is not None:
            connect(start, box, sum(v["bytes"] for _, v in members))


# ---- places ----


def _place_layers(boxes, edges):
    steps = [box for box in boxes if box.kind not in ("given", "result")]
    order = {box: k for k, box in enumerate(steps)}
    for box in steps:  # a writer stands before its readers
        above = [a.layer for a, b in edges if b is box and a in order]
        box.layer = 1 + max(above, default=0)
    last = max((box.layer for box in steps), default=0)
    for box in boxes:
        if box.kind == "given":
            below = [b.layer for a, b in edges if a is box]
            box.layer = min(below, default=1) - 1
        elif box.kind == "result":
            box.layer = last + 1


def _routes(edges):
    """Each edge as the boxes it goes through: places kept free in the layers between."""
    routes = []
    for a, b in edges:
        between = [_Box("way", [""]) for _ in range(a.layer + 1, b.layer)]
        for layer, box in enumerate(between, a.layer + 1):
            box.layer, box.width, box.height = layer, 8.0, 0.0
        routes.append([a, *between, b])
    return routes


def _place(boxes, routes):
    ways = [box for route in routes for box in route[1:-1]]
    boxes = [*boxes, *ways]
    edges = [pair for route in routes for pair in itertools.pairwise(route)]
    layers = [[] for _ in range(1 + max((box.layer for box in boxes), default=0))]
    for box in boxes:
        layers[box.layer].append(box)
    widths = [sum(b.width + _GAP_X for b in layer) - _GAP_X for layer in layers]
    total = max([*widths, 200])
    y = 12.0
    for layer, width in zip(layers, widths, strict=True):
        tall = max((box.height for box in layer), default=0)
        x = (total - width) / 2 + 12
        for box in sorted(layer, key=lambda box: _centre_above(box, edges)):
            box.x, box.y = x, y
            if box.kind == "way":
                box.height = tall
            elif box.kind == "given":
                box.y += tall - box.height
            x += box.width + _GAP_X
        y += tall + _GAP_Y
    return total + 24, y - _GAP_Y + 12


def _centre_above(box, edges):
    above = [a.x + a.width / 2 for a, b in edges if b is box and a.layer < b.layer]
    return sum(above) / len(above) if above else math.inf


# ---- drawing ----


def _bend(a, b):
    """A curve from the foot of one box to the head of the next, and on through it."""
    x0, y0, x1, y1 = a.x + a.width / 2, a.y + a.height, b.x + b.width / 2, b.y
    half = max(20, (y1 - y0) * 0.5)
    through = f" L{x1:.1f},{y1 + b.height:.1f}" if b.kind == "way" else ""
    return (
        f"C{x0:.1f},{y0 + half:.1f} {x1:.1f},{y1 - half:.1f} {x1:.1f},{y1:.1f}{through}"
    )


def _draw_edge(route, size):
    first = route[0]
    curve = " ".join(_bend(a, b) for a, b in itertools.pairwise(route))
    thick = 1 + max(0.0, math.log10(max(size, 1)) - 2) * 0.5
    return (
        f"<path d='M{first.x + first.width / 2:.1f},{first.y + first.height:.1f} "
        f"{curve}' fill='none' stroke='#6b7280' stroke-width='{thick:.1f}' "
        "stroke-opacity='0.75' marker-end='url(#tip)'/>"
    )


def _draw_label(route, size):
    """In the middle of the edge's first bend, where edges have parted."""
    a, b = route[:2]
    x = (a.x + a.width / 2 + b.x + b.width / 2) / 2
    y = (a.y + a.height + b.y) / 2
    return (
        f"<text x='{x:.1f}' y='{y + 4:.1f}' font-size='11' text-anchor='middle' "
        "fill='#374151' stroke='white' stroke-width='4' paint-order='stroke'>"
        f"{amount(size, 'B')}</text>"
    )


def _draw_box(box):
    fill, line = _FILL.get(box.kind, _FILL["library"])
    round_ = box.height / 2 if box.kind in ("given", "result") else 7
    parts = [
        f"<rect x='{box.x:.1f}' y='{box.y:.1f}' width='{box.width:.1f}' "
        f"height='{box.height:.1f}' rx='{min(round_, 16):.0f}' fill='{fill}' "
        f"stroke='{line}' stroke-width='1.3'/>"
    ]
    for k, text in enumerate(box.lines):
        bold = " font-weight='600'" if k == 0 and box.kind not in _PILLS else ""
        shade = "#111827" if k == 0 else "#4b5563"
        parts.append(
            f"<text x='{box.x + box.width / 2:.1f}' y='{box.y + 19 + _LINE * k:.1f}' "
            f"font-size='12' text-anchor='middle' fill='{shade}'{bold}>"
            f"{html.escape(text)}</text>"
        )
    return "".join(parts)


_PILLS = ("given", "result")
