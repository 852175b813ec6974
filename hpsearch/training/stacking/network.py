"""Many networks of one structure as one.

Shapes: `K` slots, `N` rows, `P` trained parameters of one network, `*S` the shape of a value in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hpsearch.training.stacking.dropout import DROPOUT_LAYERS, Dropping
from hpsearch.training.stacking.stand_in import CannotStackError, StandIn
from hpsearch.training.tuning import set_training

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["StackedNetwork", "attributes", "shares"]


class StackedNetwork:
    """The networks of a stack: the template's own `forward`, over all slots at once.

    Args:
        template: A network like theirs, which is used up: its parameters become stand-ins.
    """

    def __init__(self, template: nn.Module) -> None:
        self._template = template
        trained = {name: p for name, p in template.named_parameters() if p.requires_grad}
        self.shapes = {name: p.shape for name, p in trained.items()}
        """Of the parameters that are trained, by their names and in their order."""
        self.sizes = [shape.numel() for shape in self.shapes.values()]
        frozen = {name: p for name, p in template.named_parameters() if not p.requires_grad}
        self.fixed: Mapping[str, Tensor] = {**dict(template.named_buffers()), **frozen}
        """Buffers, and parameters that are not trained: an example of each, by name."""
        if not trained:
            raise CannotStackError("a network without parameters to train cannot be stacked")
        self.numbers = {
            name: i for i, (name, p) in enumerate(template.named_parameters()) if p.requires_grad
        }
        """Places of the trained parameters among all: the numbers that optimizers go by."""
        self.saved = _saved(template)
        """What `state_dict` has, and the names by which the network lists these tensors."""
        self._places = _places(template)
        self._leaves: Mapping[str, Tensor] = {}
        self._bound: Mapping[str, StandIn] = {}
        self._gradient: Tensor | None = None

    def bind(
        self, weights_KP: Tensor, fixed: Mapping[str, Tensor], shares: Sequence[Mapping[str, float]]
    ) -> None:
        """Let the networks have these numbers, from now on.

        Args:
            weights_KP: The trained parameters, one row a slot.
            fixed: What else they have, (K, *S) under the names of `fixed`. Training changes it in
                place.
            shares: For each slot, what its layers of dropout drop, by their names.
        """
        self._gradient = torch.zeros_like(weights_KP)
        views = self.split(weights_KP)
        self._leaves = {name: view.detach().requires_grad_() for name, view in views.items()}
        gradients = self.split(self._gradient)
        self._bound = {
            **{name: StandIn(leaf, gradients[name]) for name, leaf in self._leaves.items()},
            **{name: StandIn(value) for name, value in fixed.items()},
        }
        self._put(self._bound)
        for name, module in self._template.named_modules():
            if isinstance(module, DROPOUT_LAYERS):
                share_K = torch.tensor([own[name] for own in shares])
                dropping = Dropping.of(share_K, weights_KP.device)
                module.p = 0.0 if dropping is None else dropping  # type: ignore[assignment]

    def _put(self, values: Mapping[str, StandIn]) -> None:
        for own, name, full in self._places:
            own[name] = values[full]
        for module in self._template.modules():
            if isinstance(module, nn.RNNBase):  # which has a list of its weights too
                names = module._flat_weights_names
                module._flat_weights = [getattr(module, name) for name in names]

    def unbind(self) -> None:
        """Let go of all tensors that `bind` brought."""
        self._leaves, self._bound, self._gradient = {}, {}, None
        for own, name, _ in self._places:
            own[name] = None
        for module in self._template.modules():
            if isinstance(module, nn.RNNBase):
                module._flat_weights = []

    def split(self, rows_KP: Tensor) -> dict[str, Tensor]:
        """Rows (K, P) as views (K, *S) of each trained parameter."""
        parts = torch.split(rows_KP, self.sizes, dim=1)
        named = zip(self.shapes.items(), parts, strict=True)
        return {name: part.view(-1, *shape) for (name, shape), part in named}

    def parts(self, row_P: Tensor) -> dict[str, Tensor]:
        """A row as one tensor *S for each trained parameter, copied to the CPU.

        They are views of one copy: a checkpoint of one large tensor is written faster than of many
        small ones.
        """
        row = row_P.to("cpu", copy=True).unsqueeze(0)
        return {name: part.squeeze(0) for name, part in self.split(row).items()}

    def numbers_of(self, network: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
        """The trained parameters of a network like the template as a row (P,), and copies of what
        else it has, by name."""
        named = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        row = torch.cat([named[name].detach().flatten() for name in self.shapes])
        return row, {name: named[name].detach().clone() for name in self.fixed}

    def state_dict(
        self, weights_KP: Tensor, fixed: Mapping[str, Tensor], slot: int
    ) -> dict[str, Tensor]:
        """What `state_dict` of a network with the numbers of a slot gives, on the CPU."""
        named = {name: value[slot].cpu().clone() for name, value in fixed.items()}
        named |= self.parts(weights_KP[slot])
        return {name: named[listed] for name, listed in self.saved.items()}

    def train(self, training: bool) -> None:
        """Whether layers measure and drop."""
        if training:
            set_training(self._template)
        else:
            self._template.eval()

    def __call__(self, inputs: Tensor) -> Tensor:
        """The outputs, (K, N, outputs), of inputs (K, N, *S); those that all slots share are
        expanded to that."""
        outputs = self._template(StandIn(inputs))
        self._write_back()
        if type(outputs) is StandIn:
            return outputs.stacked
        if not isinstance(outputs, Tensor):
            raise CannotStackError(f"`forward` gives a {type(outputs).__name__}, not a tensor")
        return outputs.expand(len(inputs), *outputs.shape)

    def _write_back(self) -> None:
        """Keep what `forward` has set anew: `self.count = self.count + 1`."""
        for own, name, full in self._places:
            bound = self._bound[full]
            if own[name] is not bound:
                value = own[name]
                with torch.no_grad():
                    new = value.stacked if type(value) is StandIn else value
                    bound.stacked.copy_(new.expand_as(bound.stacked))
                own[name] = bound

    def backward(self, loss: Tensor) -> Tensor:
        """The gradient (K, P) of a sum of the slots' losses: the same tensor at each call."""
        gradient, leaves = self._gradient, self._leaves
        assert gradient is not None
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        rest: list[tuple[Tensor, Tensor]] = []
        for name, part in zip(leaves, gradients, strict=True):
            standin = self._bound[name]
            assert isinstance(standin, StandIn)
            assert standin.gradient is not None
            if part is None and not standin.written:
                standin.gradient.zero_()
            elif part is not None and standin.written:
                standin.gradient.add_(part)
            elif part is not None:
                rest.append((standin.gradient, part))
            standin.written = False
        if rest:
            torch._foreach_copy_([into for into, _ in rest], [part for _, part in rest])
        return gradient


def _places(template: nn.Module) -> list[tuple[dict[str, Any], str, str]]:
    """Where the parameters and buffers of a network are kept: a dictionary, the name in it, and the
    name by which the network lists the tensor. Tied ones have more places than one."""
    full = _listed(template)
    return [
        (own, name, full[id(tensor)])
        for module in template.modules()
        for own in (module._parameters, module._buffers)
        for name, tensor in own.items()
        if tensor is not None
    ]


def _listed(network: nn.Module) -> dict[int, str]:
    """The names of a network's tensors, by their identity."""
    full: dict[int, str] = {}
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        full.setdefault(id(tensor), name)
    return full


def _saved(network: nn.Module) -> dict[str, str]:
    full = _listed(network)
    saved: dict[str, str] = {}
    for name, value in network.state_dict(keep_vars=True).items():
        if id(value) not in full:
            raise CannotStackError(f"a network that saves {name} cannot be stacked")
        saved[name] = full[id(value)]
    return saved


def shares(network: nn.Module) -> dict[str, float]:
    """What a network's layers of dropout drop, by their names."""
    layers = network.named_modules()
    return {name: layer.p for name, layer in layers if isinstance(layer, DROPOUT_LAYERS)}


def attributes(network: nn.Module) -> dict[str, Any]:
    """What a network's layers go by, but for weights, buffers and shares of dropout: networks that
    differ in it cannot be stacked."""
    plain: dict[str, Any] = {}
    for path, module in network.named_modules():
        for name, value in vars(module).items():
            own = name == "p" and isinstance(module, DROPOUT_LAYERS)
            if not own and not name.startswith("_") and name != "training" and _counts(value):
                plain[f"{path}.{name}"] = value
    return plain


def _counts(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_counts, value))
    return value is None or isinstance(value, (bool, int, float, str, Tensor))
