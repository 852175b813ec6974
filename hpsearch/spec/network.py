"""The network section: a family, or a function of the study's own code that builds networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.code import SignatureError, arguments, is_reference
from hpsearch.code.signature import written
from hpsearch.spec.family import FAMILIES, module_of
from hpsearch.spec.faults import show
from hpsearch.spec.models import NetworkSection, StoredNetworkSection
from hpsearch.spec.parameters import Entry
from hpsearch.spec.registry import PluginError
from hpsearch.spec.sections import section
from hpsearch.spec.weights import NONE, PRETRAINED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from hpsearch.spec.faults import Faults
    from hpsearch.spec.weights import Weights

__all__ = ["network_document", "network_section"]

_MODULE = "module"
_FUNCTION = "FILE.py:FUNCTION, FILE a path below the folder of the code"


def network_section(
    raw: object, faults: Faults, code: Path | None
) -> tuple[NetworkSection | None, list[Entry]]:
    """The section, None where it has faults; and the constants that it names for an own module.

    Args:
        raw: The section as the file, or the database, has it.
        faults: What is wrong is noted there.
        code: The folder of the study's own code, whose arguments are read there; None: the section
            is the database's, and has them.
    """
    if not isinstance(raw, dict) or _MODULE not in raw:
        if isinstance(raw, dict) and module_of(str(raw.get("family"))):
            faults.add(("network", "family"), "the name of a family", show(raw["family"]))
            return None, []
        network = section(
            StoredNetworkSection if code is None else NetworkSection, raw, ("network",), faults
        )
        if network is not None and network.weights == PRETRAINED:
            _check_published(network.family, faults)
        return network, []
    named = raw.get("family", _MODULE)
    if named != _MODULE:
        expected = "no family, as module says who builds the networks"
        beside = [("network", _MODULE)]
        faults.add(("network", "family"), expected, show(named), beside=beside)
    own = {"family", _MODULE, *(["signature"] if code is None else [])}
    constants = []
    for name, value in raw.items():
        if name in own:
            continue
        if isinstance(value, dict):
            expected = "a constant, as what is searched stands under parameters"
            faults.add(("network", name), expected, show(value))
        else:
            constants.append(Entry("", name, value, ("network", name)))
    family = _family(raw, faults, code)
    return (None if family is None else NetworkSection(family=family)), constants


def _family(raw: Mapping[str, Any], faults: Faults, code: Path | None) -> str | None:
    """The name of the own module's family; None where it is none, which is noted."""
    reference, path = raw[_MODULE], ("network", _MODULE)
    if not is_reference(reference):
        faults.add(path, _FUNCTION, show(reference))
        return None
    try:
        signature = raw.get("signature") if code is None else written(arguments(code, reference))
        family = f"{reference}{signature}"
        if FAMILIES.find(family) is not None and module_of(family):
            return family
        faults.add(path, "a function with arguments", show(family))
    except SignatureError as error:
        faults.add(path, error.expected, error.got)
    except PluginError as error:
        faults.add(path, "a function that can build networks", str(error))
    return None


def _check_published(family: str, faults: Faults) -> None:
    if FAMILIES[family].published is None:
        some = [name for name, other in FAMILIES.all().items() if other.published is not None]
        expected = f"none, a file or a folder, as weights are published for {' and '.join(some)}"
        faults.add(
            ("network", "weights"), expected, show(PRETRAINED), beside=[("network", "family")]
        )


def network_document(family: str, weights: Weights) -> dict[str, Any]:
    """The section as the database keeps it: of an own module its arguments too, by which settings
    are read where the code is not; of weights the hashes of their files."""
    own = module_of(family)
    if own is not None:
        return {_MODULE: own[0], "signature": own[1]}
    if weights.named == NONE:
        return {"family": family}
    return {"family": family, "weights": weights.named, "hashes": dict(weights.hashes)}
