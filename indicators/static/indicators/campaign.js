// The campaign's picture: its marks, rows and sentences choose each other; keys walk; a PNG is drawn from what is shown.
// Without it each mark and row is a link that does the same.

(() => {
const canvas = document.querySelector("[data-walk]");
const rows = [...document.querySelectorAll(".twin [data-row]")];

const choose = (code, { scroll = false } = {}) => {
  for (const each of document.querySelectorAll("[data-of], [data-code], .twin [data-row]")) {
    const own = each.dataset.of ?? each.dataset.code ?? each.dataset.row;
    each.classList.toggle("on", own === code);
    if (each.dataset.row) each.querySelector("a").setAttribute("aria-current", String(own === code));
  }
  for (const each of document.querySelectorAll("[data-about]")) each.hidden = each.dataset.about !== code;
  if (scroll) rows.find((row) => row.dataset.row === code)?.scrollIntoView({ block: "nearest" });
};

const chosen = () => rows.findIndex((row) => row.classList.contains("on"));
const about = () => document.querySelector("[data-about]:not([hidden])");

document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  const mark = event.target.closest("[data-code]");
  const row = event.target.closest("[data-row]");
  if (!mark && !row) return;
  if (row && event.target.closest("a") && !row.closest(".twin")) return;
  event.preventDefault();
  choose(mark ? mark.dataset.code : row.dataset.row);
});

const walk = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !rows.length) return;
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (step) choose(rows[(chosen() + step + rows.length) % rows.length].dataset.row, { scroll: true });
  else if (event.key === "Enter") about()?.querySelector("[data-enter]")?.click();
  else if (event.key === "x" || event.key === "X") about()?.querySelector("[data-expand]")?.click();
  else return;
  event.preventDefault();
};
canvas?.addEventListener("keydown", walk);

// A PNG: what the picture shows, drawn again on a canvas in the colours of the page.
const paint = (svg, scale) => {
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  const out = document.createElement("canvas");
  out.width = width * scale;
  out.height = height * scale;
  const pen = out.getContext("2d");
  pen.scale(scale, scale);
  pen.fillStyle = getComputedStyle(document.querySelector(".card")).backgroundColor;
  pen.fillRect(0, 0, width, height);
  const base = svg.getScreenCTM().inverse();
  for (const each of svg.querySelectorAll("path, circle, ellipse, text")) {
    const style = getComputedStyle(each);
    const { a, b, c, d, e, f } = base.multiply(each.getScreenCTM());
    pen.save();
    pen.transform(a, b, c, d, e, f);
    const number = (name) => Number(each.getAttribute(name) ?? 0);
    if (each.tagName === "text") {
      pen.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
      pen.textAlign = { middle: "center", end: "right" }[each.getAttribute("text-anchor")] ?? "left";
      const at = [each.textContent, number("x"), number("y") + number("dy")];
      if (style.stroke !== "none") {
        pen.lineJoin = "round";
        pen.lineWidth = parseFloat(style.strokeWidth);
        pen.strokeStyle = style.stroke;
        pen.strokeText(...at);
      }
      pen.fillStyle = style.fill;
      pen.fillText(...at);
    } else {
      const shape = new Path2D(each.getAttribute("d") ?? "");
      if (each.tagName !== "path") {
        const rx = number("r") || number("rx");
        shape.ellipse(number("cx"), number("cy"), rx, number("r") || number("ry"), 0, 0, 2 * Math.PI);
      }
      if (style.fill !== "none") {
        pen.globalAlpha = Number(style.fillOpacity);
        pen.fillStyle = style.fill;
        pen.fill(shape);
      }
      if (style.stroke !== "none") {
        pen.globalAlpha = Number(style.strokeOpacity);
        pen.setLineDash(style.strokeDasharray === "none" ? [] : style.strokeDasharray.split(",").map(parseFloat));
        pen.lineWidth = parseFloat(style.strokeWidth);
        pen.strokeStyle = style.stroke;
        pen.stroke(shape);
      }
    }
    pen.restore();
  }
  return out;
};

const save = document.querySelector("[data-png]");
if (save) save.hidden = false;
save?.addEventListener("click", () => {
  const svg = [...document.querySelectorAll(".drawing")].find((each) => each.getClientRects().length);
  if (!svg) return;
  paint(svg, 2).toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${save.dataset.png.replaceAll(" ", "-")}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
});
})();
