"""The first study file: what it says of data and scripts, and that it passes the check."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hpsearch.begin import candidates, draft_of, examples, study_text
from hpsearch.begin.budget import suited
from hpsearch.begin.draft import metric_of
from hpsearch.begin.ranges import guess
from hpsearch.errors import DataError, NotFoundError, StudyFileError
from hpsearch.preflight.data_check import check_look
from hpsearch.sources.opening import look
from hpsearch.spec import SCHEMA_LINE, load


def table(path: Path, names: str, rows: list[tuple]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names.split())
        writer.writerows(rows)
    return path


def begun(data: Path, target: str | None = None) -> tuple[str, Any]:
    """The text of the study file beside the data, and the study that it is."""
    folder = data.parent
    draft = draft_of(data, folder, target)
    if "train" not in draft.content:
        suited(draft, folder)
    text = study_text(draft, folder, [("hpsearch run s.yaml", "search")])
    (folder / "s.yaml").write_text(text)
    spec = load(folder / "s.yaml")
    if (seen := look(spec, folder)) is not None:
        check_look(spec, folder, seen)
    return text, spec


def churn(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    note = "the customer called about a late bill and was not happy with the answer of our desk"
    rows = [
        (9000 - 7 * i if i % 2 else 20000 + 11 * i, f"2023-0{rng.integers(1, 10)}-1{i % 10}",
         ["basic", "pro"][i % 2], rng.integers(1, 70), "NL",
         " ".join(rng.choice(note.split(), 8)), "yes" if rng.random() < 0.1 else "no")
        for i in range(600)
    ]  # fmt: skip
    return table(folder / "churn.csv", "customer_id signup plan tenure country note churned", rows)


def test_a_table_with_few_positives(tmp_path: Path) -> None:
    text, spec = begun(churn(tmp_path))
    assert text.startswith(f"# {SCHEMA_LINE}\n# churn.csv: 600 rows; 3 of 6 columns are inputs")
    assert (spec.data.target, spec.data.task, spec.metric) == ("churned", None, "auroc")
    assert spec.data.ignore == ("customer_id",)
    for words in (
        "% of the rows are yes: always saying no would have an accuracy of 0.9",
        "# customer_id: a different number in each row",
        "country (one value); note (sentences)",
        "# 2 classes, no, yes (its name says so; --target names another)",
        "data: {text: note}, network:",
    ):
        assert words in text
    assert "class_weight" in spec.space.names
    assert all(len(line) <= 100 for line in text.splitlines())


def test_another_target_is_another_task(tmp_path: Path) -> None:
    text, spec = begun(churn(tmp_path), "tenure")
    assert (spec.metric, spec.data.target) == ("rmse", "tenure")
    assert "# a number from 1 to 69\n" in text
    with pytest.raises(DataError, match="has no column `tenur`; did you mean `tenure`"):
        begun(tmp_path / "churn.csv", "tenur")


def test_a_column_that_only_a_person_can_read_is_left_out_with_the_question(tmp_path) -> None:
    rows = [(f"0{i % 9 + 1}/0{i % 8 + 1}/2023", i % 7 + 0.5, "ab"[i % 2]) for i in range(90)]
    text, spec = begun(table(tmp_path / "t.csv", "day size kind", rows))
    assert spec.data.ignore == ("day",)
    assert "may have the day or the month first" in text
    assert "{dayfirst: true}" in text


def test_a_word_among_numbers_is_taken_for_a_missing_value_and_said(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [
        (i % 70 + 0.5, i % 9 + 0.25, i % 50 * (i % 2), "ab"[i % 2]) for i in range(1500)
    ]
    rows[7] = ("unknown", "unknown", 0, "b")
    path = table(tmp_path / "t.csv", "age size fee kind", rows)
    _, spec = begun(path)
    assert spec.data.ignore == ()
    assert {n: c.missing for n, c in spec.data.columns.items()} == {
        "age": ("unknown",), "size": ("unknown",)
    }  # fmt: skip
    *_, words, warning = draft_of(path, tmp_path).head
    assert words == "`unknown` in `age`, `size` is taken for a missing value: see data.columns"
    assert warning.startswith("warning: column `fee`: it alone predicts the target in ")


def test_a_few_cells_with_words_beside_their_numbers_cost_no_column(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [(i % 700 + 0.5, "ab"[i % 2]) for i in range(1500)]
    for i in range(5):
        rows[300 * i] = (f"ca. {i} m²", "b")
    _, spec = begun(table(tmp_path / "t.csv", "size kind", rows))
    assert spec.data.ignore == ()
    assert spec.data.columns["size"].missing == tuple(f"ca. {i} m²" for i in range(5))


def test_rows_whose_target_is_a_word_among_numbers_are_left_out(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [(i % 70 + 0.5, i % 90 + 0.25) for i in range(500)]
    rows[7], rows[9] = (1.5, "on request"), (1.5, "")
    path = table(tmp_path / "t.csv", "size rent", rows)
    _, spec = begun(path)
    assert (spec.data.target, spec.data.columns["rent"].missing) == ("rent", ("on request",))
    assert draft_of(path, tmp_path).head[1:3] == [
        "`on request` in `rent` is taken for a missing value: see data.columns",
        "2 rows without a number as target left out",
    ]
    rows[20:24] = [(1.5, word) for word in ("sold", "gone", "free", "?!")]
    with pytest.raises(DataError, match=r"`on request` is no number.* --target names another"):
        begun(table(tmp_path / "u.csv", "size rent", rows))


def test_columns_that_are_left_out_with_a_question_are_named_on_the_terminal(tmp_path) -> None:
    rows = [(f"0{i % 9 + 1}/0{i % 8 + 1}/2023", i % 7 + 0.5, "ab"[i % 2]) for i in range(90)]
    path = table(tmp_path / "t.csv", "day size kind", rows)
    assert any("only you can say how to read them: `day`" in one
               for one in draft_of(path, tmp_path).head)  # fmt: skip


def test_a_table_without_names_and_tables_that_cannot_be_learnt(tmp_path: Path) -> None:
    rows = [(f"{i % 7 + 0.5}", f"{i % 5}.25", "ab"[i % 2]) for i in range(80)]
    text, spec = begun(table(tmp_path / "t.csv", "1.5 2.25 b", rows))
    assert (spec.data.header, spec.data.target) == (False, "column_3")
    assert "# the first line is a row" in text
    with pytest.raises(DataError, match="one column, `y`: nothing to predict it by"):
        begun(table(tmp_path / "u.csv", "y", [("a",), ("b",)] * 20))
    with pytest.raises(DataError, match="too many for classes; --target names another column"):
        begun(table(tmp_path / "v.csv", "x name", [(i % 7, f"n{i}") for i in range(90)]))
    with pytest.raises(DataError, match=r"`y` is 3\.5 in each row: nothing to predict; --target"):
        begun(table(tmp_path / "w.csv", "x y", [(i % 7, "3.5") for i in range(90)]))
    with pytest.raises(DataError, match=r"has names of columns, and no rows$"):
        begun(table(tmp_path / "z.csv", "x y", []))


def test_a_class_that_is_too_rare_for_its_metric_gives_way(tmp_path: Path) -> None:
    rows = [(i % 7 + 0.5, i % 5, "c" if i < 2 else "ab"[i > 50]) for i in range(80)]
    text, spec = begun(table(tmp_path / "t.csv", "x z label", rows))
    assert spec.metric == "accuracy"
    assert "# accuracy, as f1 cannot be measured" in text


def test_sentences_alone_are_read_word_by_word(tmp_path: Path) -> None:
    words = [
        "the",
        "parcel",
        "came",
        "late",
        "and",
        "the",
        "box",
        "was",
        "broken",
        "so",
        "please",
        "send",
        "a",
        "new",
        "one",
        "to",
        "me",
    ]
    rng = np.random.default_rng(0)
    rows = [(" ".join(rng.choice(words, 9)), "ab"[i % 2]) for i in range(120)]
    _, spec = begun(table(tmp_path / "t.csv", "message kind", rows))
    assert (spec.family, spec.data.text) == ("text", "message")


def test_classes_are_of_similar_size_where_none_is_twice_another() -> None:
    assert metric_of("abc", [60, 100, 110])[1].startswith("accuracy, as the classes are of similar")
    assert metric_of("abc", [60, 100, 140]) == (
        "accuracy",
        "accuracy, the share of rows classified correctly; the classes have 20 % to 47 % of the "
        "rows",
    )


def test_a_folder_a_class(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (tmp_path / "pets" / kind).mkdir(parents=True)
        for i in range(30):
            pixels = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / kind / f"{i}.png")
    text, spec = begun(tmp_path / "pets")
    assert (spec.data.source, spec.data.path, spec.data.size) == ("images", "pets", (24, 32))
    assert spec.family == "cnn"
    assert {"flip", "crop", "blocks", "head"} <= {*spec.space.names}
    assert "head: {values: [flatten, gap, max], default: max}" in text
    assert "# the images' own size, 32 x 24" in text
    for name, side in (("cat/0.png", 8), ("dog/1.png", 40)):
        Image.new("RGB", (side, 24)).save(tmp_path / "pets" / name)
    assert "# the images are 8 to 40 x 24; larger is slower" in begun(tmp_path / "pets")[0]
    for name in ("cat/2.png", "dog/3.png"):
        (tmp_path / "pets" / name).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2 of 60 images cannot .*cat/2\.png.*dog/3\.png"):
        begun(tmp_path / "pets")


@pytest.mark.parametrize(
    ("names", "shape", "family"),
    [("X y", (90, 6), "mlp"), ("x_train y_train", (90, 12, 3), "rnn")],
)
def test_arrays_by_the_names_that_they_have(tmp_path: Path, names, shape, family) -> None:
    rng = np.random.default_rng(0)
    inputs, targets = names.split()
    np.savez(tmp_path / "d.npz", **{inputs: rng.normal(size=shape), targets: np.arange(90) % 3})
    _, spec = begun(tmp_path / "d.npz")
    assert (spec.family, spec.metric, spec.data.X) == (family, "accuracy", inputs)


def test_arrays_of_numbers_and_arrays_without_targets(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", X=np.zeros((20, 3)), y=np.linspace(0, 1, 20))
    assert begun(tmp_path / "d.npz")[1].metric == "rmse"
    np.savez(tmp_path / "e.npz", X=np.zeros((20, 3)), answers=np.arange(20))
    with pytest.raises(StudyFileError, match=r"has the targets is not clear .*--target"):
        begun(tmp_path / "e.npz")
    assert begun(tmp_path / "e.npz", "answers")[1].data.y == "answers"


def test_a_function_that_takes_a_run(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "def helper(x): return x\n"
        "def train(run):\n"
        "    width = run.params.get('width', 48)\n"
        "    for epoch in run.epochs():\n"
        "        loss = run.lr + run.params['dropout'] + width + run.seed + run.sharpness\n"
        "        run.report(train_loss=loss, val_acc=1 - loss, val_loss=loss)\n"
    )
    text, spec = begun(tmp_path / "train.py")
    assert spec.train.function == "train.py:train"
    assert (spec.metric, spec.direction) == ("val_acc", "maximize")
    assert {*spec.space.names} == {"width", "lr", "dropout", "sharpness"}
    (width,) = (p.domain for p in spec.space if p.name == "width")
    assert width.values == (32, 48, 64, 128, 256)
    assert "# a guess: its name and its default do not say what it may be\n  sharpness" in text


def test_what_a_function_hands_its_run_to_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "class Net:\n"
        "    def __init__(self, inputs, options): self.width = options.width\n"
        "def build(run):\n"
        "    return Net(3, options=run) if run.depth else build(run)\n"
        "def unrelated(run): return run.momentum\n"
        "def train(run):\n"
        "    net = build(run)\n"
        "    for epoch in run.epochs():\n"
        "        run.report(loss=net(run.lr))\n"
    )
    _, spec = begun(tmp_path / "train.py")
    assert {*spec.space.names} == {"width", "depth", "lr"}


SCRIPT = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("-b", "--batch-size", type=int, default=64)
parser.add_argument("--optimizer", choices=["sgd", "adam"], default="adam")
parser.add_argument("--epochs", type=int, default=7)
parser.add_argument("--seed", type=int)
parser.add_argument("--data-dir", default="data")
parser.add_argument("--amp", action="store_true")
args = parser.parse_args()
for epoch in range(args.epochs):
    loss = acc = 0.5
    REPORT
"""


@pytest.mark.parametrize(
    ("report", "metric", "line"),
    [
        ('print(json.dumps({"epoch": epoch, "loss": loss, "val_acc": acc}))', "val_acc", None),
        ('print(f"epoch {epoch} train loss {loss:.3f} val acc: {acc:.4f}")', "val_acc",
         "epoch 3 train loss 0.512 val acc: 0.9123"),
        ('print("accuracy =", acc)', "accuracy", "accuracy = 0.9123"),
    ],
)  # fmt: skip
def test_a_script_with_options(tmp_path: Path, report, metric, line) -> None:
    (tmp_path / "train.py").write_text(SCRIPT.replace("REPORT", report))
    text, spec = begun(tmp_path / "train.py")
    assert spec.train.command == (
        "python", "train.py", "--lr", "{lr}", "--batch-size", "{batch_size}", "--optimizer",
        "{optimizer}", "--seed", "{seed}",
    )  # fmt: skip
    assert (spec.metric, spec.budget.epochs) == (metric, 7)
    assert "left at their defaults: --epochs, --data-dir, --amp" in text
    if line is not None:
        assert re.search(spec.train.metrics, line)[metric] == "0.9123"


@pytest.mark.parametrize(
    ("option", "use", "word"),
    [
        ('"--out", default="result.pt"', "", "{checkpoint}/result.pt"),
        ('"--out", default="runs/default"', "", "{checkpoint}"),
        ('"--out", default="model"', "torch.save(net, args.out)", "{checkpoint}/model"),
        ('"--output-dir", default="."', "", "{checkpoint}"),
        ('"--save-dir", default="runs/v1.5"', "", "{checkpoint}"),
        ('"--checkpoint-dir", default=Path("kept")', "", "{checkpoint}"),
        ('"--ckpt", default=ROOT / "best.pt"', "", "{checkpoint}/best.pt"),
        ('"--results", default=os.path.join(ROOT, "results")', "", "{checkpoint}"),
        ('"--log-file", default="logs/all.txt"', "", "{checkpoint}/all.txt"),
        ('"--weights", default="w.pt"', "torch.save(net, args.weights)", "{checkpoint}/w.pt"),
        ('"--weights", default="w.pt"', "torch.load(args.weights)", None),
        ('"--checkpoint", default="start.pt"', "torch.load(args.checkpoint)", None),
        ('"--out", default=None', "", None),
        ('"--out", default="-"', "", None),
        ('"--out", default=3', "", None),
        ('"--out", default="csv", choices=["csv"]', "", None),
        ('"--exp", default="baseline"', "", None),
        ('"--log-level", default="INFO"', "", None),
        ('"--checkpoint", default=""', "", None),
        ('"--model", default="resnet18"', "", None),
        ('"--data", default="data.csv"', "open(args.data)", None),
    ],
)
def test_no_two_trials_of_a_script_write_to_the_same_place(
    tmp_path: Path, option: str, use: str, word: str | None
) -> None:
    script = SCRIPT.replace("args =", f"parser.add_argument({option})\nargs =") + f"\n{use}\n"
    (tmp_path / "train.py").write_text(script.replace("REPORT", 'print(f"loss {loss}")'))
    text, spec = begun(tmp_path / "train.py")
    flag = option.partition('"')[2].partition('"')[0]
    given = dict(zip(spec.train.command, spec.train.command[1:], strict=False))
    assert given.get(flag) == word
    assert (f"# {flag}, by default" in text) is (word is not None)
    assert (flag in text.partition("left at their defaults")[2].splitlines()[0]) is (word is None)


def test_two_outputs_of_a_script_are_two_files(tmp_path: Path) -> None:
    more = "".join(
        f"parser.add_argument('{flag}', default='{flag[2:]}/net.pt')\n"
        for flag in ("--out", "--save-path")
    )
    script = SCRIPT.replace("args =", f"parser.add_argument('--seed', required=True)\n{more}args =")
    (tmp_path / "train.py").write_text(script.replace("REPORT", 'print(f"loss {loss}")'))
    text, spec = begun(tmp_path / "train.py")
    assert spec.train.command[-4:] == (
        "--out", "{checkpoint}/net.pt", "--save-path", "{checkpoint}/save_path.pt"
    )  # fmt: skip
    assert "TO DO" not in text, "the seed that it requires is given"


def test_a_program_that_is_not_read_is_given_its_page(tmp_path: Path) -> None:
    (tmp_path / "train.sh").write_text("echo\n")
    with pytest.raises(StudyFileError, match=r"study file yourself: docs/guides/any-command\.md$"):
        begun(tmp_path / "train.sh")
    (tmp_path / "notes.xyz").write_text("words\n")
    with pytest.raises(StudyFileError, match=r"train\.py\)$"):
        begun(tmp_path / "notes.xyz")


PRINTS = {
    'print(f"epoch {epoch} val_acc={acc:.3f}")': ["epoch 3 val_acc=0.91"],
    'print(f"epoch {epoch}: loss {loss:.2f}, train_acc {acc}, acc {acc:.3f}")': [
        "epoch 3: loss 0.2, train_acc 0.99, acc 0.91"
    ],
    'print(f"train loss {loss} loss {loss}")': ["train loss 0.5 loss 0.91"],
    'print(f"Epoch: {epoch + 1}/{args.epochs} - acc {acc}")': ["Epoch: 3/10 - acc 0.91"],
    'print("Epoch", epoch, "acc:", acc)': ["Epoch 3 acc: 0.91"],
    'print(f"[{self.epoch:3d}/{n}] acc={acc}")': ["[  3/10] acc=0.91"],
    'print(f"{epoch:03d} acc={acc}")': ["003 acc=0.91"],
    'print(f"acc={acc} (epoch {epoch})")': ["acc=0.91 (epoch 3)"],
    'print("Epoch {}: acc {:.3f}".format(epoch, acc))': ["Epoch 3: acc 0.910"],
    'print("Epoch %d: acc %.3f" % (epoch, acc))': ["Epoch 3: acc 0.910"],
    'print("epoch " + str(epoch) + " acc " + str(round(acc, 3)))': ["epoch 3 acc 0.91"],
    'logging.info("epoch %d acc %.3f", epoch, acc)': ["INFO:root:epoch 3 acc 0.910"],
    'print(f"ep {i} acc {acc}"); print(f"acc {acc} at epoch {epoch}")': [
        "ep 3 acc 0.91", "acc 0.91 at epoch 3"
    ],
}  # fmt: skip


@pytest.mark.parametrize("prints", PRINTS)
def test_the_epoch_is_read_where_a_script_prints_it(tmp_path: Path, prints: str) -> None:
    (tmp_path / "train.py").write_text(SCRIPT.replace("REPORT", prints))
    text, spec = begun(tmp_path / "train.py")
    for line in PRINTS[prints]:
        match = re.search(spec.train.metrics, line)
        assert float(match[spec.metric]) == 0.91, spec.train.metrics
        if "epoch" in prints:
            assert int(match["epoch"]) == 3
    both = len(PRINTS[prints]) > 1
    assert ("(?=" in spec.train.metrics) is both, "both orders only where the source has them"
    assert ("these lines name no epoch" in text) is ("epoch" not in prints)


@pytest.mark.parametrize(
    ("prints", "line"),
    [
        ('print(f"acc {acc} time per epoch {t:.1f}")', "acc 0.91 time per epoch 2.5"),
        ('print(f"acc {acc}, best epoch {best}")', "acc 0.91, best epoch 2"),
        ('print(f"epoch time {t} acc {acc}")', "epoch time 2 acc 0.91"),
        ('print(f"acc {acc} of {epochs} epochs")', "acc 0.91 of 10 epochs"),
        ('print(f"epoch {t:.2f}s acc {acc}")', "epoch 2.50s acc 0.91"),
        ('print(f"{t}{epoch} acc {acc}")', "12 acc 0.91"),
        ('print(f"epoch {epoch} acc {acc}", file=log); print(f"acc {acc}")', "acc 0.91"),
    ],
)
def test_another_number_is_no_epoch(tmp_path: Path, prints: str, line: str) -> None:
    (tmp_path / "train.py").write_text(SCRIPT.replace("REPORT", prints))
    _, spec = begun(tmp_path / "train.py")
    assert re.search(spec.train.metrics, line).groupdict() == {"acc": "0.91"}


def test_a_metric_that_is_no_number_is_read(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT.replace("REPORT", 'print(f"loss {loss:.3f}")'))
    _, spec = begun(tmp_path / "train.py")
    assert re.search(spec.train.metrics, "loss nan")["loss"] == "nan"


def test_what_a_script_requires_is_given_or_left_open(tmp_path: Path) -> None:
    more = "".join(
        f"parser.add_argument({one})\n"
        for one in ("'--out-dir', required=True", "'--result-file', required=True", "'corpus'",
                    "'--data', required=True", "'more', nargs='*'", "'-o', required=True")
    )  # fmt: skip
    script = SCRIPT.replace("args =", f"{more}args =").replace("REPORT", 'print(f"loss {loss}")')
    (tmp_path / "train.py").write_text(script)
    text = study_text(draft_of(tmp_path / "train.py", tmp_path), tmp_path)
    given = ["--out-dir", "'{checkpoint}'", "--result-file", "'{checkpoint}/result'", "'{TODO}'",
             "--data", "'{TODO}'", "-o"]  # fmt: skip
    assert "".join(f"\n  - {word}" for word in given) in text
    assert "# TO DO: --data is required; write its value in the place of {TODO}\n" in text
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(StudyFileError, match="expected a value here, which the script requires"):
        load(tmp_path / "study.yaml")


@pytest.mark.parametrize(
    ("option", "use", "word"),
    [
        ('"--out", help="file for final weights"', "", "{checkpoint}/out.pt"),
        ('"--out"', "torch.save(net, args.out)", "{checkpoint}/out.pt"),
        ('"--out", help="where to write"', "open(args.out, 'w')", "{checkpoint}/out"),
        ('"--log", help="a CSV file"', "", "{checkpoint}/log.csv"),
        ('"--out", help="folder for files"', "", "{checkpoint}"),
        ('"--save-dir", help="of the weights file"', "", "{checkpoint}"),
        ('"--out"', "", "{checkpoint}"),
    ],
)
def test_a_file_that_a_script_requires_is_one_in_the_folder_that_is_kept(
    tmp_path: Path, option: str, use: str, word: str
) -> None:
    more = f"parser.add_argument({option}, required=True)\nargs ="
    script = f"{SCRIPT.replace('args =', more)}\n{use}\n"
    (tmp_path / "train.py").write_text(script.replace("REPORT", 'print(f"loss {loss}")'))
    assert begun(tmp_path / "train.py")[1].train.command[-1] == word


def test_a_flag_and_a_condition_of_a_script_are_written(tmp_path: Path) -> None:
    script = SCRIPT.replace("args =", "parser.add_argument('--momentum', type=float, "
                            "help='only with --optimizer sgd.')\nargs =")  # fmt: skip
    (tmp_path / "train.py").write_text(script.replace("REPORT", 'print(f"loss {loss}")'))
    text, spec = begun(tmp_path / "train.py")
    assert "momentum: {min: 0.8, max: 0.98, when: {optimizer: sgd}}" in text
    assert spec.space.names[-1] == "momentum"
    assert '# --amp is a flag: to search it, add "{amp}" behind train.py, and' in text
    assert "amp: {values: [null, --amp]} to parameters" in text.replace("\n# ", " ")
    assert max(map(len, text.splitlines())) < 110, "a long command has a word a line"


def test_a_script_that_says_nothing_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT.replace("REPORT", "pass"))
    assert "# TO DO: nothing that it prints looks like a metric" in begun(tmp_path / "train.py")[0]
    (tmp_path / "train.py").write_text("def f(trial): return trial.suggest_float('lr', 0.1, 1.0)")
    with pytest.raises(StudyFileError, match=r"asks an Optuna trial: .*def train\(run\).*lr: "):
        begun(tmp_path / "train.py")
    (tmp_path / "train.py").write_text("print(1)")
    with pytest.raises(StudyFileError, match="neither a function"):
        begun(tmp_path / "train.py")


def test_a_guess_has_room_for_the_default() -> None:
    assert guess("lr", 0.5)[0] == {"min": 1e-4, "max": 0.5, "log": True}
    assert guess("n_layers", 8)[0] == {"min": 1, "max": 8}
    assert guess("use_bias", True)[0] == {"values": [False, True]}
    assert guess("patience", 6) == ({"min": 3, "max": 12}, "a guess around the default, 6")
    assert guess("mode", None, ("a", "b"))[0] == {"values": ["a", "b"]}


def test_what_of_a_folder_could_be_searched(tmp_path: Path) -> None:
    table(tmp_path / "a.csv", "x y", [(1, 2)])
    (tmp_path / "requirements.txt").write_text("torch")
    (tmp_path / "setup.py").write_text("")
    (tmp_path / "train.py").write_text("")
    assert [path.name for path in candidates(tmp_path)] == ["a.csv", "train.py"]
    for kind in ("cat", "dog"):
        (tmp_path / "pets" / kind).mkdir(parents=True)
        (tmp_path / "pets" / kind / "1.png").touch()
    assert [path.name for path in candidates(tmp_path)] == ["a.csv", "pets", "train.py"]
    assert candidates(tmp_path / "pets") == [tmp_path / "pets"]


def test_what_is_no_data_says_what_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no"):
        draft_of(tmp_path / "nothing.csv", tmp_path)
    with pytest.raises(DataError, match="File name too long"):
        draft_of(tmp_path / f"{'x' * 300}.csv", tmp_path)
    (tmp_path / "a.pdf").write_text("")
    with pytest.raises(StudyFileError, match="a folder with a folder of images for each class"):
        draft_of(tmp_path / "a.pdf", tmp_path)
    (tmp_path / "train.py").write_text("")
    with pytest.raises(StudyFileError, match="--target is for tables and arrays"):
        draft_of(tmp_path / "train.py", tmp_path, "y")


def test_every_example_is_there_with_what_it_needs(tmp_path: Path) -> None:
    known = examples.names()
    assert {"digits", "salaries", "own-loop", "own-module"} <= known.keys()
    assert all(known.values()), "each says what it is about"
    for name in known:
        (tmp_path / name).mkdir()
        for file in examples.files_of(name):
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
        spec = load(tmp_path / name / f"{name}.yaml")
        if spec.data is not None and spec.data.source in ("table", "series"):
            look(spec, tmp_path / name)
    own = {file.name for file in examples.files_of("own-loop")}
    assert own == {"own-loop.yaml", "loop.py", "study.schema.json"}
    with pytest.raises(NotFoundError, match="did you mean digits"):
        examples.files_of("digit")
