"""The format of a study file as JSON Schema (draft 2020-12), for editors.

It knows keys, types and ranges, with a description of each; of `parameters` and `start` those of
the family that the file names. What values have to agree on (min below max, a sampler for each
group) is left to `load`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hpsearch.spec import versions
from hpsearch.spec.augmentation import AUGMENTATION
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.models import StudySections
from hpsearch.spec.parameters import AUTO, MOST_STEPS, MOST_VALUES
from hpsearch.spec.settings import GROUPS, Setting
from hpsearch.spec.source import SOURCES, DataSpec
from hpsearch.spec.task import TASKS, training
from hpsearch.spec.train import OwnMetric

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hpsearch.spec.family import Family
    from hpsearch.spec.source import Source
    from hpsearch.spec.task import Task

__all__ = ["schema"]

Schema = dict[str, Any]


def schema(
    families: Iterable[Family] | None = None,
    tasks: Iterable[Task] | None = None,
    sources: Iterable[Source] | None = None,
) -> Schema:
    """The schema of a study file of these families, tasks and sources; None: all that are here."""
    families = list(FAMILIES.all().values() if families is None else families)
    tasks = list(TASKS.all().values() if tasks is None else tasks)
    trained = training(tasks)
    document = StudySections.model_json_schema()
    keys, definitions = document["properties"], document["$defs"]
    network, train = definitions.pop("NetworkSection"), definitions.pop("TrainSpec")
    network["properties"]["family"]["enum"] = [family.name for family in families]
    about = network["description"]
    keys["network"] = {"description": about, "anyOf": [network, _OWN_NETWORK]}
    keys["train"] = {**train, "description": keys["train"]["description"]}
    definitions["when"] = {
        "description": "The parameter exists only where others have these values.",
        "type": "object",
        "minProperties": 1,
        "propertyNames": {
            "enum": [
                *dict.fromkeys(s.name for f in families for s in (*f.settings, *trained)),
                *(setting.name for setting in AUGMENTATION),
            ]
        },
    }
    sources = list(SOURCES.all().values() if sources is None else sources)
    data = [_of_source(source, tasks, definitions) for source in sources]
    keys["data"] = {"description": DataSpec.__doc__, "anyOf": [form for form in data if form]}
    definitions.pop("DataSpec", None)
    metrics = [*dict.fromkeys(metric.name for task in tasks for metric in task.metrics)]
    definitions["MetricSpec"]["properties"]["name"]["enum"] = metrics
    keys["metric"]["anyOf"][0] = {"enum": metrics}
    keys["metric"]["anyOf"].append(OwnMetric.model_json_schema())
    for name, ways in _by_name(trained).items():
        definitions[f"training.{name}"] = ways[0] if len(ways) == 1 else {"anyOf": ways}
    for setting in AUGMENTATION:
        definitions[f"training.{setting.name}"] = _parameter(setting)
    for family in families:
        own = {setting.name for setting in family.settings}
        more = [s for s in AUGMENTATION if "images" in family.takes and s.name not in own]
        definitions |= _of_family(family, (*trained, *more))
    keys["parameters"] = {
        "description": "What is searched and what is held constant: by name, or by group and name.",
        "type": "object",
    }
    keys["start"] = {
        "description": "Points to try first; each gives some or all parameters.",
        "type": "array",
        "maxItems": MOST_VALUES,
        "items": {"type": "object"},
    }
    start: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hpsearch study",
    }
    start |= _without_titles(document)
    subjects = [{"required": ["data", "network"]}, {"required": ["train"]}]
    return {**start, "anyOf": subjects, "allOf": [_where(family) for family in families]}


def _of_source(source: Source, tasks: Iterable[Task], definitions: Schema) -> Schema | None:
    """The form of the data section of a source, whose own definitions are added to the others."""
    if source.name == versions.OLD_TABLE:  # which a file means as `table`
        return None
    section = source.section.model_json_schema()
    definitions |= section.pop("$defs", {})
    names = ["table", versions.OLD_TABLE] if source.name == "table" else [source.name]
    section["properties"]["source"] |= {
        "enum": names,
        "description": f"{source.name}: {source.doc}.",
    }
    if source.code:  # which names the source
        section["required"].remove("source")
    section["properties"]["task"]["anyOf"][0] = {"enum": [task.name for task in tasks]}
    return section


def _by_name(settings: Iterable[Setting]) -> dict[str, list[Schema]]:
    """The forms of each setting: two tasks may use one name with another meaning."""
    forms: dict[str, list[Schema]] = {}
    for setting in settings:
        forms.setdefault(setting.name, []).append(_parameter(setting))
    return forms


def _of_family(family: Family, trained: Sequence[Setting]) -> Schema:
    """The definitions that are a family's own, each under a name that begins with the family's."""
    name, settings = family.name, (*trained, *family.settings)
    places = {setting.name: f"training.{setting.name}" for setting in trained}
    places |= {setting.name: f"{name}.{setting.name}" for setting in family.settings}
    by_name = _object({key: {"$ref": f"#/$defs/{place}"} for key, place in places.items()})
    by_group = _object({key: {"$ref": f"#/$defs/{name}.group"} for key in GROUPS})
    return {
        **{f"{name}.{setting.name}": _parameter(setting) for setting in family.settings},
        f"{name}.group": by_name,
        f"{name}.parameters": {"anyOf": [by_group, {"$ref": f"#/$defs/{name}.group"}]},
        f"{name}.start": _object({setting.name: _value(setting) for setting in settings}),
    }


def _object(properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _where(family: Family) -> Schema:
    """What holds in a file that names this family."""
    name = family.name
    named = {"properties": {"family": {"const": name}}, "required": ["family"]}
    return {
        "if": {"properties": {"network": named}, "required": ["network"]},
        "then": {
            "properties": {
                "parameters": {"$ref": f"#/$defs/{name}.parameters"},
                "start": {"items": {"$ref": f"#/$defs/{name}.start"}},
            }
        },
    }


def _parameter(setting: Setting) -> Schema:
    forms = [_value(setting), _form({"values": _values(setting)}, setting)]
    if setting.kind in ("int", "float", "int_or_sizes"):
        forms.append(_form(_range(setting), setting))
    default = json.dumps(setting.default)
    return {"description": f"{setting.doc} Default: {default}.", "anyOf": forms}


def _form(keys: Schema, setting: Setting) -> Schema:
    common = {
        "default": {
            "description": "Value for a starting point that gives none.",
            **_value(setting),
        },
        "when": {"$ref": "#/$defs/when"},
        "cap": {
            "description": "Where max comes from: a device's room.",
            "type": "string",
        },
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": keys | common,
        "required": [key for key in ("values", "min", "max") if key in keys],
    }


def _values(setting: Setting) -> Schema:
    return {
        "description": "The values that a trial can have, in no order.",
        "type": "array",
        "minItems": 1,
        "maxItems": MOST_VALUES,
        "uniqueItems": True,
        "items": _value(setting),
    }


def _range(setting: Setting) -> Schema:
    bound = _number(setting)
    return {
        "min": {"description": "Smallest value, inclusive.", **bound},
        "max": {"description": "Largest value, inclusive.", **_most(setting, bound)},
        "step": {
            "description": "Distance of neighbouring values; not with log.",
            "type": bound["type"],
            "exclusiveMinimum": 0,
        },
        "log": {"description": "Whether ratios count, and not differences.", "type": "boolean"},
        "count": {
            "description": "How many values a grid takes from a range of real numbers.",
            "type": "integer",
            "minimum": 1,
            "maximum": MOST_STEPS,
        },
    }


def _most(setting: Setting, bound: Schema) -> Schema:
    return {"anyOf": [bound, {"const": "auto"}]} if setting.name == AUTO else bound


def _value(setting: Setting) -> Schema:
    sizes = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 1}}
    value: Schema
    if setting.kind == "choice":
        named = {"enum": [*setting.choices, *([None] if setting.default is None else [])]}
        return {"anyOf": [named, _OWN]} if setting.own_code else named
    if setting.kind == "bool":
        value = {"type": "boolean"}
    elif setting.kind == "sizes":
        value = sizes
    elif setting.kind == "int_or_sizes":
        value = {"anyOf": [_number(setting), sizes]}
    else:
        value = _number(setting)
        if setting.choices:
            value = {"anyOf": [value, {"enum": [*setting.choices]}]}
    return {"anyOf": [value, {"type": "null"}]} if setting.default is None else value


_OWN: Schema = {
    "description": "A function of the study's own code: FILE.py:FUNCTION.",
    "type": "string",
    "pattern": r"\.py:\w+$",
}


_OWN_NETWORK: Schema = {
    "description": "Networks that a function of the study's own code builds.",
    "type": "object",
    "properties": {"family": {"const": "module"}, "module": _OWN},
    "required": ["module"],
    "additionalProperties": {"description": "The value of the argument of that name."},
}


def _number(setting: Setting) -> Schema:
    number: Schema = {"type": "number" if setting.kind == "float" else "integer"}
    if setting.low is not None:
        number["exclusiveMinimum" if setting.open_low else "minimum"] = setting.low
    if setting.high is not None:
        number["exclusiveMaximum" if setting.open_high else "maximum"] = setting.high
    return number


def _without_titles(node: Any) -> Any:
    """`found` without the titles that pydantic makes of names; they say nothing more."""
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    # A key of a study that is called title would have a schema, and not text.
    untitled = {k: v for k, v in node.items() if not (k == "title" and isinstance(v, str))}
    return {key: _without_titles(value) for key, value in untitled.items()}
