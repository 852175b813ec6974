"""How fast hpsearch is beside what its users write today: each benchmark is one command.

    python -m benchmarks.race
    python -m benchmarks.training
    python -m benchmarks.dispatch
    python -m benchmarks.startup
    python -m benchmarks.growth
    python -m benchmarks.report

Each runs hpsearch and its peers in turn (A B A B ...) and writes `results/NAME.json`; the last one
makes docs/explanation/performance.md and the README's table of these. `benchmarks.strategy` and
`benchmarks.finish` are about how good a search is, and whether its verdict holds: what they found
stands in docs/explanation/stages.md.
"""

__all__: list[str] = []
