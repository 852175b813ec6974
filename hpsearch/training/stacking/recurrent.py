"""Recurrent layers of many networks at once: PyTorch's own have no form for slots.

Shapes: `K` slots, `L` steps in time, `N` rows, `D` inputs, `H` hidden units, `G` gates (4 of an
LSTM, 3 of a GRU, 1 of a plain one), each `H` numbers. The formulas and the order of weights and
gates are those of `torch.nn.LSTM`, `GRU` and `RNN`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812 -- its usual name

from hpsearch.training.stacking.linear import linear
from hpsearch.training.stacking.stand_in import (
    CannotStackError,
    Rule,
    StandIn,
    called,
    slots_of,
    stacked,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RECURRENT"]

_State = tuple["Tensor", ...]
"""(h,), or (h, c) of an LSTM, each (K, N, H)."""

_Cell = Callable[["Tensor", "Tensor", _State], _State]
"""(what the input gives the gates, (K, N, G*H), what the last state gives, the last state)"""


def _lstm(given: Tensor, remembered: Tensor, state: _State) -> _State:
    inlet, forget, new, outlet = (given + remembered).chunk(4, dim=-1)
    c = torch.addcmul(forget.sigmoid() * state[1], inlet.sigmoid(), new.tanh())
    return outlet.sigmoid() * c.tanh(), c


def _gru(given: Tensor, remembered: Tensor, state: _State) -> _State:
    reset_and_update = given[..., : -state[0].shape[-1]], remembered[..., : -state[0].shape[-1]]
    reset, update = (reset_and_update[0] + reset_and_update[1]).sigmoid().chunk(2, dim=-1)
    units = state[0].shape[-1]
    new = torch.addcmul(given[..., -units:], reset, remembered[..., -units:]).tanh()
    return (torch.lerp(new, state[0], update),)


def _plain(bend: Callable[[Tensor], Tensor]) -> _Cell:
    return lambda given, remembered, state: (bend(given + remembered),)


def _layer(
    x_KLND: Tensor, state: _State, weights: Sequence[Any], cell: _Cell, backwards: bool
) -> tuple[Tensor, _State]:
    """One direction of one layer: its outputs (K, L, N, H) and its last state."""
    w_input, w_hidden, *biases = weights
    b_input, b_hidden = biases or (None, None)
    slots, length, rows, width = x_KLND.shape
    given = linear(x_KLND.reshape(slots, length * rows, width), w_input, b_input)
    steps = given.view(slots, length, rows, -1).unbind(1)
    w_turned = w_hidden.stacked.transpose(1, 2)
    state = tuple(own.to(given.dtype) for own in state)  # bfloat16 under autocast
    added = None if b_hidden is None else b_hidden.stacked.unsqueeze(1)
    outputs: list[Tensor] = []
    for step in reversed(steps) if backwards else steps:
        h = state[0]
        remembered = torch.bmm(h, w_turned) if added is None else torch.baddbmm(added, h, w_turned)
        state = cell(step, remembered, state)
        outputs.append(state[0])
    return torch.stack(outputs[::-1] if backwards else outputs, dim=1), state


def _recurrent(cell: _Cell, states: int) -> Rule:
    """The rule of a layer that remembers so many states: 2 of an LSTM, 1 of the others."""

    def rule(
        input: Any, hx: Any, weights: Sequence[Any], has_biases: bool, num_layers: int,
        dropout: float, train: bool, bidirectional: bool, batch_first: bool,
    ) -> Any:  # fmt: skip
        given = hx if states == 2 else (hx,)
        slots = slots_of(input, *given, weights)
        directions, each = 1 + bidirectional, 4 if has_biases else 2
        if len(weights) != num_layers * directions * each:
            raise CannotStackError("an LSTM with projections cannot be stacked")

        def whole(value: Any) -> Tensor:
            same = type(value) is not StandIn
            tensor: Tensor = value.expand(slots, *value.shape) if same else value.stacked
            return tensor

        x = whole(input)
        x = x.transpose(1, 2) if batch_first else x
        first = [whole(state) for state in given]  # (K, layers * directions, N, H) each
        ends: list[_State] = []
        for layer in range(num_layers):
            outputs = []
            for direction in range(directions):
                place = layer * directions + direction
                own = weights[place * each : (place + 1) * each]
                start = tuple(state[:, place] for state in first)
                output, end = _layer(x, start, own, cell, bool(direction))
                outputs.append(output)
                ends.append(end)
            x = outputs[0] if directions == 1 else torch.cat(outputs, dim=-1)
            if dropout and train and layer < num_layers - 1:
                x = stacked(F.dropout(StandIn(x), dropout))
        x = x.transpose(1, 2) if batch_first else x
        last = [StandIn(torch.stack(parts, dim=1)) for parts in zip(*ends, strict=True)]
        return (StandIn(x), *last)

    return called(rule)


def _cell(cell: _Cell, states: int) -> Rule:
    """The rule of a single step: `torch.nn.GRUCell` and the like, over rows (N, D)."""

    def rule(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
        given = hx if states == 2 else (hx,)
        slots = slots_of(input, *given, w_ih)
        x, *state = (
            v.stacked if type(v) is StandIn else v.expand(slots, *v.shape) for v in (input, *given)
        )
        given_x, given_h = linear(x, w_ih, b_ih), linear(state[0], w_hh, b_hh)
        result = cell(given_x, given_h, tuple(own.to(given_x.dtype) for own in state))
        made = tuple(map(StandIn, result))
        return made if states == 2 else made[0]

    return called(rule)


RECURRENT: Mapping[Callable[..., Any], Rule] = {
    torch.lstm: _recurrent(_lstm, 2),
    torch.gru: _recurrent(_gru, 1),
    torch.rnn_tanh: _recurrent(_plain(torch.tanh), 1),
    torch.rnn_relu: _recurrent(_plain(torch.relu), 1),
    torch.lstm_cell: _cell(_lstm, 2),
    torch.gru_cell: _cell(_gru, 1),
    torch.rnn_tanh_cell: _cell(_plain(torch.tanh), 1),
    torch.rnn_relu_cell: _cell(_plain(torch.relu), 1),
}
