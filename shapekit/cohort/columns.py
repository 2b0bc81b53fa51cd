"""The columns of a cohort's tables: their order, types, units and meanings."""

from __future__ import annotations

from dataclasses import fields

from shapekit.core.values import COLUMNS, Measures

ABOUT = {
    "participant_id": "whose scan it is",
    "session": "BIDS session of the scan",
    "age": "years, from the data set's participants.tsv",
    "sex": "F, M or O, from the data set's participants.tsv",
    "case": "the scan: its mask's stem",
    "level": "anatomical level, C1 to L6",
    "label": "value of the vertebra in the mask",
    "status": "ok, uncertain (its interval is wide), or why there is no score: partial, no_context, outside_levels, no_body",
    "reason": "what was noticed, in words",
    "score": "departure from the expected shape, 0 to 100",
    "score_lo": "lower end of the score's 90 % interval",
    "score_hi": "upper end of the score's 90 % interval",
    "relative_loss": "weighted missing volume as a share of the expected body's",
    "deformity": "wedge, biconcave or crush, where the height loss reaches grade 1",
    "genant_grade": "0 to 3, by the height loss against the expected body",
    "height_loss": "worst of the three height losses against the expected body",
    "height_loss_neighbours": "worst of the three height losses against the nearest unfractured vertebrae",
    "ha_mm": "anterior height",
    "hm_mm": "middle height",
    "hp_mm": "posterior height",
    "expected_ha_mm": "anterior height of the expected body",
    "expected_hm_mm": "middle height of the expected body",
    "expected_hp_mm": "posterior height of the expected body",
    "predicted_ha_mm": "anterior height that the neighbours alone suggest",
    "predicted_hm_mm": "middle height that the neighbours alone suggest",
    "predicted_hp_mm": "posterior height that the neighbours alone suggest",
    "weighted_surplus_mm3": "missing volume, weighted towards the body's middle",
    "surplus_anterior_mm3": "weighted missing volume of the anterior third",
    "surplus_middle_mm3": "weighted missing volume of the middle third",
    "surplus_posterior_mm3": "weighted missing volume of the posterior third",
    "surplus_mm3": "missing volume, unweighted",
    "excess_mm3": "volume beyond the expected body, unweighted",
    "expected_mm3": "volume of the expected body",
    "actual_mm3": "volume of the actual body",
    "l_ap_mm": "anterior-posterior chord through the actual body's middle",
    "l_lr_mm": "left-right chord through the actual body's middle",
    "tilt_sagittal_deg": "tilt of the actual body's frame in the sagittal plane",
    "tilt_coronal_deg": "tilt of the actual body's frame in the coronal plane",
    "rotation_axial_deg": "rotation of the actual body's frame about its axis",
    "frame_error_deg": "radius that holds the frame's true rotation in two of three bodies",
    "surface_distance_mm": "mean symmetric distance between the expected and the actual surface",
    "neighbours_used": "levels that the expected shape rests on",
    "neighbours_repaired": "those of them that were shown as they should look",
    "predictor": "what the expected shape comes from",
    "weights_id": "first digits of the weights' checksum",
    "shapekit_version": "version that scored the scan",
}
"""Every column's meaning."""
GROUP_COLUMNS = ("participant_id", "session", "age", "sex", *COLUMNS)
"""Columns of the group's tables."""
UNITS = {"_mm": "mm", "_mm3": "mm^3", "_deg": "degree"}
MISSING = "n/a"
"""What BIDS tables say of a value that is not there."""
_MEASURED = {field.name: str(field.type) for field in fields(Measures)}


def kind_of(column: str) -> type:
    """Return what a column holds: ``float``, ``int`` or ``str``."""
    if column == "age" or _MEASURED.get(column, "") == "float":
        return float
    return int if _MEASURED.get(column, "").startswith("int") else str


def dictionary() -> dict[str, dict[str, str]]:
    """Return the columns as a BIDS sidecar describes them."""
    said = {name: {"Description": ABOUT[name]} for name in GROUP_COLUMNS}
    for name, entry in said.items():
        unit = next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")
        if unit:
            entry["Units"] = unit
    said["age"]["Units"] = "year"
    return said
