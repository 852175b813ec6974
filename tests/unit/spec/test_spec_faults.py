"""Each snippet has one fault, on the line that ends with `#!`."""

from __future__ import annotations

import re

import pytest

from hpsearch.spec import StudySpec

TEXT = "network: {family: text}\nmetric: accuracy"

SECTIONS = [
    # The head
    ("name: 7 #!", "name", "expected text; got 7"),
    ("name: a b #!", "name", "up to 100 letters, digits"),
    ("name: _a #!", "name", "the first a letter or digit"),
    (f"name: {'a' * 101} #!", "name", "up to 100"),
    ("name: #!", "name", "expected text; got null"),
    ("metric: acuracy #!", "metric", 'got "acuracy"; did you mean accuracy?'),
    ("metric: rmse #!", "metric", "as the task is classification"),
    (
        "metric: {name: f1, direction: minimize} #!",
        "metric.direction",
        'expected maximize, as f1 is better so; got "minimize"',
    ),
    ("metric: {name: f1, direction: max} #!", "metric.direction", "one of maximize, minimize"),
    ("metric: {name: rmse, direction: minimize} #!", "metric", "as the task is classification"),
    ("metric: {name: val_f1, direction: maximize} #!", "metric.name", "expected one of accuracy"),
    ("metric: rmsle #!", "metric", "; loss, mse, rmse, mae, r2 for regression; "),
    ("metric: {name: f1} #!", "metric.direction", "expected a value; got nothing"),
    ("metric: {name: f1, direction: maximize, of: 3} #!", "metric.of", "one of name, direction"),
    ("metric: [f1] #!", "metric", 'got ["f1"]'),
    ("data: {source: digits, normal: [1]} #!", "data.normal", "as data.task is not anomaly"),
    (
        "data: {source: digits, task: anomaly}\nnetwork: {family: mlp} #!",
        "network.family",
        "autoencoder, ...as data.task is anomaly",
    ),
    ("network: {family: autoencoder} #!", "network.family", "as data.task is classification"),
    (
        "network: {family: torchvision}\nparameters: {tune: {values: [all, head]}} #!",
        "parameters.tune.values.1",
        "the network begins with no weights of a file",
    ),
    *(
        (f"network: {{family: autoencoder}}\n{text} #!", at, words)
        for text, at, words in (
            ("data: {source: digits, task: anomaly, strange: [1]}", "data.normal", "got nothing"),
            (
                "data: {source: digits, task: anomaly, normal: [1], strange: ['1']}",
                "data.strange.0",
                "expected classes beside those of data.normal",
            ),
            ("data: {source: digits, task: anomaly, normal: [1.5]}", "data.normal.0", "text"),
            (
                "data: {source: digits, task: anomaly, normal: [1, 11]}",
                "data.normal.1",
                'expected one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9; got "11"',
            ),
            (
                "data: {source: fashion_mnist, task: anomaly, normal: [Ankle Boot]}",
                "data.normal.0",
                'got "Ankle Boot"; did you mean Ankle boot?',
            ),
            (
                "data: {source: digits, task: anomaly, normal: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}",
                "data.normal",
                "expected some of the classes; got every class",
            ),
            (
                "data: {source: digits, task: anomaly, normal: [1], validation: test}",
                "data.validation",
                'expected a share, as data.task is anomaly; got "test"',
            ),
            (
                "data: {source: digits, task: anomaly}\nmetric: auroc",
                "metric",
                "expected reconstruction, or the classes of data.normal beside it",
            ),
            (
                "metric: loss\ndata: {source: table, path: p, task: anomaly, normal: [1]}",
                "data.target",
                "the column of the classes that data.normal names",
            ),
        )
    ),
    (
        "data: {source: digits, task: regression} #!",
        "data.task",
        "classification, ...as the source",
    ),
    ("data: {source: digits, task: clasification} #!", "data.task", "did you mean classificat"),
    ("finale: {top: 3} #!", "finale", "expected one of name, data"),
    ("class_weight: balanced #!", "class_weight", "a setting: it belongs under parameters"),
    ("lr: 0.1 #!", "lr", 'got "lr", a setting: it belongs under parameters'),
    ("network: {family: mlp, depth: 3} #!", "network.depth", '"depth", a setting: it belongs'),
    ("search: {sampler: random, batch_size: 8} #!", "search.batch_size", "a setting: it belongs"),
    ("epochs: 3 #!", "epochs", "expected budget: {epochs: 3}"),
    ("serach: {seed: 1} #!", "serach", "did you mean search?"),
    ("checkpoints: '' #!", "checkpoints", "expected text that is not empty"),
    ("checkpoints: s33://bucket/x #!", "checkpoints", 'got "s33://bucket/x"; did you mean s3?'),
    ("checkpoints: simplecache::s3://bucket/x #!", "checkpoints", "fsspec knows"),
    ("checkpoints: s3:// #!", "checkpoints", "names a bucket"),
    ("checkpoints: memory:// #!", "checkpoints", "gone with the process that wrote there; got"),
    ("checkpoints: http://host/x #!", "checkpoints", "as http:// cannot be written to; got"),
    ("checkpoints: https://host/x #!", "checkpoints", "as https:// cannot be written to; got"),
    ("checkpoints: sftp://me:secret@host/x #!", "checkpoints", 'got "sftp://me:***@host/x"'),
    ("checkpoints: sftp://me:se/cr@et@host/x #!", "checkpoints", 'got "sftp://me:***@host/x"'),
    ("checkpoints: s3://bucket/x?token=secret #!", "checkpoints", 'got "s3://bucket/x?token=***"'),
    ("track: {mlflow: 'http://h', uri: a} #!", "track.uri", "expected one of mlflow, experiment"),
    ("track: {mlflow: host:5000} #!", "track.mlflow", "expected MLflow's server, http://HOST:5000"),
    ("track: {mlflow: htp://host} #!", "track.mlflow", "did you mean http?"),
    ("track: {mlflow: 'http://me:secret@host'} #!", "track.mlflow", 'got "http://me:***@host"'),
    ("checkpoints: ~nobody-of-that-name/x #!", "checkpoints", "a home folder that is here; got"),
    ("checkpoints: file://~nobody-of-that-name #!", "checkpoints", "a home folder that is here"),
    # Data
    ("data: {source: mnist, root: ~nobody-of-that-name/x} #!", "data.root", "a home folder that"),
    (
        "data: {source: table, path: t.csv, target: y, text: t}\nmetric: f1\n"
        "network: {family: mlp} #!",
        "network.family",
        "expected one of ...text, ...as the data has tokens, and mlp takes images or rows",
    ),
    (
        "data: {source: table, path: t.csv, target: y, text: t, task: anomaly}\n"
        "metric: reconstruction\nnetwork: {family: autoencoder} #!",
        "network.family",
        "expected ...as the data has tokens, and autoencoder takes images or rows",
    ),
    (
        "data: {source: table, path: t.csv, target: y}\nmetric: f1\n"
        "parameters:\n  flip: {values: [true, false]} #!",
        "parameters.flip",
        "expected no flip, which is for images: the data has rows; got keys (values)",
    ),
    (
        "data: {source: digits, task: anomaly, normal: ['3']}\nmetric: auroc\n"
        "network: {family: autoencoder}\nparameters:\n  mixup: 0.2 #!",
        "parameters.mixup",
        "expected 0, as the target is the inputs themselves; got 0.2",
    ),
    (
        "data: {source: table, path: t.csv, target: y}\nmetric: f1\nnetwork: {family: text} #!",
        "network.family",
        "as the data has rows, and text takes tokens",
    ),
    *(
        (f"data:\n  {{source: table, path: t.csv, target: y, {keys}}} #!\n{TEXT}", path, words)
        for keys, path, words in (
            ("text: y", "data.text", "a column beside the target"),
            ("text: t, ignore: [t]", "data.text", "a column that is not left out"),
            ("text: t, split: {group: t}", "data.text", "a column that is not left out"),
            ("text: t, columns: {t: {kind: date}}", "data.columns.t.kind", "text, as data.text"),
            ("text: t, text_words: 0", "data.text_words", "at least 1"),
            ("text: t, text_length: 0", "data.text_length", "at least 1"),
        )
    ),
    ("data: #!", "data", "expected keys with values: source, "),
    ("data: [] #!", "data", "...; got []"),
    ("data: {} #!", "data.source", "expected one of arrays, "),
    ("data: {source: digts} #!", "data.source", "did you mean digits?"),
    (
        "data:\n  source: digits\n  validation: 0 #!",
        "data.validation",
        "a number above 0 and below 1, or test; got 0",
    ),
    (
        "data: {source: digits, validation: 1} #!",
        "data.validation",
        "a number above 0 and below 1, or test; got 1",
    ),
    (
        "data: {source: digits, validation: yes} #!",
        "data.validation",
        'a number above 0 and below 1, or test; got "yes"',
    ),
    (
        "data: {source: digits, validation: true} #!",
        "data.validation",
        "a number above 0 and below 1, or test; got true",
    ),
    ("data: {source: digits, test: -0.1} #!", "data.test", "at least 0; got -0.1"),
    (
        "data:\n  source: digits\n  validation: 0.5\n  test: 0.5 #!",
        "data.test",
        "shares below 1 in all, with validation at 0.5; got 0.5",
    ),
    ("data: {source: digits, validation: 0.9} #!", "data.validation", "below 1 in all"),
    ("data:\n  source: mnist\n  test: 0.1 #!", "data.test", "mnist brings its own test part"),
    ("data: {source: digits, path: x.csv} #!", "data.path", "no path, as the source is digits"),
    ("data: {source: digits, target: x} #!", "data.target", "no target, as the source is digits"),
    ("data: {source: digits, ignore: [x]} #!", "data.ignore", "no ignore, as the source is"),
    ("data: {source: digits, root: x} #!", "data.root", "no root, as the source is digits"),
    (
        "data: {source: digits, task: regression} #!",
        "data.task",
        "anomaly, ...classification, ...as",
    ),
    ("data: {source: digits, task: clasification} #!", "data.task", "mean classification?"),
    ("data: {source: digits, limit: 0} #!", "data.limit", "at least 1; got 0"),
    ("data: {source: digits, limit: 1.0} #!", "data.limit", "a whole number; got 1.0"),
    ("data: {source: digits, seed: -1} #!", "data.seed", "at least 0; got -1"),
    (
        "metric: f1\ndata: {source: csv, path: x} #!",
        "data.target",
        "expected a value; got nothing",
    ),
    (
        "metric: f1\ndata: {source: csv, target: x} #!",
        "data.path",
        "expected a value; got nothing",
    ),
    (
        "metric: f1\ndata: {source: csv, path: p, target: x, ignore: a} #!",
        "data.ignore",
        'expected a list; got "a"',
    ),
    (
        "metric: f1\ndata: {source: csv, path: p, target: x, ignore: [1]} #!",
        "data.ignore.0",
        "expected text; got 1",
    ),
    (
        "metric: f1\ndata: {source: csv, path: p, target: x, ignore: [x]} #!",
        "data.ignore.0",
        "columns beside the target",
    ),
    (
        "metric: f1\ndata: {source: csv, path: p, target: x, ignore: [a, a]} #!",
        "data.ignore.1",
        'each column once; got "a" again',
    ),
    *(
        (f"metric: f1\ndata: {{source: table, path: p, target: x, {keys}}} #!", f"data.{at}", words)
        for keys, at, words in (
            ("columns: [a]", "columns", "keys with values"),
            ("columns: {a: number}", "columns.a", 'keys with values; got "number"'),
            ("columns: {a: {kin: number}}", "columns.a.kin", "did you mean kind?"),
            ("columns: {a: {kind: num}}", "columns.a.kind", "did you mean number?"),
            ("columns: {x: {kind: date}}", "columns.x.kind", "number or category, as it is the ta"),
            ('columns: {a: {decimal: ","}}, thousands: ","', "columns.a", '"," for both'),
            ('decimal: ",", thousands: ","', "thousands", "another one than data.decimal"),
            ("thousands: x", "thousands", 'or "" for none; got "x"'),
            ("names: [a, b, a]", "names.2", 'each name once; got "a" again'),
            ("split: {}", "split", "expected either by or group; got neither"),
            ("split: {by: a, group: b}", "split", "got by and group"),
            ("split: {by: x}", "split.by", "a column beside the target"),
            ("split: {buy: a}", "split.buy", "did you mean by?"),
            ("test_path: t, test: 0.1", "test", "data.test_path is the test part; got 0.1"),
            ("text_words: 9", "text_words", "data.text beside it, the column that is read"),
            ("header: maybe", "header", 'true or false; got "maybe"'),
        )
    ),
    (
        "data: {source: digits, header: true} #!",
        "data.header",
        "no header, as the source is digits",
    ),
    (
        "data: {source: csv, path: p, target: x, task: regression}\nmetric: f1 #!",
        "metric",
        "expected one of loss, mse, rmse, mae, r2, as the task is regression",
    ),
    (
        "name: base #!\ndata: {source: csv, path: p, target: x}",
        "metric",
        "accuracy, auroc, rmse, ...: required with source table; got nothing",
    ),
    # Network
    ("network: {} #!", "network.family", "expected a value; got nothing"),
    ("network: {family: mpl} #!", "network.family", "did you mean mlp?"),
    ("network: {family: [mlp]} #!", "network.family", 'got ["mlp"]'),
    (
        "metric: loss\ndata: {source: csv, path: p, target: x}\nnetwork: {family: cnn} #!",
        "network.family",
        "as the data has rows, and cnn takes images",
    ),
    # Budget
    ("budget: {} #!", "budget.trials", "only a grid has one of its own; got nothing"),
    ("budget: {trials: 0} #!", "budget.trials", "at least 1; got 0"),
    ("budget: {trials: 1000001} #!", "budget.trials", "at most 1000000"),
    ("budget: {trials: '20'} #!", "budget.trials", 'a whole number; got "20"'),
    ("budget: {trials: 4, epochs: 0} #!", "budget.epochs", "at least 1; got 0"),
    ("budget: {trials: 4, hours: 0} #!", "budget.hours", "above 0; got 0"),
    ("budget: {trials: 4, hours: .inf} #!", "budget.hours", 'a finite number; got ".inf"'),
    ("budget: {trials: 4, hours: 1e305} #!", "budget.hours", "at most 1000000"),
    ("budget: {trials: 4, hours: .nan} #!", "budget.hours", "a finite number"),
    (f"budget: {{trials: {10**20}}} #!", "budget.trials", "a whole number below 2^63"),
    (f"budget: {{trials: {'9' * 5000}}} #!", "budget.trials", "a whole number below 2^63"),
    *(
        (
            f"budget: {{trials: 4, epochs: 3}}\nsearch: {{pruner: {pruner}}} #!",
            f"search.pruner.{path}",
            "at most budget.epochs (3); got 4",
        )
        for pruner, path in (
            ("{name: median, n_warmup_steps: 4}", "n_warmup_steps"),
            ("{name: percentile, n_warmup_steps: 4}", "n_warmup_steps"),
            ("{name: threshold, lower: 0, n_warmup_steps: 4}", "n_warmup_steps"),
            (
                "{name: patient, patience: 1, wrapped: {name: median, n_warmup_steps: 4}}",
                "wrapped.n_warmup_steps",
            ),
        )
    ),
    # Final
    ("final: {top: 0} #!", "final.top", "at least 1"),
    ("final: {seeds: 1} #!", "final.seeds", "at least 2"),
    ("final: {test: 1} #!", "final.test", "expected one of top, seeds"),
    # Search
    ("search: #!", "search", "expected keys with values: strategy, "),
    ("search: {strategy: stage} #!", "search.strategy", "did you mean staged?"),
    ("search: {prioriti: [x]} #!", "search.prioriti", "did you mean priority?"),
    ("search: {priority: [learning_rate]} #!", "search.priority", "unless the strategy is staged"),
    (
        "search: {strategy: staged, priority: [x]} #!",
        "search.priority.0",
        "architecture, learning_rate",
    ),
    (
        "search: {strategy: staged, priority: [batch_size]} #!",
        "search.priority",
        "learning_rate not there",
    ),
    (
        "search: {strategy: staged, stages: [{stage: warmup}]} #!",
        "search.stages.0.share",
        "a value",
    ),
    (
        "search: {strategy: staged, stages: [{stage: polish, share: 0}]} #!",
        "search.stages.0.share",
        "above 0",
    ),
    (
        "search: {strategy: staged, stages: [{stage: polish, share: 1e308}]} #!",
        "search.stages.0.share",
        "at most 1000000",
    ),
    (
        "search: {strategy: staged, stages: [{stage: polish, share: 1, retune: [lr]}]} #!",
        "search.stages.0.retune.0",
        "draw all parameters",
    ),
    (
        "search: {strategy: staged, stages: [{stage: batch_size, share: 1}]} #!",
        "search.stages.0.stage",
        "a group that is searched",
    ),
    (
        "search:\n  strategy: staged\n  stages:\n    - {stage: warmup, share: 1}\n"
        "    - {stage: learning_rate, share: 1, retune: [lr]} #!",
        "search.stages.1.retune.0",
        "of another group",
    ),
    (
        "search: {strategy: staged, stages: [{stage: warmup, share: 1, shar: 2}]} #!",
        "search.stages.0.shar",
        "did you mean share?",
    ),
    ("search: {overlap: true} #!", "search.overlap", "unless the strategy is staged"),
    ("search: {strategy: staged, overlap: 1} #!", "search.overlap", "true or false"),
    ("search: {sampler: bayes} #!", "search.sampler", 'got "bayes"'),
    ("search: {sampler: [tpe]} #!", "search.sampler", 'got ["tpe"]'),
    ("search: {sampler: {learning_rate: tpee}} #!", "search.sampler.learning_rate", "mean tpe?"),
    ("search: {sampler: {}} #!", "search.sampler.learning_rate", "each searched group"),
    (
        "search:\n  sampler:\n    learning_rate: tpe\n    batch_size: tpe #!",
        "search.sampler.batch_size",
        "expected learning_rate; got",
    ),
    ("search: {seed: 1.5} #!", "search.seed", "a whole number; got 1.5"),
    ("search: {pruner: asho} #!", "search.pruner", "did you mean asha?"),
    ("search: {pruner: } #!", "search.pruner", "a name, or keys with values; got null"),
    ("search: {pruner: {patience: 3}} #!", "search.pruner.name", "median, percentile"),
    ("search: {pruner: {name: asho}} #!", "search.pruner.name", "did you mean asha?"),
    (
        "search:\n  pruner:\n    name: asha\n    reduction_facto: 3 #!",
        "search.pruner.reduction_facto",
        "did you mean reduction_factor?",
    ),
    (
        "search: {pruner: {name: asha, reduction_factor: 1}} #!",
        "search.pruner.reduction_factor",
        "a whole number of at least 2; got 1",
    ),
    (
        "search: {pruner: {name: asha, min_resource: auto}} #!",
        "search.pruner.min_resource",
        'a whole number; got "auto"',
    ),
    (
        "search: {pruner: {name: hyperband, min_resource: 11}} #!",
        "search.pruner.min_resource",
        "at most budget.epochs (10); got 11",
    ),
    (
        "search: {pruner: {name: percentile, percentile: 101}} #!",
        "search.pruner.percentile",
        "a number of at most 100; got 101",
    ),
    ("search: {pruner: patient} #!", "search.pruner.patience", "expected a value; got nothing"),
    (
        "search: {pruner: {name: patient, patience: 1, wrapped: {name: median, lower: 1}}} #!",
        "search.pruner.wrapped.lower",
        "expected one of name, n_startup_trials",
    ),
    (
        "search: {pruner: {name: patient, patience: 1, wrapped: {name: asha, min_resource: 99}}}#!",
        "search.pruner.wrapped.min_resource",
        "at most budget.epochs",
    ),
    ("search: {pruner: threshold} #!", "search.pruner", "lower, upper, or both"),
    (
        "search: {pruner: {name: threshold, lower: 2, upper: 1}} #!",
        "search.pruner.upper",
        "at least lower (2); got 1",
    ),
    # Starting points
    ("start: #!", "start", "a list of up to 1,000 points"),
    ("start: {lr: 0.01} #!", "start", "a list of up to 1,000 points"),
    ("start: [0.01] #!", "start.0", "values by parameter"),
    ("start:\n  - lr: 0.01\n  - lr: 0.2 #!", "start.1.lr", "from 0.001 to 0.1; got 0.2"),
    ("start: [{lr: true}] #!", "start.0.lr", "got true"),
    ("start: [{rl: 0.01}] #!", "start.0.rl", "a searched parameter"),
]

PARAMETERS = [
    # In the form of {parameter: ...} below architecture, then the path below it.
    ("width: 1.5 #!", "width", "a whole number of 1 or more"),
    ("activation: rel #!", "activation", "did you mean relu?"),
    ("activation: off #!", "activation", 'got "off"'),
    ("batch_norm: yes #!", "batch_norm", 'true or false; got "yes"'),
    ("width: null #!", "width", "got null"),
    ("wdth: 3 #!", "wdth", 'a setting of mlp or of its training; got "wdth"; did you mean width?'),
    ("blocks: 2 #!", "blocks", "a setting of mlp"),
    ("width: {} #!", "width", "min and max, or values; got {}"),
    ("width: {default: 3} #!", "width", "min and max, or values; got keys (default)"),
    ("width: {min: 3} #!", "width.max", "a value; got nothing"),
    ("width: {max: 3} #!", "width.min", "a value; got nothing"),
    ("width: {min: 3, max: 4, stp: 1} #!", "width.stp", "did you mean step?"),
    ("width:\n      min: 5\n      max: 4 #!", "width.max", "at least min (5); got 4"),
    ("width: {min: '1', max: 4} #!", "width.min", 'a number; got "1"'),
    ("width: {min: null, max: 4} #!", "width.min", "a number; got null"),
    ("width: {min: 1, max: 4.5} #!", "width.max", "a whole number of 1 or more and at most"),
    ("width: {min: 0, max: 4} #!", "width.min", "a whole number of 1 or more"),
    ("dropout: {min: 0, max: 1} #!", "dropout.max", "a number of 0 or more and below 1"),
    ("width: {min: 1, max: 9, step: 0} #!", "width.step", "at most max - min (8); got 0"),
    ("width: {min: 1, max: 9, step: 9} #!", "width.step", "at most max - min (8); got 9"),
    ("width: {min: 1, max: 9, step: 2.0} #!", "width.step", "a whole number, as min and max are"),
    ("width: {min: 1, max: 9, step: 2, log: true} #!", "width.step", "no step, as log is true"),
    ("width: {min: 1, max: 9, log: 1} #!", "width.log", "true or false; got 1"),
    ("width: {min: 1, max: 9, count: 3} #!", "width.count", "whole numbers have an end"),
    ("dropout: {min: 0.0, max: 0.5, log: true} #!", "dropout.min", "above 0, as log is true"),
    ("dropout: {min: 0.0, max: 0.5, count: 0} #!", "dropout.count", "from 1 to 1,000,000"),
    ("dropout: {min: 0.0, max: 0.5, count: 2.5} #!", "dropout.count", "from 1 to 1,000,000"),
    ("dropout: {min: 0.0, max: 0.5, step: 0.1, count: 2} #!", "dropout.count", "it has a step"),
    ("dropout: {min: 0.0, max: 0.5, step: 1e-9} #!", "dropout.step", "at most 1,000,000 values"),
    ("activation: {min: 1, max: 2} #!", "activation", "values, each one of relu"),
    ("batch_norm: {min: 0, max: 1} #!", "batch_norm", "values, each true or false"),
    ("widths: {min: 1, max: 2} #!", "widths", "values, each a list of whole numbers"),
    ("width: {values: 32} #!", "width.values", "a list, such as [32]; got 32"),
    ("width: {values: []} #!", "width.values", "1 to 1,000 values; got 0"),
    ("width: {values: [32, 32]} #!", "width.values.1", "each value once; got 32 again"),
    ("dropout: {values: [0, 0.0]} #!", "dropout.values.1", "each value once"),
    ("width: {values: [32, 3.5]} #!", "width.values.1", "a whole number"),
    ("activation: {values: [relu, no]} #!", "activation.values.1", 'got "no"'),
    ("widths: {values: [[1, 2], 3]} #!", "widths.values.1", "a list of whole numbers"),
    (
        "width: {values: [1], max: 3} #!",
        "width",
        "either values, or min and max; got values and max",
    ),
    ("width: {values: [1, 2], default: 3} #!", "width.default", "one of 1, 2; got 3"),
    ("width: {min: 1, max: 9, step: 2, default: 2} #!", "width.default", "in steps of 2; got 2"),
    ("width: {values: [1, 2], when: depth} #!", "width.when", '{optimizer: sgd}; got "depth"'),
    ("width: {values: [1, 2], when: {}} #!", "width.when", "{optimizer: sgd}; got {}"),
    ("width: {values: [1], when: {width: 1}} #!", "width.when.width", "another parameter"),
    ("width: {values: [1], when: {dept: 1}}  #!\n    depth: 1", "width.when.dept", "mean depth?"),
    (
        "width: {values: [1], when: {depth: 2}} #!\n    depth: 1",
        "width.when.depth",
        "depth can have",
    ),
    (
        "width: {values: [1], when: {depth: [1, 9]}} #!\n    depth: {min: 1, max: 8}",
        "width.when.depth",
        "a value that depth can have: a whole number from 1 to 8; got 9",
    ),
    ("width: {values: [1], when: {depth: []}} #!\n    depth: 1", "width.when.depth", "1 to 1,000"),
    (
        "depth: {values: [1, 2], when: {width: 1}} #!\n"
        "    width: {values: [1, 2], when: {depth: 1}}",
        "depth.when",
        "without a circle; got depth -> width -> depth",
    ),
    ("widths: [8, 8] #!\n    depth: 3", "widths", "either widths, or depth and width"),
    ("loss: mse #!", "loss", "one of bce, cross_entropy, focal, as the task is classification"),
    ("epochs: 11 #!", "epochs", "at most budget.epochs (10); got 11"),
    ("epochs: {min: 1, max: 11} #!", "epochs.max", "at most budget.epochs (10); got 11"),
    ("lr: 1 #!", "lr", "each parameter in one group; got it again after learning_rate"),
]

STRUCTURE = [
    # What refers to a faulty parameter is not blamed as well.
    (
        "parameters:\n  learning_rate:\n    lr: {min: 0.1, max: 1, default: 9} #!\n"
        "start: [{lr: 50}]",
        "parameters.learning_rate.lr.default",
        "from 0.1 to 1; got 9",
    ),
    (
        "parameters:\n  architecture:\n    width: {min: 1, max: 9, step: 0, default: 70} #!\n"
        "    depth: {values: [1], when: {width: 500}}",
        "parameters.architecture.width.step",
        "at most max - min (8); got 0",
    ),
    (
        "metric: loss #!\ndata: {source: digits}\nparameters:\n"
        "  optimizer: {loss: focal, focal_gamma: {min: 0, max: 5}}",
        "metric",
        "expected one of accuracy, precision, recall, f1, auroc, as focal_gamma is searched; got "
        '"loss", which cannot be compared between values of focal_gamma',
    ),
    *(
        (
            "metric: loss #!\ndata: {source: csv, path: p, target: x}\nparameters:\n"
            f"  optimizer:\n    optimizer: {{values: [sgd, adam]}}\n    loss: {searched}",
            "metric",
            f"expected one of mse, rmse, mae, r2, as losses of different scales are searched; got "
            f'"loss", which cannot compare {compared}',
        )
        for searched, compared in (
            ("{values: [mse, l1, huber]}", "mse, l1, huber"),
            ("{values: [l1, huber]}", "l1, huber"),
            ("{values: [null, l1]}", "l1, mse"),
            ("{values: [huber], when: {optimizer: sgd}}", "huber, mse"),
        )
    ),
    ("parameters: #!", "parameters", "by name, or groups of them; got null"),
    ("parameters: {regularization: } #!", "parameters.regularization", "parameters by name"),
    ("parameters: {learning_rate: } #!", "parameters.learning_rate", "expected lr; got"),
    ("parameters: {learning_rat: {lr: {values: [1]}}} #!", "parameters.learning_rat", "mean learn"),
    (
        "network: {family: cnn}\nparameters: {architecture: {channels: {min: 1.0, max: 3}}} #!",
        "parameters.architecture.channels.min",
        "expected a whole number of 1 or more; got 1.0",
    ),
    (
        "parameters:\n  optimizer:\n    optimizer: {values: [sgd, adam]}\n"
        "    momentum: {min: 0.1, max: 0.9, when: {optimizer: sgd}}\n"
        "start: [{optimizer: adam, momentum: 0.5}] #!",
        "start.0.momentum",
        'it only with optimizer "sgd"; got optimizer "adam"',
    ),
    (
        "parameters:\n  optimizer:\n    optimizer: {values: [sgd, adam]}\n"
        "    momentum: {min: 0.1, max: 0.9, when: {optimizer: sgd}}\n"
        "start: [{momentum: 0.5}] #!",
        "start.0.momentum",
        "got no optimizer",
    ),
    (
        "parameters:\n  optimizer:\n    clip: 1\n    nesterov: {values: [true]}\n"
        "start: [{clip: 1}] #!",
        "start.0.clip",
        'a searched parameter; got "clip", which is a constant',
    ),
    (
        "search: {sampler: grid}\nparameters:\n  learning_rate:\n"
        "    lr: {min: 0.001, max: 0.1} #!\n  architecture:\n    depth: {min: 1, max: 3}\n"
        "    width: {values: [1, 2]}",
        "parameters.learning_rate.lr",
        "a step or a count, as the grid would have no end; the rest is 6 cells",
    ),
    (
        f"parameters: {{architecture: {{width: {{values: {[*range(1, 41)]}, default: 50}}}}}} #!",
        "parameters.architecture.width.default",
        "18, 19, 20, ... (40 in all); got 50",
    ),
    (
        "parameters:\n  architecture:\n    depth: {values: [1, 2]}\nsearch: {sampler: cmaes} #!",
        "search.sampler",
        "a parameter with min and max for cmaes to search",
    ),
    (
        "search: {sampler: grid}\nstart: [{depth: 1}] #!\nparameters: {architecture: {depth: "
        "{values: [1, 2]}}}",
        "start",
        "no starting points, as a grid runs every combination once",
    ),
    (
        "search: {sampler: grid}\nbudget: {} #!\nparameters: {batch_size: {batch_size: "
        "{min: 1, max: 1000000}}, architecture: {depth: {values: [1, 2]}}}",
        "budget.trials",
        "a grid of 2,000,000 cells",
    ),
]


def check(refuse, text: str, path: str, words: str) -> None:
    error = refuse(text)
    assert [f.path for f in error.faults] == [path], str(error)
    lines = text.split("\n")
    marked = [number for number, line in enumerate(lines, start=1) if line.endswith("#!")]
    assert [error.faults[0].line] == marked
    parts = map(re.escape, words.split("..."))  # between them are names that others may add to
    assert re.search(".*".join(parts), str(error))
    assert f"study.yaml:{marked[0]}: {path}: expected " in str(error)


@pytest.mark.parametrize(("snippet", "path", "words"), SECTIONS + STRUCTURE)
def test_section(refuse, study, snippet, path, words):
    check(refuse, study(snippet), path, words)


@pytest.mark.parametrize(("snippet", "path", "words"), PARAMETERS)
def test_parameter(refuse, study, snippet, path, words):
    learning_rate = "  learning_rate:\n    lr: {min: 0.001, max: 0.1}"
    text = study(f"parameters:\n{learning_rate}\n  architecture:\n    {snippet}")
    check(refuse, text, f"parameters.architecture.{path}", words)


@pytest.mark.parametrize("section", ["name", "data", "network", "parameters"])
def test_missing_section(refuse, study, section):
    text = "".join(line for line in study().splitlines(True) if not line.startswith(section))
    if section == "parameters":
        text = text.replace("  learning_rate:\n    lr: {min: 0.001, max: 0.1}\n", "")
    (fault,) = refuse(text).faults
    assert (fault.line, fault.path, fault.got) == (1, section, "nothing")


@pytest.mark.parametrize("section", ["name", "data", "network", "parameters", "budget"])
def test_a_misspelt_section_is_not_missing_too(refuse, study, section):
    typo = section[:-2] + section[-1] + section[-2]
    text = study().replace(f"{section}:", f"{typo}:")
    (fault,) = refuse(text).faults
    assert (fault.path, fault.hint) == (typo, section)


def test_a_parameter_is_retuned_once(refuse, study):
    text = study(
        "parameters:\n  learning_rate: {lr: {min: 0.001, max: 0.1}}\n"
        "  batch_size: {batch_size: {values: [8, 16]}}\n"
        "search:\n  strategy: staged\n  stages:\n    - {stage: warmup, share: 1}\n"
        "    - {stage: batch_size, share: 1, retune: [lr, lr]} #!"
    )
    check(refuse, text, "search.stages.1.retune.1", 'each parameter once; got "lr" again')


def test_a_list_of_what_may_be_searched_says_how(refuse, study):
    text = study("parameters:\n  architecture:\n    depth: [1, 2, 3]")
    assert "or {values: [1, 2, 3]} to search these; got [1, 2, 3]" in str(refuse(text))


@pytest.mark.parametrize(
    "parameters",
    [
        "loss: {values: [bce, cross_entropy]}",
        "loss: {values: [null, cross_entropy]}",
        "loss: {values: [null, mse]}",
        "loss: l1",
        "label_smoothing: {min: 0, max: 0.3}",  # the validation loss is never smoothed
    ],
)
def test_losses_of_one_scale_are_compared_by_themselves(read, study, parameters):
    data = "data: {source: csv, path: p, target: x}"
    spec = read(study(f"metric: loss\n{data}\nparameters: {{optimizer: {{{parameters}}}}}"))
    assert spec.metric == "loss"


def test_a_study_of_before_that_searches_losses_of_different_scales_stays_readable(read, study):
    data = "data: {source: csv, path: p, target: x}"
    losses = "parameters: {optimizer: {loss: {values: [mse, l1]}}}"
    document = read(study(f"metric: mse\n{data}\n{losses}")).document
    assert StudySpec.from_document({**document, "metric": "loss"}).metric == "loss"


def test_a_study_of_before_may_have_a_warm_up_longer_than_its_trials(read, study):
    document = read(study("search: {pruner: median}")).document
    pruner = {"name": "median", "n_warmup_steps": 100}
    for version in (1, 2):
        found = StudySpec.from_document(
            {**document, "version": version, "search": {"pruner": pruner}}
        )
        assert found.search.pruner.options["n_warmup_steps"] == 100
