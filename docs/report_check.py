"""Print the figures of docs/report.md: size of each report, what a browser says, when the first picture stands; screenshots of the demo patient.

Needs Chromium. Real cases are read in place beside the repository (shared/data); they are evidence only, and their pictures go to out/report.
"""

import statistics
import sys
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import shapekit as sk
from shapekit.report.figure import save_figure
from tests.report.chromium import Chromium, executable

DATA = ROOT.parent / "shared" / "data"
CASES = {
    "demo patient": ROOT / "data" / "demo" / "demo_spine.nii.gz",
    "VerSe 004": DATA / "verse19" / "sub-verse004_seg-vert_msk.nii.gz",
    "s0327": DATA / "totalsegmentator" / "s0327_vertebrae_verse-labels.nii.gz",
}
FIGURES, OUT = ROOT / "docs" / "figures", ROOT / "out" / "report"
REPEATS = 5


def click_works(browser):
    """Choose each body with a click in the middle of it; say how many marked their own row."""
    found = 0
    names = browser.value("[...document.querySelectorAll('#labels span')].map((e) => e.textContent)")
    for name in names:
        browser.click(*browser.middle_of(name))
        marked = browser.value("[...document.querySelectorAll('#scores tr.picked th')].map((e) => e.textContent.trim())")
        found += marked == [name]
    return f"{found} of {len(names)}"


if executable() is None:
    sys.exit("docs/report_check.py needs Chromium on the path (Debian's package chromium).")
OUT.mkdir(parents=True, exist_ok=True)
print("| case | bodies | report, MB | written in, s | first picture, s: median (worst) of 5 | console | requests | bodies found by a click |")
print("|---|---|---|---|---|---|---|---|")
for name, mask in CASES.items():
    if not mask.exists():
        print(f"| {name} | not there | | | | | | |")
        continue
    result = sk.score(sk.load(mask))
    begin = time.perf_counter()
    page = result.show().page
    taken = time.perf_counter() - begin
    path = OUT / f"{result.name}.html"
    path.write_text(page, encoding="utf-8")
    firsts, said, asked = [], [], set()
    for _ in range(REPEATS):
        with Chromium() as browser:  # a new browser each time: nothing is compiled or cached
            browser.open(path)
            firsts.append(browser.value("performance.getEntriesByName('first picture')[0].startTime") / 1000)
            said += browser.complaints()
            asked |= set(browser.requests()) - {path.resolve().as_uri()}
    with Chromium() as browser:
        browser.open(path, width=1440, height=900)
        clicked = click_works(browser)
        where = FIGURES if name == "demo patient" else OUT
        browser.open(path, width=1440, height=900)
        (where / "report.png").with_stem(f"report_{result.name}").write_bytes(browser.screenshot())
        browser.click_on("#show-deficit")
        browser.value("window.scrollTo(0, 0)")
        browser.settle()
        (where / "report.png").with_stem(f"report_{result.name}_deficit").write_bytes(browser.screenshot())
    worst = max((one for one in result if one.status == "ok"), key=lambda one: one.score)
    save_figure(result.figure(str(worst.level)), where / f"card_{result.name}.png")
    save_figure(result.figure(), where / f"spine_{result.name}.png")
    for picture in where.glob(f"*_{result.name}*.png"):
        Image.open(picture).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(picture, optimize=True)
    times = f"{statistics.median(firsts):.2f} ({max(firsts):.2f})"
    heard = "silent" if not said else f"{len(said)} lines"
    size = f"{len(page.encode()) / 1e6:.2f}"
    print(f"| {name} | {len(result)} | {size} | {taken:.1f} | {times} | {heard} | {len(asked) or 'none'} | {clicked} |", flush=True)
