"""A page of sections, tables and figures as one HTML file without scripts or outside resources."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 46rem; margin: 0 auto;
  padding: 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 0.5rem; border-bottom: 2px solid #1b6ca8; }
h3 { font-size: 1rem; margin: 0 0 0.5rem; }
nav a { margin-right: 1rem; } a { color: #1b6ca8; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 0.6rem 0.35rem 0; border-bottom: 1px solid #ddd; }
td:nth-child(2) { white-space: nowrap; font-variant-numeric: tabular-nums; }
figure { margin: 1.5rem 0; padding: 0.75rem; border: 1px solid #ddd; border-radius: 6px; }
img { display: block; width: 100%; height: auto; }
figcaption { font-size: 0.875rem; margin-top: 0.5rem; } figcaption p { margin: 0.35rem 0; }
.missing { background: #f6f4ee; }
@media (max-width: 36rem) {
  thead { display: none; } table, tbody, tr { display: block; }
  tr { border-bottom: 1px solid #ddd; padding: 0.3rem 0; }
  td { display: inline; border: 0; padding: 0 0.5rem 0 0; } td:nth-child(2) { font-weight: bold; }
  td:nth-child(3) { display: block; color: #555; }
}
"""


@dataclass(frozen=True)
class PageFigure:
    """A figure with its caption.

    Attributes:
        title: What it is.
        shows: What is drawn, in plain words; or what is missing and how to get it.
        good: What it looks like when all is well; empty for a figure that is missing.
        image: PNG file; None if it is missing.
    """

    title: str
    shows: str
    good: str = ""
    image: bytes | None = None


@dataclass(frozen=True)
class Row:
    """A number with its measure.

    Attributes:
        name: What it is.
        value: What it came to.
        good: What it is when all is well.
    """

    name: str
    value: str
    good: str


@dataclass(frozen=True)
class Section:
    """A chapter of the page.

    Attributes:
        anchor: Its id.
        title: Its heading.
        intro: What it is about.
        rows: Numbers.
        figures: Figures.
    """

    anchor: str
    title: str
    intro: str
    rows: tuple[Row, ...] = ()
    figures: tuple[PageFigure, ...] = ()


def render(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Renders a page; every text is escaped.

    Args:
        title: Of the page.
        subtitle: Below it.
        sections: The chapters.

    Returns:
        The HTML file.
    """
    links = "".join(f'<a href="#{escape(s.anchor)}">{escape(s.title)}</a>' for s in sections)
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            f"<h1>{escape(title)}</h1>\n<p>{escape(subtitle)}</p>\n<nav>{links}</nav>",
            *map(_section, sections),
            "</body>\n</html>\n",
        ]
    )


def _section(section: Section) -> str:
    return "\n".join(
        [
            f'<section id="{escape(section.anchor)}">\n<h2>{escape(section.title)}</h2>',
            f"<p>{escape(section.intro)}</p>",
            _table(section.rows) if section.rows else "",
            *map(_figure, section.figures),
            "</section>",
        ]
    )


def _table(rows: Sequence[Row]) -> str:
    body = "\n".join(
        f"<tr><td>{escape(row.name)}</td><td>{escape(row.value)}</td><td>{escape(row.good)}</td></tr>" for row in rows
    )
    head = "<tr><th>quantity</th><th>value</th><th>good is</th></tr>"
    return f"<table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _figure(figure: PageFigure) -> str:
    if figure.image is None:
        return f'<figure class="missing"><h3>{escape(figure.title)}</h3><p>{escape(figure.shows)}</p></figure>'
    source = f"data:image/png;base64,{base64.b64encode(figure.image).decode()}"
    return (
        f'<figure>\n<h3>{escape(figure.title)}</h3>\n<img alt="{escape(figure.title)}" src="{source}">\n<figcaption>'
        f"<p>{escape(figure.shows)}</p>\n<p><strong>What good looks like:</strong> {escape(figure.good)}</p>"
        "</figcaption>\n</figure>"
    )
