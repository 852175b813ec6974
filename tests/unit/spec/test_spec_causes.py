"""One fault a cause: mistaken files, each with every fault that it gets."""

from __future__ import annotations

import re

import pytest

TABLE = "data: {source: table, path: a.csv, target: y}\nmetric: accuracy"
LR = "{min: 1e-4, max: 1e-1, log: true}"

OURS = [
    # An unknown name makes nothing else unknown.
    (
        "network: {family: mpl}\nparameters: {hidden: 3, tune: all}",
        ['network.family: expected one of .*mlp, .* got "mpl"; did you mean mlp\\?'],
    ),
    (
        "data: {source: tabel, path: a.csv, target: y, ignore: [b]}",
        ['data.source: expected one of .*arrays, .* got "tabel"; did you mean table\\?'],
    ),
    (
        "data: {path: a.csv, target: y}",
        ["data.source: expected one of .*arrays, .*table.*; got nothing"],
    ),
    (
        "data: {source: table, path: a.csv, target: y, task: regresion}\nmetric: rmse",
        ['data.task: expected .* got "regresion"; did you mean regression\\?'],
    ),
    # A family that cannot have the data is one fault, and its settings none.
    (
        "network: {family: text}\nparameters: {width: 3}",
        ['network.family: expected one of .*cnn, .* as the data has images, .* got "text"'],
    ),
    # Settings of another family are one mistake.
    (
        "network: {family: cnn}\nparameters: {depth: 2, width: 3}",
        [
            'parameters.depth: expected a setting of cnn or of its training; got "depth" and '
            '"width", which .*mlp.* have'
        ],
    ),
    ("parameters: {training: {lr: 0.1, width: 32}}", ['parameters.training: .* got "training"']),
    (
        "parameters: {epochs: {values: [10, 20, 30]}, lr: 0.1}\nbudget: {trials: 4, epochs: 9}",
        [r"parameters.epochs: expected at most budget.epochs \(9\); got 10, 20, 30"],
    ),
    ("parameters: {optimizer: SGD, lr: 0.1}", ['.* got "SGD"; did you mean sgd\\?']),
    # Our own keys in another place.
    (
        "budget:\ntrials: 20\nepochs: 9",
        [
            'trials: expected budget: {trials: 20}; got "trials" outside of budget',
            'epochs: expected budget: {epochs: 9}; got "epochs" outside of budget',
        ],
    ),
    ("sampler: tpe", ['sampler: expected search: {sampler: tpe}; got "sampler" outside of search']),
    # Sections by their one most important value.
    ("network: mlp", ['network: expected network: {family: mlp}; got "mlp"']),
    ("data: digits", ['data: expected data: {source: digits}; got "digits"']),
    (
        "data: a.csv\nmetric: accuracy",
        ['data: expected data: {source: table, path: "a.csv", target: COLUMN}; got "a.csv"'],
    ),
    ("budget: 20", ["budget: expected budget: {trials: 20}; got 20"]),
    ("final: 3", ["final: expected keys with values: top, seeds; got 3"]),
    # Slips in YAML.
    ("budget:\n\ttrials: 20", ["expected blanks, as YAML knows no tabs; got a tab"]),
    ("budget: {trials: 2}\n retry: 3", ["expected .*; got (another indentation|a second colon)"]),
]

THEIRS = [
    # Distributions
    (f"parameters: {{lr: {form}}}", [f"parameters.lr: expected {ours}; got .*"])
    for form, ours in (
        ("{distribution: log_uniform_values, min: 1e-4, max: 1e-1}",
         "{min: 0.0001, max: 0.1, log: true}"),
        ("{distribution: log_uniform, min: 0, max: 1}", "{min: 1, max: 2.718281828, log: true}"),
        ("{distribution: uniform, min: 0.1, max: 1}", "{min: 0.1, max: 1}"),
        ("{distribution: q_uniform, min: 0.1, max: 0.9, q: 0.2}",
         "{min: 0.1, max: 0.9, step: 0.2}"),
        ("{distribution: normal, mu: 1, sigma: 0.1}", "{min: 0.8, max: 1.2} \\(the normal .*"),
        ("{value: 0.1}", "0.1"),
        ("{parameterType: double, feasibleSpace: {min: '0.01', max: '0.03'}}",
         "{min: 0.01, max: 0.03}"),
        ("{parameterType: discrete, feasibleSpace: {list: ['0.1', '0.2']}}",
         r"{values: \[0.1, 0.2\]}"),
        ("{low: 1e-4, high: 1e-1, log: true}", "{min: 0.0001, max: 0.1, log: true}"),
        ("{low: 1e-4, high: 1e-1, log: yes}", "{min: 0.0001, max: 0.1, log: true}"),
        ("{type: float, bounds: [1e-4, 1e-1], log_scale: true}",
         "{min: 0.0001, max: 0.1, log: true}"),
        ("{_type: loguniform, _value: [1e-4, 1e-1]}", "{min: 0.0001, max: 0.1, log: true}"),
        ("{choices: [0.1, 0.2]}", r"{values: \[0.1, 0.2\]}"),
    )
] + [
    ("parameters:\n  lr: {low: 1e-4, high: 1e-1, log: true}",
     ["parameters.lr: expected .*; got another program's keys, low, high"]),
] + [
    (f"parameters:\n  lr: {form}", [f"parameters.lr: expected {ours}; got .*"])
    for form, ours in (
        ("loguniform(1e-4, 1e-1)", "{min: 0.0001, max: 0.1, log: true}"),
        ("tune.choice([0.1, 0.2])", r"{values: \[0.1, 0.2\]}"),
        ("tune.quniform(0.1, 0.9, 0.2)", "{min: 0.1, max: 0.9, step: 0.2}"),
        ('trial.suggest_float("lr", 1e-4, 1e-1, log=True)', "{min: 0.0001, max: 0.1, log: true}"),
        ("hp.uniform('lr', 0.1, 0.9)", "{min: 0.1, max: 0.9}"),
        ("tag(log, interval(0.001, 0.1))", "{min: 0.001, max: 0.1, log: true}"),
    )
] + [
    ("parameters: {lr: loguniform(1e-4, 1e-1)}",
     ["parameters.lr: expected {min: 0.0001, max: 0.1, log: true}; got .*"]),
    ("parameters: {lr: tune.choice([0.1, 0.2])}",
     [r"expected {values: \[0.1, 0.2\]}; got tune.choice\(\[0.1, 0.2\]\)"]),
    ("parameters:\n  width: tune.randint(16, 64)\n  lr: 0.1",
     ["parameters.width: expected {min: 16, max: 63}; got .*"]),
    ("parameters:\n  optimizer: choice(sgd, adam)\n  lr: 0.1",
     [r"parameters.optimizer: expected {values: \[sgd, adam\]}; got .*"]),
    ("parameters: {optimizer: {type: Adam, lr: 0.1}, width: 3}",
     ["parameters.optimizer: expected adam, and its settings beside it; got keys type, lr"]),
    ("parameters: [{name: lr, parameterType: double, feasibleSpace: {min: '0.01', max: '0.03'}}]",
     ["parameters: expected parameters by name, such as lr: {min: 0.01, max: 0.03}; got .*"]),
    (f"parameters: {{learning_rate: {LR}, width: 3}}",
     ['parameters.learning_rate: expected lr; got "learning_rate"']),
    # Keys
    ("method: bayes", ['method: expected search: {sampler: bayesian}; got "method"']),
    ("early_terminate: {type: hyperband}",
     ['early_terminate: expected search: {pruner: hyperband}; got "early_terminate"']),
    ("budget:\nn_trials: 50", ['n_trials: expected budget: {trials: 50}; got "n_trials"']),
    ("budget: {n_trials: 50, max_epochs: 9}",
     ['budget.n_trials: expected trials: 50; got "n_trials"',
      'budget.max_epochs: expected epochs: 9; got "max_epochs"']),
    ("timeout: 1800", ['timeout: expected budget: {hours: 0.5}; got "timeout"']),
    ("n_jobs: 4", ['n_jobs: expected nothing: hpsearch run FILE --workers N says it; got .*']),
    ("direction: maximize\nmetric: accuracy",
     ['direction: expected nothing, as accuracy has its direction; got "direction"']),
    ("metric: {name: accuracy, goal: maximize}",
     ['metric.goal: expected direction: maximize; got "goal"']),
    ("metric: val_acc", ['metric: expected accuracy; got "val_acc"']),
    ("search: {sampler: TPESampler, pruner: MedianPruner}",
     ['search.sampler: expected tpe; got "TPESampler"',
      'search.pruner: expected median; got "MedianPruner"']),
    (f"{TABLE.replace('target', 'label')}", ['data.label: expected target; got "label"']),
    ("network:\nmodel: {family: mlp}", ['model: expected network; got "model"']),
]  # fmt: skip

WHOLE = [
    (
        "program: train.py\nmethod: bayes\nmetric: {name: loss, goal: minimize}\n"
        "parameters: {lr: {min: 0.1, max: 1}}\nearly_terminate: {type: hyperband}\n",
        "a W&B sweep",
    ),
    ("apiVersion: kubeflow.org/v1beta1\nkind: Experiment\nspec: {}\n", "a Katib experiment"),
]


@pytest.mark.parametrize(("snippet", "texts"), [*OURS, *THEIRS])
def test_a_cause_is_one_fault_and_says_our_word(refuse, study, snippet, texts):
    said = [
        f"{fault.path}: " * bool(fault.path) + f"expected {fault.expected}; got {fault.got}"
        + f"; did you mean {fault.hint}?" * bool(fault.hint)
        for fault in refuse(study(snippet)).faults
    ]  # fmt: skip
    assert len(said) == len(texts), said
    for text, wanted in zip(said, texts, strict=True):
        assert re.fullmatch(wanted, text), (wanted, text)


@pytest.mark.parametrize(("text", "program"), WHOLE)
def test_a_file_of_another_program_is_one_fault_with_the_command(refuse, text, program):
    (fault,) = refuse(text).faults
    assert fault.got.startswith(f"{program}: hpsearch import ")
    assert fault.got.endswith("study.yaml -o STUDY.yaml makes a study file of it")


def test_words_of_others_in_own_training_are_plain_texts_where_they_are_no_call(read, tmp_path):
    (tmp_path / "train.py").write_text("def train(run): ...")
    spec = read(
        "name: own\ntrain: {function: 'train.py:train'}\nbudget: {trials: 2, epochs: 1}\n"
        "metric: {name: a, direction: maximize}\n"
        "parameters: {learning_rate: {min: 0.1, max: 1.0}, note: uniform, bs: 3}\n"
    )
    assert spec.space.names == ("learning_rate",)
    assert spec.space.constants == {"note": "uniform", "bs": 3}
