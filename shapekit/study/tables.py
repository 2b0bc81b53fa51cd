"""Tables of scores, a row a vertebra → with covariates, reference ranges by level and sex, and how well repeated scans agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shapekit.core.checks import InputError
from shapekit.core.levels import Level
from shapekit.evaluation import bootstrap

if TYPE_CHECKING:
    import pandas

Float = NDArray[np.float64]
_SUBJECT = r"(sub-[A-Za-z0-9]+)(?:_|$)"


def with_covariates(table: pandas.DataFrame, people: pandas.DataFrame, *, on: str | None = None) -> pandas.DataFrame:
    """Pass what is known of each person or scan (age, sex, ...) on to every row of a table of scores.

    Parameters
    ----------
    table : DataFrame
        A row a vertebra, with the column ``case`` (as ``SpineScore.table()``) or ``subject``.
    people : DataFrame
        A row a person or scan, with the same column; BIDS's ``participant_id`` counts as ``subject``.
    on : str, optional
        The column to join by; else ``case`` where both have it, then ``subject``. A table without ``subject`` takes it from the
        ``sub-<label>`` that its cases' names begin with.

    Returns
    -------
    DataFrame
        The rows of ``table`` in their order with the columns of ``people`` behind; missing values for whom nothing is known.

    Raises
    ------
    InputError
        If there is nothing to join by, somebody has two rows, or both tables have another column in common.

    Examples
    --------
    >>> import pandas as pd
    >>> scores = pd.DataFrame({"case": ["sub-01_seg-vert_msk", "sub-02_msk"], "score": [4.0, 60.0]})
    >>> with_covariates(scores, pd.DataFrame({"participant_id": ["sub-02", "sub-01"], "age": [71, 64]}))["age"].tolist()
    [64, 71]
    """
    known = people.rename(columns={"participant_id": "subject"}) if "subject" not in people else people
    rows = table
    if "subject" not in rows and "case" in rows and on != "case":
        rows = rows.assign(subject=rows["case"].str.extract(_SUBJECT, expand=False))
    shared = [name for name in ("case", "subject") if name in rows and name in known] if on is None else [on]
    if not shared or shared[0] not in rows or shared[0] not in known:
        raise InputError("the two tables have no column case or subject in common; name one with on=.")
    key = shared[0]
    if twice := known[key][known[key].duplicated()].tolist():
        raise InputError(f"{twice[0]} has more than one row in the table of people; keep one a {key}.")
    clash = [name for name in known.columns if name in rows.columns and name != key]
    if clash:
        raise InputError(f"both tables have the column {clash[0]}; rename it in one of them.")
    return rows.merge(known, on=key, how="left", validate="many_to_one")


def reference_ranges(
    table: pandas.DataFrame,
    columns: Sequence[str],
    *,
    by: Sequence[str] = ("level",),
    percentiles: Sequence[float] = (2.5, 50.0, 97.5),
    confidence: float = 0.9,
) -> pandas.DataFrame:
    """Work out percentiles of measured columns by level (and sex, ...), with intervals that assume no distribution.

    A percentile is the sample's at rank p (n + 1) (CLSI EP28-A3c 2010, section 9). Its interval runs between the two order statistics that
    enclose it with at least the given probability, from the binomial distribution of how many values lie below it (David and Nagaraja,
    Order Statistics, 2003, section 7.1). Rows should be of different persons: give one scan a person, of normal vertebrae only.

    Parameters
    ----------
    table : DataFrame
        A row a vertebra. NaNs are left out.
    columns : sequence of str
        What to describe, e.g. ``["ha_mm", "score"]``.
    by : sequence of str
        Columns whose values make the groups; levels come in their order from the head downward.
    percentiles : sequence of float
        0-100, exclusive.
    confidence : float
        Of each percentile's interval.

    Returns
    -------
    DataFrame
        A row a group, column and percentile: ``n, percentile, value, low, high``; NaN where there are too few values to say: 39 for the
        2.5th percentile itself, 119 for a two-sided 90 % interval of it.

    Raises
    ------
    InputError
        If a column is missing, or a percentile or the confidence is out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"level": "L1", "ha_mm": range(1, 100)})
    >>> reference_ranges(table, ["ha_mm"], percentiles=[50])[["n", "value", "low", "high"]].iloc[0].tolist()
    [99.0, 50.0, 41.0, 59.0]
    """
    import pandas

    _check_columns(table, [*columns, *by])
    if not 0 < confidence < 1 or not all(0 < p < 100 for p in percentiles):
        raise InputError("percentiles must lie between 0 and 100 and the confidence between 0 and 1, all exclusive.")
    rows = []
    for key, part in table.groupby(list(by), sort=False, dropna=False, observed=True):
        for column in columns:
            values = np.sort(part[column].dropna().to_numpy(np.float64))
            for p in percentiles:
                value, low, high = _percentile(values, p / 100, confidence)
                group = dict(zip(by, key, strict=True))
                rows.append({**group, "column": column, "n": len(values), "percentile": p, "value": value, "low": low, "high": high})
    found = pandas.DataFrame(rows, columns=[*by, "column", "n", "percentile", "value", "low", "high"])
    return found.sort_values(list(by), key=_in_order, kind="stable", ignore_index=True)


def repeatability(
    table: pandas.DataFrame,
    columns: Sequence[str],
    *,
    target: Sequence[str] = ("subject", "level"),
    occasion: str = "scan",
    patient: str = "subject",
    draws: int = 500,
    seed: int = 0,
) -> pandas.DataFrame:
    """Say how well scans of the same vertebrae agree: within-subject SD, repeatability coefficient, limits of agreement, ICCs.

    With n targets measured on k occasions each, and the mean squares of the two-way analysis of variance between targets (BMS), between
    occasions (JMS), of the residual (EMS) and within targets (WMS):

    * ``within_sd`` = √WMS; ``repeatability`` = 1.96 √2 ``within_sd``, below which two measurements of a target differ in 95 %
      (Bland and Altman, BMJ 1996, 313:744); ``cv_percent`` = 100 ``within_sd`` / mean.
    * ``icc_2_1`` = (BMS - EMS) / (BMS + (k - 1) EMS + k (JMS - EMS) / n): absolute agreement, occasions drawn from many;
      ``icc_3_1`` = (BMS - EMS) / (BMS + (k - 1) EMS): consistency on these occasions (Shrout and Fleiss, Psychol Bull 1979, 86:420).
    * ``bias``, ``limit_low``, ``limit_high``: mean of second minus first, and ± 1.96 SD of it (Bland and Altman, Lancet 1986, 1:307); for k = 2.

    Parameters
    ----------
    table : DataFrame
        A row a target and occasion.
    columns : sequence of str
        What was measured. Targets that were not measured on every occasion are left out and counted.
    target : sequence of str
        Columns that say what was measured again.
    occasion : str
        Column that says when; occasions count in the order of their values.
    patient : str
        Column that says whose; 95 % intervals (``..._lo``, ``..._hi``) draw patients again, because the vertebrae of one are alike.
    draws, seed : int
        Of that bootstrap.

    Returns
    -------
    DataFrame
        A row a column: ``column, targets, occasions, left_out, mean``, then the above.

    Raises
    ------
    InputError
        If a column is missing, a target has two rows for one occasion, or there are fewer than two of either.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"subject": [1, 1, 2, 2], "level": "L1", "scan": [1, 2, 1, 2], "score": [1.0, 3.0, 11.0, 13.0]})
    >>> told = repeatability(table, ["score"], draws=5).iloc[0]
    >>> [round(float(told[name]), 3) for name in ("within_sd", "bias", "icc_3_1")]
    [1.414, 2.0, 1.0]
    """
    import pandas

    _check_columns(table, [*columns, *target, occasion, patient])
    if table.duplicated([*target, occasion]).any():
        raise InputError(f"a target has two rows for one {occasion}; keep one, or name what tells them apart in target=.")
    rows = []
    for column in columns:
        wide = table.pivot(index=list(target), columns=occasion, values=column).astype(np.float64)
        whole = wide.dropna()
        values = whole.to_numpy()
        if min(values.shape) < 2:
            raise InputError(f"{column} has {values.shape[0]} targets on {values.shape[1]} occasions each, but needs at least two of both.")
        whose = table.drop_duplicates(list(target)).set_index(list(target), drop=False)[patient].reindex(whole.index)
        owners = np.unique(whose.astype(str), return_inverse=True)[1]
        told: dict[str, object] = {"column": column, "targets": len(values), "occasions": values.shape[1], "left_out": len(wide) - len(whole)}
        told["mean"] = float(values.mean())
        for name, figure in (("within_sd", _within_sd), ("icc_2_1", _icc_2_1), ("icc_3_1", _icc_3_1)):
            told[name], told[f"{name}_lo"], told[f"{name}_hi"] = bootstrap(_of(figure, values), owners, draws=draws, seed=seed)
        within = _within_sd(values)
        told |= {"repeatability": 1.96 * math.sqrt(2) * within, "cv_percent": 100 * within / told["mean"] if told["mean"] else math.nan}  # type: ignore[operator]
        told |= dict(zip(("bias", "limit_low", "limit_high"), _limits(values), strict=True))
        rows.append(told)
    return pandas.DataFrame(rows)


def _of(figure: Callable[[Float], float], values: Float) -> Callable[[NDArray[np.integer]], float]:
    return lambda chosen: figure(values[chosen])


def _within_sd(values: Float) -> float:
    return float(np.sqrt(values.var(axis=1, ddof=1).mean()))


def _mean_squares(values: Float) -> tuple[float, float, float]:
    """Between targets, between occasions, residual."""
    n, k = values.shape
    rows, columns, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
    residual = values - rows[:, None] - columns[None] + mean
    between, occasions = k * ((rows - mean) ** 2).sum() / (n - 1), n * ((columns - mean) ** 2).sum() / (k - 1)
    return float(between), float(occasions), float((residual**2).sum() / ((n - 1) * (k - 1)))


def _icc_2_1(values: Float) -> float:
    n, k = values.shape
    between, occasions, error = _mean_squares(values)
    below = between + (k - 1) * error + k * (occasions - error) / n
    return (between - error) / below if below > 0 else math.nan


def _icc_3_1(values: Float) -> float:
    between, _, error = _mean_squares(values)
    below = between + (values.shape[1] - 1) * error
    return (between - error) / below if below > 0 else math.nan


def _limits(values: Float) -> tuple[float, float, float]:
    if values.shape[1] != 2:
        return math.nan, math.nan, math.nan
    apart = values[:, 1] - values[:, 0]
    bias, reach = float(apart.mean()), 1.96 * float(apart.std(ddof=1))
    return bias, bias - reach, bias + reach


def _percentile(values: Float, share: float, confidence: float) -> tuple[float, float, float]:
    from scipy.stats import binom

    n = len(values)
    rank = share * (n + 1)
    value = float(np.quantile(values, share, method="weibull")) if n and 1 <= rank <= n else math.nan
    first, last = (int(binom.ppf(tail, n, share)) for tail in ((1 - confidence) / 2, (1 + confidence) / 2)) if n else (0, 0)
    if first < 1 or last + 1 > n:
        return value, math.nan, math.nan
    return value, float(values[first - 1]), float(values[last])


def _in_order(values: pandas.Series) -> pandas.Series:
    """Sort levels from the head downward, anything else as it is."""
    if values.name != "level":
        return values.astype(str)
    ranks = {str(level): level.rank for level in Level}
    return values.map(lambda level: ranks.get(str(level), len(ranks)))


def _check_columns(table: pandas.DataFrame, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in table]
    if missing:
        raise InputError(f"the table has no column {missing[0]}; it has {', '.join(map(str, table.columns))}.")
