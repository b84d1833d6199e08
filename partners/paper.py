"""Documents on paper (PDF): one layout for the log of a period and for the cover sheet of a report package."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

_INK = colors.HexColor("#16202c")
_SOFT = colors.HexColor("#566273")
_LINE = colors.HexColor("#c3cad5")
_MARGIN = 20 * mm
_PADDING = 6  # of a frame, as reportlab sets it
_WIDTH = A4[0] - 2 * (_MARGIN + _PADDING)

_TEXT = ParagraphStyle("text", fontName="Helvetica", fontSize=9.5, leading=13, textColor=_INK, spaceAfter=4)
_CELL = ParagraphStyle("cell", parent=_TEXT, fontSize=8.5, leading=11, spaceAfter=0)
_HEAD = ParagraphStyle("head", parent=_CELL, fontName="Helvetica-Bold", textColor=_SOFT)
_MONO = ParagraphStyle("mono", parent=_CELL, fontName="Courier", fontSize=8, leading=10.5, wordWrap="CJK")
_TITLE = ParagraphStyle("title", parent=_TEXT, fontName="Helvetica-Bold", fontSize=18, leading=23, spaceAfter=2)
_SUBTITLE = ParagraphStyle("subtitle", parent=_TEXT, fontSize=11, leading=15, textColor=_SOFT, spaceAfter=10)
_HEADING = ParagraphStyle("heading", parent=_TEXT, fontName="Helvetica-Bold", fontSize=12, leading=16, spaceBefore=10)


class Paper:
    """A document that is put together from the top, then rendered once."""

    def __init__(self, title: str, *, subtitle: str, marking: str = "") -> None:
        self._title = title
        self._marking = marking
        self._parts: list[Flowable] = [Paragraph(_plain(title), _TITLE), Paragraph(_plain(subtitle), _SUBTITLE)]

    def heading(self, text: str) -> None:
        """A heading, kept with what follows."""
        self._parts.append(Paragraph(_plain(text), _HEADING))

    def text(self, text: str) -> None:
        """A paragraph."""
        self._parts.append(Paragraph(_plain(text), _TEXT))

    def code(self, lines: Iterable[str]) -> None:
        """Lines to be typed or compared."""
        self._parts += [Paragraph(_plain(line), _MONO) for line in lines]
        self._parts.append(Spacer(0, 4))

    def facts(self, pairs: Iterable[tuple[str, str]], *, mono: Sequence[str] = ()) -> None:
        """Names and values, side by side; those in `mono` are to be compared letter by letter."""
        rows = [
            [Paragraph(_plain(name), _HEAD), Paragraph(_plain(value), _MONO if name in mono else _CELL)]
            for name, value in pairs
        ]
        table = Table(rows, colWidths=[_WIDTH * 0.24, _WIDTH * 0.76], hAlign="LEFT")
        table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]))
        self._parts += [table, Spacer(0, 4)]

    def table(
        self, names: Sequence[str], rows: Iterable[Sequence[str]], *, widths: Sequence[float], empty: str
    ) -> None:
        """A table whose heads repeat on each page; `widths` are parts of the whole."""
        body = [[Paragraph(_plain(cell), _CELL) for cell in row] for row in rows]
        if not body:
            self.text(empty)
            return
        head = [Paragraph(_plain(name), _HEAD) for name in names]
        share = _WIDTH / sum(widths)
        table = Table([head, *body], colWidths=[width * share for width in widths], repeatRows=1, hAlign="LEFT")
        table.setStyle(
            TableStyle(
                [
                    ("VALIGN", (0, 0), (-1, -1), "TOP"),
                    ("LINEBELOW", (0, 0), (-1, 0), 0.8, _LINE),
                    ("LINEBELOW", (0, 1), (-1, -1), 0.3, _LINE),
                    ("TOPPADDING", (0, 0), (-1, -1), 3),
                    ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
                    ("LEFTPADDING", (0, 0), (0, -1), 0),
                ]
            )
        )
        self._parts += [table, Spacer(0, 6)]

    def render(self) -> bytes:
        """The PDF, with the marking and the page number on each page."""
        file = io.BytesIO()
        document = SimpleDocTemplate(
            file,
            pagesize=A4,
            leftMargin=_MARGIN,
            rightMargin=_MARGIN,
            topMargin=_MARGIN,
            bottomMargin=_MARGIN,
            title=self._title,
            author="Exchange",
        )
        document.build(
            _kept(self._parts), canvasmaker=lambda *a, **k: _Numbered(*a, foot=(self._title, self._marking), **k)
        )
        return file.getvalue()


class _Numbered(Canvas):  # type: ignore[misc]  # untyped in its library
    """Draws the foot of each page once it is known how many there are."""

    def __init__(self, *args: Any, foot: tuple[str, str], **more: Any) -> None:
        super().__init__(*args, **more)
        self._foot = foot
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802 - reportlab's name
        """Keep the page until the end."""
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        """Draw the feet, then all."""
        title, marking = self._foot
        for number, page in enumerate(self._pages, start=1):
            self.__dict__.update(page)
            self.setFont("Helvetica", 8)
            self.setFillColor(_SOFT)
            self.drawString(_MARGIN + _PADDING, 12 * mm, title[:100])
            self.drawRightString(A4[0] - _MARGIN - _PADDING, 12 * mm, f"Page {number} of {len(self._pages)}")
            if marking:
                self.setFillColor(_INK)
                self.setFont("Helvetica-Bold", 8)
                self.drawRightString(A4[0] - _MARGIN - _PADDING, A4[1] - 12 * mm, marking)
            super().showPage()
        super().save()


def _kept(parts: Sequence[Flowable]) -> list[Flowable]:
    """No heading alone at the foot of a page: each is kept with a short part that follows it."""
    kept: list[Flowable] = []
    for part in parts:
        before = kept[-1] if kept else None
        if isinstance(before, Paragraph) and before.style is _HEADING and isinstance(part, Paragraph):
            kept[-1] = KeepTogether([before, part])
        else:
            kept.append(part)
    return kept


def _plain(text: str) -> str:
    """Text as it is: what people wrote is no markup, and what the built-in fonts lack is a question mark."""
    return escape(text.encode("cp1252", "replace").decode("cp1252"))
