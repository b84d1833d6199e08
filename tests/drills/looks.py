"""Pictures of pages, compared by what they look like from afar: where there is ink, of which tone, and how much of it.

A picture becomes a grid of cells, each the mean red, green and blue of its pixels in sixteen steps. What another
font or a word more changes is less than a step; a column that moved, a card that lost its ground or a colour that does
not follow the theme is many cells. The browser itself reads the picture: no library for images is needed.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

KEPT = Path(__file__).parents[1] / "data" / "looks.json"
#: Cells across a wide picture and one of a phone; as many down as make them square.
ACROSS, ACROSS_PHONE = 32, 16
#: A cell differs from so many of its sixteen steps on, in one colour; so many cells in a hundred may differ.
STEPS, SHARE = 2, 6

_GRID = """
async ([picture, wide, narrow]) => {
  const image = new Image();
  image.src = picture;
  await image.decode();
  const across = image.width > 700 ? wide : narrow;
  const down = Math.max(1, Math.round(across * image.height / image.width));
  const canvas = document.createElement("canvas");
  canvas.width = image.width; canvas.height = image.height;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const rows = [];
  for (let y = 0; y < down; y += 1) {
    let row = "";
    for (let x = 0; x < across; x += 1) {
      const [left, top] = [Math.floor(x * image.width / across), Math.floor(y * image.height / down)];
      const [width, height] = [Math.floor((x + 1) * image.width / across) - left, Math.floor((y + 1) * image.height / down) - top];
      const pixels = context.getImageData(left, top, width, height).data;
      const sums = [0, 0, 0];
      for (let at = 0; at < pixels.length; at += 4) for (let colour = 0; colour < 3; colour += 1) sums[colour] += pixels[at + colour];
      row += sums.map((sum) => Math.round(sum * 15 / 255 / (pixels.length / 4)).toString(16)).join("");
    }
    rows.push(row);
  }
  return rows;
}
"""


def grid(reader, picture: bytes) -> list[str]:
    """The rows of a picture: three hexadecimal digits for each cell. `reader` is an empty page of the browser."""
    return reader.evaluate(_GRID, [f"data:image/png;base64,{base64.b64encode(picture).decode()}", ACROSS, ACROSS_PHONE])


def differing(one: list[str], other: list[str]) -> float:
    """How many cells in a hundred differ; all where the sizes do."""
    if [len(row) for row in one] != [len(row) for row in other]:
        return 100.0
    cells = [
        max(abs(int(a, 16) - int(b, 16)) for a, b in zip(row[at : at + 3], also[at : at + 3], strict=True)) >= STEPS
        for row, also in zip(one, other, strict=True)
        for at in range(0, len(row), 3)
    ]
    return 100 * sum(cells) / len(cells)


def kept() -> dict[str, list[str]]:
    """The grids that were looked at and kept, by page, width and theme."""
    return json.loads(KEPT.read_text()) if KEPT.exists() else {}


def keep(found: dict[str, list[str]]) -> None:
    """Keep these instead."""
    KEPT.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n")
