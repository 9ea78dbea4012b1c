"""The report as one HTML file: no script, no network; opens from a disk, prints, and follows a dark system.

The words come from file names and manifests of strangers: whatever is not markup already is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_export.certificate.document import document, tile
from edge_export.certificate.markup import Markup, join, table, tag
from edge_runtime.files.sizes import format_size
from edge_tools.bench.cases import MeasuredCase, Report, Row
from edge_tools.bench.compare import over_base, plain_row, ratios
from edge_tools.bench.plots import PLOT_CSS, batch_plot, case_words, latency_plot, memory_plot, on_scale, sustained_plot
from edge_tools.bench.words import MARK, climate_words, marked, printable, short

__all__ = ["render_report"]


def render_report(report: Report, rows: Sequence[MeasuredCase]) -> str:
    """Return the whole page."""
    everyone = [measured.row for measured in rows]
    done = [row for row in everyone if row.status == "ok"]
    label = report.label
    board = report.about.board_name if report.about else report.host.cpu
    if report.emulated:
        board = f"{report.emulated.name}, {report.emulated.memory}"
    model = report.about.bundle.get("model", "") if report.about else ""
    title = f"{model or report.bundle} on {board}"
    parts = (
        tag("header", tag("h1", title), tag("p", _subtitle(report))),
        _emulation(report),
        _verdict(done, label),
        _tiles(done, label),
        *(_batch_section(report, rows, batch) for batch in dict.fromkeys(row.batch for row in everyone)),
        _batches_section(done, label),
        _sustained_section(done, label),
        _facts(report),
    )
    page = document(title + marked(label), join(parts), PLOT_CSS)
    return "\n".join(printable(line) for line in page.split("\n"))


def _subtitle(report: Report) -> str:
    about = report.about
    words = [] if about is None else [about.date_utc]
    words.append(f"{report.host.cpu}, {report.host.cores} cores, {format_size(report.host.memory_bytes)}")
    return "; ".join(words)


def _emulation(report: Report) -> Markup:
    emulated = report.emulated
    if emulated is None:
        return Markup("")
    storage = emulated.storage_bytes_per_s
    limits = [
        f"{format_size(emulated.limit_bytes)} of {emulated.memory} memory",
        f"{emulated.cores:g} of {emulated.board_cores} cores",
        *([] if storage is None else [f"{emulated.storage} at {storage / 1e6:g} MB/s"]),
    ]
    parts = (
        tag("p", f"{MARK} {report.label[:1].upper()}{report.label[1:]}", attributes={"class": "word"}),
        tag("p", f"Limits of a {emulated.name}: {', '.join(limits)}.", attributes={"class": "sentence"}),
        *(tag("p", note) for note in emulated.notes),
    )
    return tag("div", *parts, attributes={"class": "verdict check"})


def _verdict(rows: Sequence[Row], label: str) -> Markup:
    """Say in one sentence how the bundle stands against plain onnxruntime, at the first batch and limit."""
    ours = next((row for row in rows if row.engine == "edgeline"), None)
    plain = None if ours is None else plain_row(rows, ours.batch)
    if ours is None or plain is None:
        return Markup("")
    against = ratios(ours, plain)
    times = [
        f"{value:.2f}x {words}"
        for value, words in (
            (against.latency, "the time"),
            (against.sustained, "the images/s without a pause"),
            (against.memory, "the memory over base"),
            (against.cold, "the cold start"),
        )
        if value is not None
    ]
    words = f"{case_words(ours)}: {', '.join(times)} of plain onnxruntime on {plain.model}{marked(label)}."
    good = (against.latency or 1.0) <= 1.0 and (against.memory or 1.0) <= 1.0
    parts = (
        tag("p", "Faster and smaller" if good else "Against plain onnxruntime", attributes={"class": "word"}),
        tag("p", words, attributes={"class": "sentence"}),
    )
    return tag("div", *parts, attributes={"class": f"verdict {'good' if good else 'check'}"})


def _tiles(rows: Sequence[Row], label: str) -> Markup:
    ours = next((row for row in rows if row.engine == "edgeline"), None)
    if ours is None:
        return Markup("")
    p50, p95, p99 = ours.latency_ms.p50, ours.latency_ms.p95, ours.latency_ms.p99
    tiles = [
        ("Latency, p50", f"{short(p50)} ms", f"p95 {short(p95)}, p99 {short(p99)} ms"),
        ("Images/s", short(ours.images_per_s), f"batch {ours.batch}"),
    ]
    if ours.sustained:
        ran = ours.sustained
        tiles.append(("Sustained images/s", short(ran.steady), f"first {short(ran.first)}, {ran.seconds:.0f} s"))
    tiles.append(("Peak memory", format_size(ours.peak_bytes or 0), f"{format_size(over_base(ours) or 0)} over base"))
    tiles.append(("Cold start", f"{short(ours.cold_start_ms)} ms", "to the first result"))
    if ours.watts is not None:
        tiles.append(("Power", f"{short(ours.watts)} W", f"{short(ours.joules_per_image)} J per image"))
    made = (tile(name + marked(label), figure, words) for name, figure, words in tiles)
    return tag("div", *made, attributes={"class": "tiles"})


def _batch_section(report: Report, rows: Sequence[MeasuredCase], batch: int) -> Markup:
    group = [measured for measured in rows if measured.row.batch == batch]
    done = [measured.row for measured in group if measured.row.status == "ok"]
    pictures = Markup("")
    if done:
        pictures = tag(
            "div",
            tag("div", tag("h3", "Latency"), _figure(latency_plot(done, report.label))),
            tag(
                "div",
                tag("h3", "Memory against the limit"),
                _figure(memory_plot(done, report.label), _memory_key(done)),
            ),
            attributes={"class": "split"},
        )
    return tag("section", tag("h2", f"Batch {batch}{marked(report.label)}"), pictures, _rows_table(report, group))


def _rows_table(report: Report, group: Sequence[MeasuredCase]) -> Markup:
    everyone = [measured.row for measured in group]
    plain = plain_row(everyone, everyone[0].batch)
    charged = any(measured.charges for measured in group)
    powered = any(row.watts is not None for row in everyone)
    headings = ["Engine", "Limit", "p50 / p95 / p99, ms", "Images/s", "Cold, ms", "Peak", "Over base"]
    headings += [*["Charged"] * charged, *["W", "J/image"] * powered, "Blocks", "Max diff"]
    body = []
    for measured in group:
        row, against = measured.row, ratios(measured.row, plain)
        limit = "none" if row.memory_limit_bytes is None else format_size(row.memory_limit_bytes)
        cells = [_name(row), limit]
        if row.status != "ok":
            told = row.message if row.message.startswith(row.status) else f"{row.status}: {row.message}"
            body.append([*cells, tag("span", told, attributes={"class": "said"}), *[""] * (len(headings) - 3)])
            continue
        blocks = f"{row.blocks.resident}/{row.blocks.streamed}/{row.blocks.reloaded}"
        latency = " / ".join(short(value) for value in (row.latency_ms.p50, row.latency_ms.p95, row.latency_ms.p99))
        cells += [
            _with_ratio(latency, against.latency),
            short(row.images_per_s),
            _with_ratio(short(row.cold_start_ms), against.cold),
            format_size(row.peak_bytes or 0),
            _with_ratio(format_size(over_base(row) or 0), against.memory),
            *[format_size(measured.charges.most_bytes) if measured.charges else ""] * charged,
            *[short(row.watts), short(row.joules_per_image)] * powered,
            "-" if row.engine == "onnxruntime" else blocks,
            f"{row.max_abs_diff:.2g}",
        ]
        body.append(cells)
    caption = f"Each row is a process of its own{marked(report.label)}."
    if plain is not None:
        caption += f" Ratios are against onnxruntime on {plain.model}, {_limit(plain)}."
    return table(headings, body, caption, numbers=tuple(range(2, len(headings))))


def _batches_section(rows: Sequence[Row], label: str) -> Markup:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(case_words(row, batch=False), []).append(row)
    groups = {name: group for name, group in groups.items() if len(group) > 1}
    if not groups:
        return Markup("")
    picture = _figure(batch_plot(groups, label), _line_key(list(groups)))
    return tag("section", tag("h2", f"Time per image by batch{marked(label)}"), picture)


def _sustained_section(rows: Sequence[Row], label: str) -> Markup:
    ran = [(row, row.sustained) for row in rows if row.sustained]
    if not ran:
        return Markup("")
    warm = any(value is not None for _, found in ran for value in found.celsius)
    headings = ["Case", "First", "Steady", "Kept", "p99, ms", *["Temperature, C"] * warm]
    body = [
        [
            case_words(row) + marked(row.label),
            short(found.first),
            short(found.steady),
            f"{100 * found.steady / found.first:.0f} %" if found.first else "-",
            short(found.p99_ms),
            *[_warmth(found.celsius)] * warm,
        ]
        for row, found in ran
    ]
    found = ran[0][1]
    caption = (
        f"Images/s in the first {found.window_s:g} s and in the second half of {found.seconds:.0f} s without a pause"
        f"{marked(label)}."
    )
    picture = _figure(sustained_plot([row for row, _ in ran], label), _line_key([case_words(row) for row, _ in ran]))
    numbers = tuple(range(1, len(headings)))
    return tag(
        "section", tag("h2", f"Sustained speed{marked(label)}"), picture, table(headings, body, caption, numbers)
    )


def _facts(report: Report) -> Markup:
    host, about = report.host, report.about
    rows = [("Bundle", report.bundle)]
    if about:
        rows += [(f"{name[:1].upper()}{name[1:]}", value) for name, value in about.bundle.items() if name != "model"]
    rows.append(("Machine", f"{host.cpu}, {host.cores} cores, {format_size(host.memory_bytes)}, Linux {host.kernel}"))
    if about:
        before, after = climate_words(about.before), climate_words(about.after)
        idle = "" if about.idle_watts is None else f"; idle {short(about.idle_watts)} W"
        rows += [
            ("Known as", f"{about.board_name} ({about.board}): {about.how}"),
            ("Temperature before", before or "nobody tells"),
            ("Temperature after", after or "nobody tells"),
            ("Load before", "" if about.load is None else f"{about.load:g} processes wanted a core"),
            ("Power", f"{about.power}{idle}"),
            ("Versions", ", ".join(f"{name} {version}" for name, version in about.versions.items())),
        ]
    rows.append(("Page cache", host.page_cache))
    if report.emulated:
        rows += [("Limits from", "; ".join(report.emulated.sources))]
    if about:
        rows += [("Command", about.command), ("Measured", about.date_utc)]
    items = [
        join((tag("dt", name), tag("dd", tag("code", value) if name in ("Command", "Bundle") else value)))
        for name, value in rows
        if value
    ]
    notes = (
        "Latency is of one call on the whole batch, images/s of all its timed calls. A cold start is from before the "
        "process is started to its first result. Peak is the whole process, over base is without what the interpreter "
        "and the libraries take. Blocks: resident/streamed/reloaded. Max diff is the largest difference of any output "
        "from the reference model, run without optimizations."
    )
    return tag("section", tag("h2", "Where it comes from"), tag("dl", *items), tag("p", notes, attributes=_SOFT))


def _memory_key(rows: Sequence[Row]) -> Markup:
    keys = [("base", "interpreter and libraries"), ("ours", "edgeline")]
    if any(row.engine == "onnxruntime" for row in rows):
        keys.append(("theirs", "onnxruntime"))
    if any(on_scale(row, rows) for row in rows):
        keys.append(("limit", "limit"))
    return _legend(keys)


def _line_key(names: Sequence[str]) -> Markup:
    return _legend([(f"s{index % 6}", name + " (dashed)" * (index >= 6)) for index, name in enumerate(names)])


def _legend(keys: Sequence[tuple[str, str]]) -> Markup:
    items = (tag("li", tag("span", attributes={"class": f"key {style}"}), words) for style, words in keys)
    return tag("ul", *items, attributes={"class": "legend"})


def _figure(picture: Markup, key: Markup | None = None) -> Markup:
    return tag("figure", picture, *([] if key is None else [key]))


def _name(row: Row) -> Markup:
    model = " ".join(part for part in (row.model, row.precision) if part)
    return join((row.engine + marked(row.label), *([_small(model)] if model else [])))


def _small(words: str) -> Markup:
    return tag("small", words, attributes={"class": "under"}) if words else Markup("")


def _with_ratio(figure: str, ratio: float | None) -> Markup:
    return join((figure, *([] if ratio is None else [_small(f"{ratio:.2f}x")])))


def _warmth(celsius: Sequence[float | None]) -> str:
    known = [value for value in celsius if value is not None]
    return f"{known[0]:.0f} to {max(known):.0f}" if known else "-"


def _limit(row: Row) -> str:
    return "no limit" if row.memory_limit_bytes is None else format_size(row.memory_limit_bytes)


_SOFT = {"class": "soft"}
