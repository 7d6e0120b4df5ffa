"""How figures look: one palette, one set of type sizes, light and dark.

Ink (axes, text) is drawn in a colour of its own, which the page replaces by ``currentColor``,
so that inline figures follow the page into dark mode and onto paper.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#1d2530"
METHOD_COLOURS = {"potential": "#0b8f87", "eam": "#a778c4", "dft": "#6d7886"}
PHASE_COLOURS = {
    "solid": "#3f7cc0",
    "interface": "#dd9f26",
    "liquid": "#cf4f63",
    "untagged": "#8b95a1",
}
PHASE_MARKERS = {"solid": "o", "interface": "D", "liquid": "^", "untagged": "s"}
WIDTH = 10.4  # inches; on the page the figures scale with the column
PNG_DPI = 200

_RC: Any = {
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8.0,
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": INK,
    "grid.alpha": 0.11,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "text.parse_math": False,  # names from campaign files are text, a $ in them too
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "fw_nnp",
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the style of the report; the reader's own matplotlib settings stay as they are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def inline_svg(figure: Figure, name: str) -> str:
    """The figure as an ``<svg>`` element for the page, its ids made unique by `name`."""
    buffer = io.StringIO()
    with drawing():
        figure.savefig(buffer, format="svg", dpi=PNG_DPI, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:xmlns:xlink|xmlns)="[^"]*"', "", svg)  # HTML knows them
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'xlink:href="#', f'href="#{name}-', svg).replace("xlink:href", "href")
    svg = svg.replace("url(#", f"url(#{name}-")
    svg = re.sub(r'<svg ([^>]*?)height="[^"]*"([^>]*?)width="[^"]*"', r"<svg \1\2", svg, count=1)
    return svg.replace(INK, "currentColor")


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG on white, the same bytes each time."""
    buffer = io.BytesIO()
    with drawing():
        figure.savefig(
            buffer, format="png", dpi=PNG_DPI, facecolor="white", metadata={"Software": None}
        )
    return buffer.getvalue()


def without_ticks(axes: Axes) -> None:
    """No ticks below bars: their names say enough."""
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
