"""lr: which learning rates suit a study's default configuration, before anything is searched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch.cli.groups import Overrides, flat
from hpsearch.cli.options import FileArgument, Json, limit_threads, print_json

if TYPE_CHECKING:
    from hpsearch.preflight.lr_range import RangeTest
    from hpsearch.spec import StudySpec
    from hpsearch.spec.space import Parameter

__all__ = ["lr"]

_LOW, _HIGH = 1e-6, 10.0
"""Where the study does not search the learning rate."""

_BEYOND = 10.0
"""So many times below and above the study's range: whether that lies well is what is asked."""


@flat
def lr(
    file: FileArgument,
    *,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda:0, mps.", show_default="the first of this machine")
    ] = None,
    overrides: Overrides,
    json_: Json = False,
) -> None:
    """Try learning rates on the default configuration: a range test of a few seconds."""
    from hpsearch.spec import check_data

    spec = overrides.load(file)
    check_data(spec.data, file.parent)
    limit_threads(None)
    low, high = _ends(spec)
    found = _tested(spec, file.parent, device, low, high)
    chosen = _rounded(found.steepest) if found.steepest else None
    if json_:
        print_json(_described(spec, found, chosen))
    else:
        _show(spec, found, chosen)


def _searched(spec: StudySpec) -> Parameter | None:
    return next((p for p in spec.space if p.name == "lr"), None)


def _range(spec: StudySpec) -> tuple[float, float] | None:
    """The study's own; None: it does not search the learning rate."""
    from hpsearch.spec.space import Range

    parameter = _searched(spec)
    if parameter is None:
        return None
    domain = parameter.domain
    if isinstance(domain, Range):
        return domain.low, domain.high
    rates = [float(v) for v in domain.values if isinstance(v, (int, float))]
    return min(rates), max(rates)


def _ends(spec: StudySpec) -> tuple[float, float]:
    own = _range(spec)
    if own is None:
        return _LOW, _HIGH
    return max(own[0], _LOW) / _BEYOND, own[1] * _BEYOND


def _tested(
    spec: StudySpec, base: Path, device: str | None, low: float, high: float
) -> RangeTest:  # fmt: skip
    from hpsearch.checkpoints.places import data_settings
    from hpsearch.errors import HpsearchError, line
    from hpsearch.fleet import local_devices
    from hpsearch.preflight.lr_range import range_test
    from hpsearch.sources.dataset import load
    from hpsearch.stages import outline
    from hpsearch.training import devices
    from hpsearch.training.candidate import Candidate, derived_seed

    chosen = devices.device(device or local_devices()[0])
    devices.prepare(chosen, None)
    dataset = load(data_settings(spec, base), chosen)
    settings = spec.settings(outline.default_point(spec))
    candidate = Candidate(0, spec.family, settings, derived_seed(spec.search.seed, "range test"))
    try:
        return range_test(candidate, dataset, chosen, low, high)
    except (ArithmeticError, ValueError) as error:
        raise HpsearchError(f"the default configuration cannot be trained: {line(error)}") from None


def _rounded(rate: float) -> float:
    """One digit and a half: a range test knows no more."""
    return float(f"{rate:.1e}")


def _line(spec: StudySpec, rate: float) -> str | None:
    """The entry of the study file with that default; None where its values have none like it."""
    from hpsearch.spec.writing import entry

    parameter = _searched(spec)
    if parameter is None:
        return entry("lr", rate)
    default = _fitted(parameter, rate)
    if default is None:
        return None
    written = next(p for p in spec.filled["parameters"] if p["name"] == "lr")
    return entry("lr", {**written, "default": default})


def _fitted(parameter: Parameter, rate: float) -> float | None:
    """The value of its domain that is nearest; None: the rate lies outside."""
    import math

    grid = parameter.domain.grid
    values = [float(v) for v in grid or () if isinstance(v, (int, float))]
    if not values:
        return rate if parameter.domain.contains(rate) else None
    if not min(values) <= rate <= max(values):
        return None
    return min(values, key=lambda value: abs(math.log(value / rate)))


# --- what is said -----------------------------------------------------------------------------


def _described(spec: StudySpec, found: RangeTest, chosen: float | None) -> dict[str, Any]:
    own = _range(spec)
    points = zip(found.rates, found.losses, found.smooth, strict=True)
    return {
        "name": spec.name,
        "suggested": chosen,
        "largest": found.largest and _rounded(found.largest),
        "range": own and {"min": own[0], "max": own[1]},
        "in_range": _lies_in(own, chosen),
        "line": chosen and _line(spec, chosen),
        "points": [{"lr": rate, "loss": loss, "smooth": smooth} for rate, loss, smooth in points],
    }


def _lies_in(own: tuple[float, float] | None, rate: float | None) -> bool | None:
    return None if own is None or rate is None else own[0] <= rate <= own[1]


def _show(spec: StudySpec, found: RangeTest, chosen: float | None) -> None:
    from hpsearch.cli import show

    reached = f"{found.rates[0]:.1e} to {found.rates[-1]:.1e} in {len(found.rates)} steps"
    show.out.print(f"{spec.name}, the default configuration: learning rate {reached}")
    show.rates(found)
    show.out.print(_plot(found), end="", soft_wrap=True)
    if chosen is None or found.largest is None:
        show.out.print("the loss does not fall at any of these rates, but for chance")
        return
    show.out.print(f"suggested: {chosen:g}, where the loss falls fastest (Gugger 2018)")
    if found.largest == found.rates[-1]:
        show.out.print(f"largest: it does not rise up to {found.largest:g}")
    else:
        show.out.print(f"largest: {_rounded(found.largest):g}, from where on it rises (Smith 2017)")
    show.out.print(_advice(spec, chosen), soft_wrap=True)


def _advice(spec: StudySpec, chosen: float) -> str:
    own, line = _range(spec), _line(spec, chosen)
    if own is not None and not _lies_in(own, chosen):
        return f"the suggested rate is outside the study's range, {own[0]:g} to {own[1]:g}: move it"
    where = f"inside the study's range, {own[0]:g} to {own[1]:g}; " if own else ""
    return f"{where}to make it the default, put into the study file:\n  {line}"


def _plot(found: RangeTest) -> str:
    """Loss against rate, 80 columns wide."""
    import math

    import plotille

    top = max(found.smooth[: found.smooth.index(min(found.smooth)) + 1]) * 1.2
    figure = plotille.Figure()
    figure.width, figure.height, figure.with_colors, figure.origin = 60, 12, False, False
    figure.x_label, figure.y_label = "lr", "loss"
    figure.y_ticks_fkt = lambda low, _high: f"{low:10.3g}"
    figure.x_ticks_fkt = lambda low, _high: f"{10**low:<9.1e}"
    exponents = [math.log10(rate) for rate in found.rates]
    figure.set_x_limits(exponents[0], exponents[-1])
    figure.set_y_limits(min(found.smooth) - 0.05 * top, top)
    shown = [(x, y) for x, y in zip(exponents, found.smooth, strict=True) if y <= top]
    figure.plot([x for x, _ in shown], [y for _, y in shown])
    drawn = str(figure.show()).replace("\u2800", " ")  # an empty braille cell
    return "\n".join(map(str.rstrip, drawn.splitlines())) + "\n"
