"use strict";
// What the page does beyond being read: sorting, copying, colours, and the link between the spine and the table.

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const told = read("report-data");
const byId = (id) => document.getElementById(id);
const rows = [...document.querySelectorAll("#scores tbody tr")];
let viewer = null, safe = false;

const parts = (colour) => [1, 3, 5].map((n) => parseInt(colour.slice(n, n + 2), 16));
function blend(ramp, share) {
  const place = Math.min(Math.max(share, 0), 1) * (ramp.length - 1), first = Math.min(Math.floor(place), ramp.length - 2);
  const [low, high] = [parts(ramp[first]), parts(ramp[first + 1])];
  return low.map((value, k) => Math.round(value + (high[k] - value) * (place - first)));
}
const scoreRamp = () => (safe ? told.ramps.safe : told.ramps.score);
const scoreColour = (score) => (score === "" || score === null ? parts(told.ramps.unscored) : blend(scoreRamp(), score / 100));
const hex = (rgb) => "#" + rgb.map((value) => value.toString(16).padStart(2, "0")).join("");

function recolour() {
  for (const drawn of document.querySelectorAll("[data-score]")) {
    for (const name of ["fill", "stroke"]) if (drawn.hasAttribute(name)) drawn.setAttribute(name, hex(scoreColour(drawn.dataset.score)));
  }
  if (viewer) viewer.refresh();
  showLegend();
}

function showLegend() {
  const deficit = byId("show-deficit").checked && viewer !== null;
  byId("legend-deficit").hidden = !deficit; byId("legend-safe").hidden = deficit || !safe; byId("legend-score").hidden = deficit || safe;
}

// ---- one vertebra at a time, in the table and in the spine
function pick(row, scroll) {
  rows.forEach((line) => {
    const chosen = Number(line.dataset.row) === row;
    line.classList.toggle("picked", chosen);
    line.querySelector("button").setAttribute("aria-pressed", chosen);
    if (chosen && scroll) line.scrollIntoView({ block: "nearest" });
  });
  for (const cut of document.querySelectorAll("figure.cutout")) cut.classList.toggle("picked", Number(cut.dataset.row) === row);
  if (viewer) viewer.pick(told.vertebrae.findIndex((one) => one.row === row));
  const line = rows.find((one) => Number(one.dataset.row) === row);
  byId("picked").textContent = line ? line.dataset.said : "No vertebra chosen";
}
rows.forEach((line) => line.addEventListener("click", () => pick(line.classList.contains("picked") ? -1 : Number(line.dataset.row), false)));

// ---- sorting: rows without a value stay last
for (const button of document.querySelectorAll("#scores thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th"), column = head.cellIndex, up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of document.querySelectorAll("#scores thead th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (line) => line.cells[column].dataset.value;
    const compare = (one, other) => (isNaN(one) || isNaN(other) ? one.localeCompare(other) : one - other);
    const sorted = [...rows].sort((one, other) => {
      const [a, b] = [key(one), key(other)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return up ? compare(a, b) : compare(b, a);
    });
    byId("scores").tBodies[0].append(...sorted);
  });
}

// ---- the table as tab-separated text, in the order shown
byId("copy").addEventListener("click", async () => {
  const lines = [...byId("scores").rows].map((line) => [...line.cells].map((cell) => cell.dataset.text ?? cell.dataset.value ?? cell.textContent.trim()).join("\t"));
  const text = lines.join("\n") + "\n";
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // a frame without leave for the clipboard: the old way
    const box = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(box); box.select(); document.execCommand("copy"); box.remove();
  }
  byId("copied").textContent = "Copied.";
});

byId("safe").addEventListener("change", (event) => { safe = event.target.checked; recolour(); });

// ---- the spine
async function startViewer() {
  const canvas = byId("spine"), holder = byId("labels");
  byId("stage").hidden = false;
  let bytes;
  try {
    bytes = await unpackPayload(byId("report-surfaces").textContent);
  } catch { bytes = null; }
  const labels = told.vertebrae.map((one) => Object.assign(document.createElement("span"), { textContent: one.level }));
  const css = (name) => parts(getComputedStyle(document.documentElement).getPropertyValue(name).trim()).map((value) => value / 255);
  const style = {
    colour: (n) => scoreColour(told.vertebrae[n].score).map((value) => value / 255),
    deficit: (mm) => blend(told.ramps.deficit, 0.5 + mm / (2 * told.deficit_limit_mm)),
    shell: () => css("--shell"), accent: () => css("--accent"),
  };
  holder.append(...labels);
  viewer = bytes && openViewer(canvas, labels, bytes, told.vertebrae, style, (n) => pick(n < 0 ? -1 : told.vertebrae[n].row, true));
  if (!viewer) { byId("stage").hidden = true; document.body.dataset.viewer = "none"; return; }
  byId("profile").hidden = true;
  for (const button of document.querySelectorAll("[data-look]")) button.addEventListener("click", () => viewer.look(button.dataset.look));
  byId("show-deficit").addEventListener("change", (event) => { viewer.show({ deficit: event.target.checked }); showLegend(); });
  byId("show-expected").addEventListener("change", (event) => viewer.show({ shell: event.target.checked }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => viewer.refresh());
  document.body.dataset.viewer = "ready";
  performance.mark("first picture");
}
showLegend();
if (told.vertebrae.length) startViewer(); else document.body.dataset.viewer = "none";
