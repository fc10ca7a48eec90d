"""From a matplotlib drawing to SVG that lives inside a page: no font, colour or id of its own.

Drawings name colours by role (`COLOURS`); each role is drawn in a marker colour that becomes a CSS variable here, so
that the page decides how light, dark and paper look. Text stays text. The same drawing gives the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from html import escape
from types import MappingProxyType
from typing import Any

from markupsafe import Markup

COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "ink": "#010101",
        "muted": "#010102",
        "grid": "#010103",
        "paper": "#010104",
        **{f"s{number}": f"#0102{number:02x}" for number in range(1, 9)},
    }
)
"""Role → marker colour. `s1` … `s8` are the series colours."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "axes.edgecolor": COLOURS["grid"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.titlecolor": COLOURS["ink"],
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["grid"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.color": COLOURS["grid"],
    "ytick.labelcolor": COLOURS["muted"],
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
}


def render(draw: Callable[[Any], None], name: str, label: str, inches: tuple[float, float]) -> Markup:
    """Let `draw(figure)` draw, and return the `<svg>` element.

    `name` makes its ids unique in the page; `label` is what a screen reader says; `inches` is width × height at 72
    units per inch.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=inches, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        stream = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", metadata=nothing, transparent=True)
    return Markup(embed(stream.getvalue(), name, label))  # noqa: S704 - matplotlib escapes text, embed the label


def embed(text: str, name: str, label: str) -> str:
    """The `<svg>` element of a file that matplotlib wrote, made part of a page."""
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    box = re.search(r'viewBox="([^"]+)"', text)
    if box is None:
        raise ValueError("matplotlib wrote an SVG without viewBox")
    opening = f'<svg viewBox="{box[1]}" role="img" aria-label="{escape(label, quote=True)}">'
    text = re.sub(r"<svg\b[^>]*>", lambda _: opening, text, count=1)
    text = re.sub(r'\bid="(?:figure|axes|patch|line2d|text|legend|matplotlib|[xy]tick|\w+Collection)[\w.]*"', "", text)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = text.replace('xlink:href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    text = re.sub(r"font-family: [^;\"]+;? ?", "", text)
    text = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", text)
    text = re.sub(r"\s*\n\s*", "\n", text.replace("<g >", "<g>"))
    return _coloured(text)


def _coloured(text: str) -> str:
    for role, marker in COLOURS.items():
        text = text.replace(marker, f"var(--{role})")
    return text
