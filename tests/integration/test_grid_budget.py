"""A grid has as many trials as cells, whatever a finish, a retry or an extension adds to them."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

from hpsearch.errors import ConflictError
from hpsearch.insight.reader import Reader
from hpsearch.stages import outline
from tests.integration.player import Player, completes

HEAD = """
name: s
data: {source: digits}
network: {family: mlp}
parameters: {architecture: {depth: {values: [1, 2]}, width: {values: [4, 8]}}}
"""
GRID = f"{HEAD}search: {{sampler: grid, sanity: false}}\nbudget: {{epochs: 2}}\n"
FINISH = "final: {top: 3, seeds: 5}\n"


def extend(player: Player, trials: int) -> None:
    spec = player.spec
    player.ledger.extend("s", trials, None, outline.limit(spec), outline.final_tickets(spec))


def refuses(player: Player, trials: int = 1) -> bool:
    """Whether the budget holds all cells, and says so."""
    assert Reader(player.ledger, "s").snapshot().is_whole
    with pytest.raises(ConflictError, match="is a grid of 4 trials, and 4 are in its budget"):
        extend(player, trials)
    return True


def once_each(player: Player) -> bool:
    return sorted(player.cells().values()) == [1, 1, 1, 1]


def few_complete(trial: FrozenTrial) -> TrialState:
    return TrialState.COMPLETE if trial.params["depth"] == 1 else TrialState.PRUNED


@pytest.mark.parametrize("result", [completes, few_complete])
def test_a_finish_shorter_than_it_might_have_been_leaves_no_room(
    sqlite_url: str, tmp_path: Path, result
) -> None:
    player = Player(sqlite_url, tmp_path, GRID + FINISH, result)
    assert refuses(player), "before the finish"
    player.play()
    assert (player.study.tickets < 4 + 20) is (result is few_complete)
    assert refuses(player)
    assert once_each(player)


def test_a_grid_is_extended_to_its_cells_and_no_further_between_two_finishes(
    sqlite_url: str, tmp_path: Path
) -> None:
    text = (GRID + FINISH).replace("{epochs: 2}", "{epochs: 2, trials: 2}")
    player = Player(sqlite_url, tmp_path, text)
    player.play()
    assert len(player.cells()) == 2
    with pytest.raises(ConflictError, match="is a grid of 4 trials, and 2 are"):
        extend(player, 3)
    extend(player, 2)
    assert refuses(player)
    player.play()
    assert once_each(player)
    player.finish_again()
    assert refuses(player), "while another finish is due"
    player.play()
    assert refuses(player)
    assert once_each(player)


def test_a_retry_of_a_failed_cell_is_no_cell_of_its_own(sqlite_url: str, tmp_path: Path) -> None:
    failing = [True]

    def fails(trial: FrozenTrial) -> TrialState:
        first = failing[0] and trial.params == {"depth": 1, "width": 4}
        return TrialState.FAIL if first else TrialState.COMPLETE

    player = Player(sqlite_url, tmp_path, GRID + FINISH, fails)
    player.play()
    assert len([t for t in player.trials() if t.state is TrialState.FAIL]) == 1
    failing[0] = False
    assert player.ledger.retry_failed("s") == 1
    assert refuses(player)
    player.play()
    assert refuses(player)
    assert sorted(player.cells().values()) == [1, 1, 1, 2]


@pytest.mark.parametrize("finish", [FINISH, ""])
def test_a_grid_that_auto_has_become_ends_with_its_cells(
    sqlite_url: str, tmp_path: Path, finish: str
) -> None:
    text = f"{HEAD}search: {{sampler: auto, sanity: false}}\nbudget: {{trials: 9}}\n{finish}"
    player = Player(sqlite_url, tmp_path, text)
    player.play()
    assert refuses(player)
    assert once_each(player)


def test_points_to_start_from_are_beside_the_cells(sqlite_url: str, tmp_path: Path) -> None:
    text = (
        f"{HEAD}search: {{sampler: auto, sanity: false}}\nbudget: {{trials: 9}}\n{FINISH}"
        "start: [{depth: 1, width: 4}]\n"
    )
    player = Player(sqlite_url, tmp_path, text)
    player.play()
    with pytest.raises(ConflictError, match="is a grid of 5 trials, and 5 are in its budget"):
        extend(player, 1)
    assert sorted(player.cells().values()) == [1, 1, 1, 2]


def test_a_grid_that_its_hours_ended_may_go_on_to_its_cells(
    sqlite_url: str, tmp_path: Path
) -> None:
    text = (GRID + FINISH).replace("{epochs: 2}", "{epochs: 2, hours: 1}")
    player = Player(sqlite_url, tmp_path, text)
    player.step()
    spend = "UPDATE hpsearch_studies SET active_s = 3600"
    player.ledger.database.write(lambda connection: connection.exec_driver_sql(spend))
    player.play()
    assert len(player.cells()) == 1
    player.ledger.extend(
        "s", 3, 1.0, outline.limit(player.spec), outline.final_tickets(player.spec)
    )
    player.play()
    assert refuses(player)
    assert once_each(player)
