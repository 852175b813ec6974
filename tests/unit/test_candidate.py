from __future__ import annotations

from dataclasses import replace

from hpsearch.runner.candidate import Candidate, derived_seed
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.settings import Setting


def test_digest_is_of_everything_but_the_key() -> None:
    one = Candidate(1, "mlp", {"lr": 1.0, "widths": (4, 2), "nesterov": True}, seed=3)
    assert one.digest == Candidate(9, "mlp", dict(one.settings), seed=3).digest
    assert one.digest != Candidate(1, "cnn", one.settings, seed=3).digest
    assert one.digest != Candidate(1, "mlp", one.settings, seed=4).digest
    assert one.digest != Candidate(1, "mlp", {**one.settings, "widths": (4, 3)}, seed=3).digest


def test_digest_survives_a_way_through_json() -> None:
    one = Candidate(1, "mlp", {"lr": 1.0, "widths": (4, 2), "clip": None}, seed=3)
    back = Candidate(1, "mlp", {"widths": [4, 2], "clip": None, "lr": 1}, seed=3)  # type: ignore
    assert one.digest == back.digest


def test_digest_tells_a_flag_from_a_number() -> None:
    assert Candidate(1, "mlp", {"a": True}, 0).digest != Candidate(1, "mlp", {"a": 1}, 0).digest


def test_derived_seeds_differ_in_their_lower_bits() -> None:
    seeds = {derived_seed(seed, "epoch", epoch) for seed in range(20) for epoch in range(20)}
    assert len({seed % 2**32 for seed in seeds}) == 400
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derived_seed(5, "init") == derived_seed(5, "init")


def test_a_setting_that_came_later_counts_where_it_is_not_at_its_default(monkeypatch) -> None:
    new = Setting("new", "choice", "none", "", choices=("none", "other"), later=True)
    family = replace(FAMILIES["mlp"], settings=(*FAMILIES["mlp"].settings, new))
    monkeypatch.setitem(FAMILIES._loaded, "mlp", family)
    before = Candidate(1, "mlp", {"lr": 0.1}, seed=3)
    assert Candidate(1, "mlp", {"lr": 0.1, "new": "none"}, seed=3).digest == before.digest
    assert Candidate(1, "mlp", {"lr": 0.1, "new": "other"}, seed=3).digest != before.digest
