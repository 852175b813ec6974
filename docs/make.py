"""Write what is made from the code: docs/reference/study-file.md, docs/reference/families,
studies/study.schema.json.

    python docs/make.py

A test fails where they are out of date.
"""

from __future__ import annotations

import json
import runpy
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from hpsearch.spec import schema, versions
from hpsearch.spec.augmentation import AUGMENTATION
from hpsearch.spec.family import FAMILIES, Family
from hpsearch.spec.settings import SAMPLERS, Setting
from hpsearch.spec.source import SOURCES, DataSpec, Source
from hpsearch.spec.task import TASKS, Task, training

ROOT = Path(__file__).parents[1]

HEAD = """\
# The study file

A study file is YAML 1.2, so `1e-5` is a number and `on` a text. A key that is not listed here is a
fault; all faults of a file are reported at once, each with its line. This page is made from the code
by `docs/make.py`.
"""

PRECISION = """\
On a CPU `precision: bf16` pays off only with AMX and wide networks, and `auto` never uses it there.
Forward and backward of one step, time in bf16 over that in float32 (a Xeon, one thread):

| network | with AMX | with neither AMX nor bfloat16 instructions |
|---|---|---|
| dense 64-64-64-10, batch 64 | 2.2 | 2.9 |
| dense 784-512-512-10, batch 64 | 1.4 | 3.7 |
| dense 784-2048-2048-10, batch 256 | 0.49 | 5.7 |
| convolutions of 32 and 64 maps, 28 x 28, batch 64 | 0.67 | 1.8 |

A verdict is measured in double precision, whatever a network was trained in.
"""

NETWORK = """\
Either `family` or `module`. With `module` all other keys are constants for that function. The settings of a
[family](#networks) and of [training](#training) are named in `parameters`, constant or searched, and with `weights` also
those of [fine-tuning](../guides/fine-tuning.md).
"""

PARAMETERS = """\
Settings of the network or of its training by name, each constant or searched:

| form | meaning |
|---|---|
| `width: 64` | a constant |
| `width: {values: [32, 64]}` | one of these |
| `depth: {min: 1, max: 4}` | a whole number, as both ends are; both are included |
| `dropout: {min: 0.0, max: 0.5}` | any number between |
| `dropout: {min: 0.0, max: 0.5, step: 0.1}` | in steps |
| `lr: {min: 1e-4, max: 1e-1, log: true}` | uniform in the exponent |
| `lr: {min: 1e-4, max: 1e-1, log: true, count: 4}` | that many points, for a grid only |
| `momentum: {min: 0.8, max: 0.99, when: {optimizer: sgd}}` | searched only with that value |
| `batch_size: {min: 16, max: auto}` | up to what fits the device: [how](../guides/before-a-search.md) |
| `lr: {..., default: 1e-3}` | used where a starting point leaves it open |

Each setting belongs to a group; the most important comes first: `architecture`, `learning_rate`,
`batch_size`, `regularization`, `optimizer`. A staged search searches them one after the other, and
each can have a sampler of its own. To put a setting into another group, or to show the groups, put all
parameters under such headings: `learning_rate: {lr: ..., schedule: ...}`. Both forms make the same
study.

`widths: {values: [[512, 512], [256, 128]]}` gives the layers one by one; Optuna's tools show such a
value as `512-512`. `start: [{lr: 1e-3}, ...]` lists points that are run first, once each; parameters
that a point leaves out have their default, or are drawn.
"""

SAMPLING = """\
One name for all groups, or one for each: `sampler: {architecture: grid, ...}`. The trial's attribute
`sampler` says which one drew it: `gp` or `tpe` for `bayesian`, and `random` before enough trials have
ended (three for a Gaussian process, ten for TPE, one for `cmaes`).

A worker that trains many trials at once asks for as many proposals. Those that it has, and the trials
of other workers, count as running, so that a batch stays diverse:

- `tpe` counts them among the bad trials (Optuna's `constant_liar`): the constant liar of Ginsbourger,
  Le Riche and Carraro, "Kriging is well-suited to parallelize optimization" (2010).
- the Gaussian process takes the expected improvement over what their values may turn out to be, one
  proposal after the other (Optuna's `qLogEI`: Ament et al., "Unexpected improvements to expected
  improvement for Bayesian optimization", 2023). It is fitted once a batch.
- `cmaes` draws from the distribution of the current generation.

`bayesian` tries to spend at most a tenth of the training time on proposals: each worker measures
both, and uses TPE if the Gaussian process would take longer (20 s of training are assumed at the
start, for the first proposals) or more than a gigabyte of memory.
"""

SOURCES_BELOW = """\
`csv` in a study file is the same as `table`, and the same study. [Tables](../guides/tables.md) says
how tables are read, [Images](../guides/images.md) how image files are, and
[Arrays and series](../guides/series.md) what arrays and series are. Installed packages can bring more
sources: [Add a source](../guides/add-a-source.md).

Data sets that torchvision downloads are looked for under `data.root`, under the folder that
`HPSEARCH_DATA` names, and in the user's data folder; if they are in none of them, they are downloaded.
"""


def main() -> None:
    """Write both files."""
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")


def made() -> dict[Path, str]:
    """Path -> content. Families of installed packages are left out."""
    families = FAMILIES.all(installed=False).values()
    tasks = tuple(TASKS.all(installed=False).values())
    found = schema(families, tasks, named_sources())
    pages = {family_path(family): "\n".join(family_page(family)) for family in families}
    page = runpy.run_path(str(ROOT / "docs/commands.py"))["page"]
    return {
        **pages,
        ROOT / "docs/reference/study-file.md": "\n".join(study_file(families, tasks)),
        ROOT / "docs/reference/commands.md": page(),
        ROOT / "studies" / "study.schema.json": f"{json.dumps(found, indent=2)}\n",
    }


def study_file(families: Collection[Family], tasks: Sequence[Task]) -> Iterator[str]:
    """The page, block by block."""
    found = schema(families, tasks, named_sources())
    yield HEAD
    yield "## The keys\n"
    needed = dict.fromkeys(found["anyOf"][0]["required"], "required without `train`")
    needed |= dict.fromkeys(found["required"], "required")
    yield table(
        ("key", "meaning", "default"),
        (
            (name, key.get("description", ""), needed.get(name, default_of(key)))
            for name, key in found["properties"].items()
        ),
    )
    yield from subject(found)
    for name in ("search", "budget", "retry", "final", "track"):
        yield f"## {name}\n"
        yield table(("key", "meaning", "default"), keys(found, found["properties"][name]))
    yield "## search.stages\n"
    yield "Your own list of stages; [Stages](../explanation/stages.md) has an example.\n"
    yield table(("key", "meaning", "default"), keys(found, {"$ref": "#/$defs/StageSpec"}))
    yield "## parameters and start\n"
    yield PARAMETERS
    yield "## Samplers\n"
    yield table(("name", "what it does"), SAMPLERS.items())
    yield SAMPLING
    yield "## Pruners\n"
    yield table(("name and options", "what it does"), pruners(found))
    yield "The default is `asha`; with `none` every trial trains all its epochs.\n"
    yield "Options are given as `pruner: {name: asha, min_resource: 3}`. A resource is an epoch.\n"
    yield "## Data sources\n"
    yield table(("source", "what it is"), ((s.name, s.doc) for s in named_sources()))
    yield SOURCES_BELOW
    yield "## Networks\n"
    yield table(
        ("family", "what it is", "takes"),
        (
            (f"[{f.name}](families/{f.name}.md)", f.doc, ", ".join(sorted(f.takes)))
            for f in families
        ),
    )
    yield "Installed packages can bring more: [Add a family](../guides/add-a-family.md).\n"
    yield "## Training\n"
    yield table(("setting", "meaning", "values", "default"), map(row, training(tasks)))
    yield PRECISION
    yield "## Augmentation\n"
    yield "Changes to training images: see [Augmentation](../guides/augmentation.md).\n"
    yield table(("setting", "meaning", "values", "default"), map(row, AUGMENTATION))
    yield "## Tasks\n"
    yield table(
        ("task", "what it is", "losses, the usual one first", "settings of its own"),
        map(task_row, tasks),
    )
    yield "Installed packages can bring more: [Add a task](../guides/add-a-task.md).\n"
    yield "## Metrics\n"
    yield table(
        ("metric", "better", "for", "meaning"),
        ((m.name, m.direction, task.name, m.doc) for task in tasks for m in task.metrics),
    )


def subject(found: dict[str, Any]) -> Iterator[str]:
    """What is searched, networks or own code, and the data: block by block."""
    head = "key", "meaning", "default"
    yield "## network\n"
    # Either has the key that it needs.
    family, own = (one["properties"] for one in found["properties"]["network"]["anyOf"][:2])
    either = {**family, **{name: key for name, key in own.items() if name != "family"}}
    yield table(head, keys({}, {"properties": either}))
    yield NETWORK
    for name in ("train", "resources"):
        yield f"## {name}\n"
        yield table(head, keys({}, found["properties"][name]))
    yield "A metric of your own code is `metric: {name: ..., direction: maximize}`, or `minimize`.\n"
    yield "## data\n"
    yield "The keys that every source has:\n"
    yield table(head, keys({}, DataSpec.model_json_schema()))
    for names, section in own_keys():
        yield f"And for {names}:\n"
        yield table(head, section)
    for path, name in (("data.columns.NAME", "ColumnSpec"), ("data.split", "SplitSpec")):
        yield f"`{path}` of a table:\n"
        yield table(head, keys(found, {"$ref": f"#/$defs/{name}"}))


def task_row(task: Task) -> tuple[str, ...]:
    """(name, what it is, losses, settings) of a task."""
    losses = (
        f"`{loss.name}`: {loss.doc}"
        + (f" (for {loss.classes} classes)" if loss.classes is not None else "")
        for loss in task.losses
    )
    return (
        task.name, task.doc, "; ".join(losses),
        ", ".join(f"`{setting.name}`" for setting in task.settings),
    )  # fmt: skip


def family_path(family: Family) -> Path:
    """Where the page of a family lies."""
    return ROOT / "docs/reference/families" / f"{family.name}.md"


def family_page(family: Family) -> Iterator[str]:
    """The page of a family, block by block."""
    yield f"# Network `{family.name}`\n"
    yield f"{family.doc} For {' and '.join(sorted(family.takes))}.\n"
    yield table(("setting", "meaning", "values", "default"), map(row, family.settings))
    if family.either:
        choices = (" and ".join(f"`{name}`" for name in names) for names in family.either)
        yield f"A study can name either {', or '.join(choices)}.\n"
    yield (
        "Every network has the settings of [training](../study-file.md#training) beside these.\n"
        "This page is made from the code by `docs/make.py`.\n"
    )


def named_sources() -> list[Source]:
    """Those that come with hpsearch, but for the older name of tables."""
    sources = SOURCES.all(installed=False).values()
    return [source for source in sources if source.name != versions.OLD_TABLE]


def own_keys() -> Iterator[tuple[str, Iterator[tuple[str, ...]]]]:
    """Names of sources, and what their section has beside the keys of all."""
    for section, group in groupby(
        sorted(named_sources(), key=lambda s: s.section.__name__), key=lambda s: s.section
    ):
        found = section.model_json_schema()
        names = ", ".join(f"`{source.name}`" for source in group)
        more = {k: v for k, v in found["properties"].items() if k not in DataSpec.model_fields}
        if more:
            yield names, keys(found, {"properties": more, "required": found.get("required", ())})


def keys(found: dict[str, Any], section: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """(key, meaning, default) of a section with fixed keys."""
    section = resolved(found, section)
    for name, key in section["properties"].items():
        default = "required" if name in section.get("required", ()) else default_of(key)
        yield name, key.get("description", ""), default


def default_of(key: dict[str, Any]) -> str:
    """The default, if there is a plain one."""
    default = key.get("default")
    return "" if default is None or isinstance(default, dict) else shown(default)


def pruners(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(name and options, meaning) of each pruner."""
    for name, section in sorted(found["$defs"].items()):
        if name.endswith("Pruner"):
            options = [
                f"{key}: {shown(option['default'])}" if "default" in option else key
                for key, option in section["properties"].items()
                if key != "name"
            ]
            named = section["properties"]["name"]["const"]
            yield (
                f"{named}" + (f" ({', '.join(options)})" if options else ""),
                section["description"],
            )


def resolved(found: dict[str, Any], section: dict[str, Any]) -> dict[str, Any]:
    """A section, looked up where it is a reference; of one that may be left out what it is else."""
    section = next((s for s in section.get("anyOf", ()) if "$ref" in s), section)
    reference = section.get("$ref", "")
    return found["$defs"][reference.rpartition("/")[2]] if reference else section


def row(setting: Setting) -> tuple[str, ...]:
    """(name, meaning, values, default) of a setting."""
    default = "" if setting.default is None else shown(setting.default)
    return setting.name, setting.doc, setting.expected, default


def shown(value: Any) -> str:
    """A default as a study file writes it."""
    return json.dumps(value).strip('"')


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(head), *(list(r) for r in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    cells = ([" ".join(c.split()).replace("|", "\\|") for c in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


if __name__ == "__main__":
    main()
