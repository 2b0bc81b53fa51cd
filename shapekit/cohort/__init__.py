"""In: a data set's folder with any number of scans. Out: a folder of scores for each, and the cohort's tables and report."""

from shapekit.cohort.group import Group, write_group
from shapekit.cohort.job import Options
from shapekit.cohort.run import Plan, plan_run, running, score_cohort
from shapekit.cohort.scans import Cohort, Outcome, Scan, in_shard, open_cohort, parse_shard

__all__ = [
    "Cohort",
    "Group",
    "Options",
    "Outcome",
    "Plan",
    "Scan",
    "in_shard",
    "open_cohort",
    "parse_shard",
    "plan_run",
    "running",
    "score_cohort",
    "write_group",
]
