"""Print the table of docs/evaluation.md on real cases: scores of every predictor beside each other (shared/data; never trained on)."""

import sys
from pathlib import Path

import shapekit as sk

sys.path.insert(0, str(Path(__file__).parent))
from real_cases import CASES, DATA, grades

NAMES = ("neighbours", "linear", "coarse", "generative")


def main():
    known = grades()
    print(f"| case | level | grade | {' | '.join(NAMES)} | 90 % | repaired |\n|---|---|---|{'---|' * len(NAMES)}---|---|")
    healthy = {name: [] for name in NAMES}
    for file in CASES[:6]:
        spine = sk.load(DATA / file)
        results = {name: sk.score(spine, predictor=name) for name in NAMES}
        for vertebra in results["generative"]:
            level, row = vertebra.measures.level, vertebra.measures
            scores = [results[name][level].score for name in NAMES]
            if row.status not in ("ok", "uncertain"):
                continue
            grade = known.get((spine.name.split("_")[0], level), "0" if "healthy" in file else "")
            if grade == "0":
                for name, value in zip(NAMES, scores, strict=True):
                    healthy[name].append(value)
            shown = " | ".join(f"{value:.1f}" for value in scores)
            print(f"| {spine.name.split('_')[0]} | {level} | {grade} | {shown} | {row.score_lo:.0f}-{row.score_hi:.0f} | {row.neighbours_repaired} |")
    print("\nGrade 0, share that scores 15 or less, and mean:")
    for name in NAMES:
        values = healthy[name]
        print(f"- {name}: {sum(value <= 15 for value in values)} of {len(values)}, mean {sum(values) / len(values):.1f}")


if __name__ == "__main__":
    main()
