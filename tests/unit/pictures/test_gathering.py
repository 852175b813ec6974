"""What pictures show of a network: computed from real ones, on real data, and drawn once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hpsearch.handover.trained import Trained
from hpsearch.insight.snapshot import Trial
from hpsearch.pictures import catalog, curves, errors, fit, maps, reconstructions, residuals, scores
from hpsearch.pictures.boundary import gather as boundary
from hpsearch.pictures.canvas import rendered
from hpsearch.pictures.confusion import gather as confusion
from hpsearch.pictures.filters import gather as filters
from hpsearch.pictures.subject import Source, Subject
from hpsearch.runner.epoch import Epoch
from hpsearch.sources.dataset import DataSettings, Prepared, load
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.registry import named
from hpsearch.training.networks import build

CPU = torch.device("cpu")
STUDIES = Path(__file__).parents[3] / "studies"


def a_trial(**given: Any) -> Trial:
    known = Trial(
        number=8, ticket=8, state="COMPLETE", value=0.9, params={}, epoch=3,
        curve={1: 0.5, 2: 0.9, 3: 0.8}, metrics={}, stage="joint", sampler="random", attempts=1,
        worker="w", reason=None, started=None, ended=None, best_epoch=2,
    )  # fmt: skip
    return replace(known, **given)


def subject(source: str, family: str, base: Path, trial: Trial | None = None, **keys: Any) -> Any:
    """A trial whose network is as it was drawn, never trained."""
    settings = {name: keys.pop(name) for name in list(keys) if name in ("depth", "width", "code")}
    data = load(DataSettings.of(source, base, every_class=True, **keys), CPU)
    problem = Prepared(**{name: getattr(data, name) for name in Prepared.__dataclass_fields__})
    problem = replace(problem, threshold=0.5 if problem.task == "anomaly" else None)
    chosen = {**FAMILIES[family].vocabulary().defaults, "epochs": 3, **settings}
    loss = {"classification": "cross_entropy"}.get(problem.task, "mse")
    chosen["loss"] = loss
    torch.manual_seed(0)
    weights = build(family, problem.problem(loss), chosen).state_dict()
    trained = Trained(family, chosen, weights, problem)
    return Subject(
        "s, trial 8", "accuracy", "maximize", trial or a_trial(), None, problem.classes, trained,
        Source(problem, data.train, data.validation, "validation part"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def digits() -> Any:
    return subject("digits", "cnn", Path())


@pytest.fixture(scope="module")
def circles() -> Any:
    return subject("table", "mlp", STUDIES, path="circles.csv", target="ring", width=8, depth=1)


def lined(folder: Path) -> Any:
    rows = [f"{x / 100},{0.7 * x / 100 + 0.3}" for x in range(100)]
    (folder / "line.csv").write_text("\n".join(["x,y", *rows]))
    return subject("table", "mlp", folder, path="line.csv", target="y", width=8, depth=1)


def test_curves_are_those_of_the_checkpoint_or_of_the_database() -> None:
    trial = a_trial()
    (only,) = curves.gather(Subject("s", "accuracy", "maximize", trial)).values
    assert only == ("validation", (0.5, 0.9, 0.8))
    epochs = [Epoch(n, v, {"train_loss": 1 / n, "loss": 2 / n, "accuracy": v}, 0.1)
              for n, v in trial.curve.items()]  # fmt: skip
    content = curves.gather(Subject("s", "accuracy", "maximize", trial, epochs))
    assert content.losses == (("training", (1.0, 0.5, 1 / 3)), ("validation", (2.0, 1.0, 2 / 3)))
    assert content.values == (only,)
    assert content.counts == 2
    of_loss = curves.gather(Subject("s", "loss", "minimize", trial, epochs))
    assert of_loss.values == ()  # it is drawn once
    assert curves.gather(Subject("s", "loss", "minimize", a_trial(curve={1: 0.5}))) is None


def test_the_matrix_is_the_one_kept_on_the_trial() -> None:
    kept = a_trial(details={"confusion": [[3, 1], [0, 2]]})
    content = confusion(Subject("s", "accuracy", "maximize", kept, None, ["a", "b"]))
    assert content.counts == ((3, 1), (0, 2))
    assert confusion(Subject("s", "accuracy", "maximize", a_trial(), None, ["a", "b"])) is None


def test_worst_errors_are_wrong_and_the_least_probable_come_first(digits: Any) -> None:
    content = errors.gather(digits)
    assert len(content.rows) == 24
    assert all(row.true != row.said for row in content.rows)
    assert content.measure == "its probability"
    assert content.rows[0].image.shape == (8, 8)
    sample = digits.sample
    odds = digits.predicted(sample).probabilities[np.arange(len(sample.rows)), sample.targets]
    worst = [float(odds[np.flatnonzero(sample.rows == row.row - 1)[0]]) for row in content.rows]
    assert worst == sorted(worst)
    assert worst[0] == pytest.approx(odds.min())


def test_filters_and_maps_are_those_of_the_first_convolutions(digits: Any) -> None:
    content, network = filters(digits), digits.trained.network
    first = next(m for m in network.modules() if isinstance(m, torch.nn.Conv2d))
    assert np.allclose(content.weights[0], first.weight[0].mean(dim=0).detach())
    rows = maps.gather(digits).rows
    assert len(rows) == 4  # two inputs, two layers
    assert rows[0].target != rows[2].target
    zero = torch.from_numpy(digits.sample.rows[:1])
    given = digits.source.part.batch(zero)[0]
    expected = first(given).detach().double()
    ((_, made),) = digits.traced(given, 1)
    assert torch.allclose(made, expected)
    assert digits.facts.convolves


def test_a_boundary_is_what_the_network_answers_in_the_units_of_the_data(circles: Any) -> None:
    content = boundary(circles)
    assert content.inputs == ("x", "y")
    left, right, lower, _ = content.ends
    assert left < content.points[:, 0].min() <= content.points[:, 0].max() < right
    assert lower < content.points[:, 1].min()
    corner = torch.tensor(
        [
            [
                (left - circles.units[0].mean) / circles.units[0].deviation,
                (lower - circles.units[1].mean) / circles.units[1].deviation,
            ]
        ]
    )
    answer = circles.outputs(corner.float())[0]
    assert content.winners[0, 0] == int(answer.argmax())
    assert content.sure[0, 0] == pytest.approx(float(answer.softmax(0).max()), abs=1e-4)
    assert {p.name for p in catalog.of_trial(circles.facts)} == {
        "curves",
        "confusion",
        "errors",
        "boundary",
    }
    table = errors.gather(circles)
    if table is not None:
        assert table.columns == ("x", "y")


def test_a_fit_and_its_residuals_are_in_the_targets_unit(tmp_path: Path) -> None:
    line = lined(tmp_path)
    content = fit.gather(line)
    inputs, targets = map(np.array, content.held)
    assert np.allclose(0.7 * inputs + 0.3, targets, atol=1e-6)
    off = residuals.gather(line)
    answers = np.interp(inputs, *content.line)
    assert np.allclose(answers, off.predicted, atol=0.02)
    assert np.allclose(off.true, targets)
    table = errors.gather(line)
    assert table.columns == ("x",)
    sizes = [abs(float(row.why)) for row in table.rows]
    assert sizes == sorted(sizes, reverse=True)


def test_worst_errors_of_a_table_are_its_own_cells(tmp_path: Path) -> None:
    cells = [(f"2024-03-{1 + n % 28:02}", ["flat", "house", "room"][n % 3]) for n in range(60)]
    lines = [f"{day},{kind},{n / 7:.4f}" for n, (day, kind) in enumerate(cells)]
    (tmp_path / "let.csv").write_text("\n".join(["day,kind,y", *lines]))
    let = subject("table", "mlp", tmp_path, path="let.csv", target="y", width=8, depth=1)
    table = errors.gather(let)
    assert table.columns == ("day", "kind")
    assert {row.cells for row in table.rows} <= {*cells}


def test_reconstructions_and_scores_are_of_the_part_without_the_training_rows_in_it() -> None:
    odd = subject("digits", "autoencoder", Path(), task="anomaly", normal=["0", "1"], code=4)
    content = scores.gather(odd)
    targets = odd.source.part.targets
    assert len(content.normal) == int(((targets == 0) | (targets == 1)).sum())
    assert len(content.normal) + len(content.strange) == int((targets >= 0).sum())
    assert content.threshold == 0.5
    rebuilt = reconstructions.gather(odd)
    assert [row.kind for row in rebuilt.rows] == ["normal"] * 4 + ["strange"] * 4
    for row in rebuilt.rows:
        assert row.off.mean() == pytest.approx(row.error, rel=1e-4)
    assert rebuilt.rows[4].error == pytest.approx(max(content.strange))


@pytest.mark.nightly
def test_every_picture_of_these_can_be_drawn(digits: Any, circles: Any, tmp_path: Path) -> None:
    text = subject("table", "text", STUDIES, path="messages.csv", target="about", text="text")
    series = subject("series", "conv1d", STUDIES, path="load.csv", target="load", time="day",
                     columns=["load", "temperature", "weekday"], window=28)  # fmt: skip
    for shown in (digits, circles, text, series, lined(tmp_path)):
        for picture in catalog.of_trial(shown.facts):
            module = f"hpsearch.pictures.{picture.name}"
            content = named(f"{module}:gather")(shown)
            if content is not None:
                assert rendered(named(f"{module}:draw"), content)
