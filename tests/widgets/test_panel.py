import asyncio
import gc
import re
import threading
import time
import weakref

import pandas as pd
import pytest

from tests.models.test_encoder_classifier import LABELS, QUICK, TEXTS
from workbench import data, evaluation, files, models, runs
from workbench.errors import UserError
from workbench.evaluation import curves
from workbench.models.encoder_classifier import TextClassifier
from workbench.training import stop_event
from workbench.training.history import History
from workbench.widgets import ModelPicker, TrainingPanel, attempt, base, panel

TABLE = pd.DataFrame({"text": TEXTS, "label": LABELS})


@pytest.fixture(autouse=True)
def root(monkeypatch, tmp_path):
    """Where the runs go."""
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def shown(monkeypatch):
    """What a live notebook would have displayed, and what it replaced."""
    displays = []

    class Handle:
        def update(self, bundle, raw):
            displays.append(("update", bundle))

    def display(bundle, raw=False, display_id=None):
        displays.append(("display", bundle))
        return Handle() if display_id else None

    monkeypatch.setattr("IPython.display.display", display)
    return displays


class Counting:
    """A classifier that learns nothing, slowly: it reports a step every few milliseconds."""

    def __init__(self, steps=200, fail_at=None, seconds=0.005):
        self.steps, self.fail_at, self.seconds = steps, fail_at, seconds

    def fit(self, texts, labels):
        history = History()
        for step in range(1, self.steps + 1):
            stop_event.raise_if_stopped()
            if step == self.fail_at:
                raise UserError("The loss became nan in step 7.")
            history.log(step=step, steps=self.steps, epoch=step / 100, loss=1 / step)
            time.sleep(self.seconds)
        self.classes_ = sorted(set(labels))
        return self


class Stubborn:
    """A classifier that goes on for a while after it was asked to stop."""

    running, at_once = 0, 0

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def fit(self, texts, labels):
        Stubborn.running += 1
        Stubborn.at_once = max(Stubborn.at_once, Stubborn.running)
        time.sleep(self.seconds)
        Stubborn.running -= 1
        self.classes_ = sorted(set(labels))
        return self


def drawn(box) -> list[int]:
    """How many points each line of the live curve has."""
    return [
        len(line.split())
        for line in re.findall('<polyline points="([^"]*)"', box.children[3].value)
    ]


def pictures(shown) -> list[dict]:
    """What was displayed beside the sentences that the notebook keeps, which come when they may."""
    bundles = [bundle for _, bundle in shown if isinstance(bundle, dict)]
    return [bundle for bundle in bundles if "workbench-still" not in bundle["text/html"]]


def wait(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_awaiting_trains_and_leaves_one_still_picture(shown):
    async def cell():
        return await TrainingPanel(Counting(60), TABLE)

    model = asyncio.run(cell())
    assert model.classes_ == ["bad", "good"]
    ((kind, bundle),) = shown
    assert kind == "display"
    assert set(bundle) == {"application/vnd.plotly.v1+json", "text/html", "text/plain"}
    assert ">60</td>" in bundle["text/html"], "the numbers stand behind the chart"
    assert len(bundle["text/html"]) < 100_000


def test_an_exception_fails_the_cell(shown):
    with pytest.raises(UserError, match="step 7"):
        asyncio.run(_awaited(TrainingPanel(Counting(fail_at=7), TABLE)))
    failing = TrainingPanel(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        failing.run()
    assert failing.status() == ("ZeroDivisionError: division by zero", "bad")


async def _awaited(each):
    return await each


def test_the_curve_grows_and_stop_and_train_are_buttons(shown, monkeypatch):
    monkeypatch.setattr(base, "live", lambda: True)
    monkeypatch.setattr(panel, "SECONDS", 0.02)
    watched = TrainingPanel(Counting(10_000), TABLE)
    watched._ipython_display_()
    box = watched.view()
    train, stop, metric, bar = box.children[0].children
    assert not train.disabled
    assert stop.disabled
    train.click()
    seen = set()
    wait(lambda: len(seen) > 3 or seen.add(sum(drawn(box))))
    assert train.disabled
    before = len(watched.attempts)
    watched.start()
    assert len(watched.attempts) == before, "a double start is one start"
    stop.click()
    wait(lambda: not watched.running())
    wait(lambda: not train.disabled)
    assert "Stopped before" in box.children[1].value
    stop.click()
    watched.stop()
    assert not watched.running(), "a stop after the end does nothing"
    metric.value = "macro_f1"
    assert watched.curve.metric == "macro_f1"
    watched._make.steps = 5
    train.click()
    wait(lambda: watched.model is not None)
    wait(lambda: not train.disabled)
    wait(lambda: not drawn(box))  # the last picture stands in the output, not in the widget
    wait(lambda: pictures(shown)[-1].get("application/vnd.plotly.v1+json", {}).get("data"))
    names = [t["name"] for t in watched.still()["application/vnd.plotly.v1+json"]["data"]]
    assert names == ["Counting (attempt 1)", "Counting (attempt 2): training"], "as a ghost"
    assert bar.value == 5


def test_a_failed_training_leaves_the_model_before(shown):
    watched = TrainingPanel(Counting(5), TABLE)
    first = watched.run()
    watched._make = Counting(fail_at=3)
    with pytest.raises(UserError):
        watched.run()
    assert watched.model is first


def test_an_interrupted_cell_ends_its_training(shown):
    watched = TrainingPanel(Counting(100_000), TABLE)

    async def cell():
        task = asyncio.ensure_future(_awaited(watched))
        await asyncio.sleep(0.3)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cell())
    wait(lambda: not watched.running(), 5)


def test_another_training_stops_the_one_that_runs(shown):
    first, second = TrainingPanel(Counting(100_000), TABLE), TrainingPanel(Counting(5), TABLE)
    first.start()
    second.run()
    assert not first.running()
    assert second.model is not None


def test_stop_keeps_the_weights_of_the_best_validation(checkpoint, shown):
    settings = {**QUICK, "epochs": 400, "learning_rate": 1e-3}
    watched = TrainingPanel(
        lambda: TextClassifier(str(checkpoint("bert")), **settings), TABLE, TABLE
    )
    attempt = watched.start()
    wait(lambda: len(attempt.history.column("validation_loss")[0]) >= 3, 60)
    asked = time.perf_counter()
    watched.stop()
    attempt.join(10)
    assert time.perf_counter() - asked < 2
    report = watched.model.training_info_
    steps, losses = attempt.history.column("validation_loss")
    assert report["stopped"]
    assert report["steps"] < 400 * 5
    assert report["kept_step"] == steps[losses.index(min(losses))]
    from workbench import evaluation

    found = evaluation.evaluate(watched.model, TABLE).metrics
    assert found["loss"] == pytest.approx(min(losses), rel=1e-2)
    assert "are kept" in watched.status()[0]


def test_a_stop_during_evaluation_takes_effect_at_once(checkpoint, shown, monkeypatch):
    from workbench.training import inference

    entered = threading.Event()
    real = inference.logit_batches

    def slow(model, rows, wanted="auto"):
        entered.set()
        for _ in range(1000):
            list(real(model, rows, wanted))
        yield from real(model, rows, wanted)

    monkeypatch.setattr(inference, "logit_batches", slow)
    watched = TrainingPanel(TextClassifier(str(checkpoint("bert")), **QUICK), TABLE, TABLE)
    attempt = watched.start()
    assert entered.wait(60)
    watched.stop()
    asked = time.perf_counter()
    assert attempt.ended.wait(10), "nobody waits for the score of a stopped training"
    assert time.perf_counter() - asked < 2
    assert "Scoring on the validation texts" in watched.status()[0]
    watched.stop()
    attempt.join(10)
    assert time.perf_counter() - asked < 4
    assert attempt.outcome == "Not scored, because it was stopped."
    assert (attempt.run.metrics, attempt.run.info["stopped"]) == ({}, True)
    monkeypatch.setattr(inference, "logit_batches", real)
    assert watched.model.training_info_["kept_step"] == watched.model.training_info_["steps"]
    assert len(watched.model.predict(TEXTS)) == len(TEXTS)


def test_stopped_before_the_first_step_leaves_nothing(shown):
    watched = TrainingPanel(Counting(100_000), TABLE)
    watched.start()
    watched.stop()
    wait(lambda: not watched.running())
    assert watched.model is None
    assert watched.status() == ("Stopped before anything was learned.", "bad")


@pytest.mark.parametrize("name", ["naive-bayes", "cnn"])
def test_models_without_steps_are_trained_too(name, shown):
    settings = {"epochs": 2} if name == "cnn" else {}
    watched = TrainingPanel(lambda: models.build(name, **settings), TABLE, TABLE)
    assert (watched.run().predict(TEXTS) == LABELS).mean() > 0.6
    assert bool(watched.value) == (name == "cnn")


def test_what_a_person_wrote_is_escaped(shown):
    def fail():
        raise UserError("There is no column '<script>alert(1)</script>'.")

    watched = TrainingPanel(fail)
    with pytest.raises(UserError):
        watched.run()
    assert "<script>alert" not in watched.still()["text/html"]
    assert "<script>alert" not in watched.view().children[1].value


# --- long sessions -------------------------------------------------------------------------------


def test_of_many_trainings_the_last_model_lives(shown):
    models_seen = []

    def make():
        models_seen.append(weakref.ref(model := Counting(3, seconds=0)))
        return model

    watched = TrainingPanel(make, TABLE)
    for _ in range(panel.MAX_ATTEMPTS + 2):
        watched.run()
    gc.collect()
    assert [ref() is not None for ref in models_seen] == [False] * (len(models_seen) - 1) + [True]
    assert models_seen[-1]() is watched.model
    assert len(watched.attempts) == panel.MAX_ATTEMPTS, "histories are bounded"
    assert [each.number for each in watched.attempts][-1] == len(models_seen)
    del watched
    gc.collect()
    assert models_seen[-1]() is None, "nothing in the module holds a panel that is gone"


def test_a_failed_training_is_not_kept_by_its_traceback(shown):
    failed = []

    def make():
        failed.append(weakref.ref(model := Counting(5, fail_at=3 if not failed else None)))
        return model

    watched = TrainingPanel(make, TABLE)
    with pytest.raises(UserError):
        watched.run()
    watched.run()
    gc.collect()
    assert failed[0]() is None
    assert watched.attempts[0].status() == ("The loss became nan in step 7.", "bad")


@pytest.fixture
def cell(monkeypatch):
    """A function that says which cell runs from now on, as a live front end does."""
    now = {}
    monkeypatch.setattr(base, "live", lambda: True)
    monkeypatch.setattr(base, "running_cell", lambda: (now["id"], str(now["count"])))

    def run(name):
        now.update(id=name, count=now.get("count", 0) + 1)

    return run


def test_a_cell_that_runs_again_frees_what_it_showed_before(shown, cell):
    def displayed():
        watched = TrainingPanel(Counting(3, seconds=0), TABLE)
        watched._ipython_display_()
        watched.run()
        controls = watched.view().children[0].children
        wait(lambda: not controls[0].disabled)
        return weakref.ref(watched)

    cell("first")
    first, beside = displayed(), displayed()
    cell("second")
    second = displayed()
    gc.collect()
    assert first() and beside() and second()
    cell("first")
    again = displayed()
    shown.clear()  # the list of this test
    wait(lambda: gc.collect() >= 0 and not first() and not beside())
    assert second() and again()


def test_a_panel_is_shown_again_after_its_view_was_closed(shown, cell):
    watched = TrainingPanel(Counting(3, seconds=0), TABLE)
    cell("one")
    watched._ipython_display_()
    box = watched.view()
    cell("one")
    TrainingPanel(Counting(3), TABLE)._ipython_display_()
    assert watched.view() is not box
    watched.run()
    wait(lambda: "Trained" in watched.view().children[1].value)


def test_what_stands_for_the_panel_without_its_kernel_ends_with_its_last_words(
    shown, cell, monkeypatch
):
    monkeypatch.setattr(base, "KEEP_SECONDS", 0.01)
    watched = TrainingPanel(models.build("naive-bayes"), TABLE, TABLE[:40])
    cell("one")
    watched._ipython_display_()
    watched.run()
    words = base.escape(watched.attempts[-1].outcome)
    assert "95% interval" in words

    def kept():
        return [b["text/html"] for _, b in shown if "workbench-still" in str(b)]

    wait(lambda: "Trained in" in kept()[-1] and words in kept()[-1])
    assert kept()[-1].count("<div") == 1, "the chart is an output of its own"


def test_two_trainings_never_overlap_though_the_first_ignores_stop(shown):
    Stubborn.at_once = 0
    first, second = TrainingPanel(Stubborn(1.5), TABLE), TrainingPanel(Stubborn(), TABLE)
    slow = first.start()
    wait(lambda: Stubborn.running == 1)
    waiting = second.start()
    assert slow.stop_requested.is_set()
    time.sleep(0.2)
    wait(lambda: "Waiting until another training has stopped" in second.status()[0])
    assert second.run() is second.model, "a second start is the one that waits"
    assert not slow.is_alive()
    assert waiting.learned
    assert slow.seconds > 1.5
    assert 0 < waiting.seconds < 0.1, "waiting is not training"
    assert (Stubborn.at_once, len(second.attempts)) == (1, 1)
    assert first.model.classes_ == ["bad", "good"], "what the first had learned is kept"


def test_training_again_after_an_interrupt_waits_for_the_first(shown):
    Stubborn.at_once = 0
    watched = TrainingPanel(Stubborn(1.0), TABLE)
    first = watched.start()
    wait(lambda: Stubborn.running == 1)
    watched.stop()
    assert watched.run().classes_
    assert not first.is_alive()
    assert (Stubborn.at_once, len(watched.attempts)) == (1, 2)


def test_a_training_that_waits_can_be_stopped_and_gives_up(shown, monkeypatch):
    slow = TrainingPanel(Stubborn(4.0), TABLE).start()
    wait(lambda: Stubborn.running == 1)
    watched = TrainingPanel(Stubborn(), TABLE)
    watched.start()
    watched.stop()
    wait(lambda: not watched.running(), 3)
    assert watched.status() == ("Stopped before anything was learned.", "bad")
    monkeypatch.setattr(attempt, "PATIENCE", 0.2)
    with pytest.raises(UserError, match="asked to stop 0 s ago and still runs"):
        watched.run()
    assert slow.is_alive()
    slow.join()


# --- errors while drawing ------------------------------------------------------------------------


def test_an_error_while_it_redraws_does_not_leave_the_panel_dead(shown, monkeypatch):
    monkeypatch.setattr(base, "live", lambda: True)
    monkeypatch.setattr(panel, "SECONDS", 0.02)
    real, errors = panel.curves.chart, [OSError("no chart"), OSError("nor now")]

    def failing(*arguments):
        if errors:
            raise errors.pop()
        return real(*arguments)

    watched = TrainingPanel(Counting(10_000), TABLE)
    watched._ipython_display_()
    box = watched.view()
    monkeypatch.setattr(panel.curves, "chart", failing)
    box.children[0].children[0].click()
    wait(lambda: not errors and drawn(box))
    assert "step" in box.children[1].value
    box.children[0].children[1].click()
    wait(lambda: not watched.running())
    errors.append(OSError("at the end"))
    wait(lambda: not box.children[0].children[0].disabled)
    box.children[0].children[0].click()
    wait(lambda: watched.running() and drawn(box))
    watched.stop()
    wait(lambda: not watched.running())


# --- what a training trains with, and the run that it becomes -------------------------------------

SMALL = {"epochs": 2, "min_count": 1, "batch_size": 16}


def test_every_training_becomes_a_run(shown, root):
    watched = TrainingPanel(models.build("cnn", **SMALL, seed=3), TABLE, TABLE[:30])
    model = watched.run()
    (run,) = runs.list_runs()
    assert run.path == watched.attempts[-1].run.path
    assert run.info["settings"] == files.plain(models.describe(model))
    assert run.info["data"] == runs.describe_data(TABLE, TABLE[:30])
    assert run.info["seed"] == 3
    assert not run.info["stopped"]
    assert run.history() == model.history_
    expected = evaluation.evaluate(model, TABLE[:30], "validation")
    assert run.metrics == expected.metrics
    assert run.predictions().equals(expected.predictions)
    watched._make = models.build("naive-bayes", alpha=1.0)
    watched.run()
    assert [each.info["settings"]["model"] for each in runs.list_runs()] == ["cnn", "naive-bayes"]
    assert runs.list_runs()[1].info["settings"]["alpha"] == 1.0
    TrainingPanel(lambda: "learned").run()
    assert runs.list_runs()[2].name == "str"


def test_a_stopped_training_becomes_a_run_that_says_so(shown, root):
    watched = TrainingPanel(models.build("cnn", **{**SMALL, "epochs": 1000}), TABLE, TABLE[:30])
    attempt = watched.start()
    wait(lambda: attempt.step > 3)
    watched.stop()
    attempt.join(20)
    (run,) = runs.list_runs()
    assert run.info["stopped"]
    assert run.metrics["n"] == 30
    assert watched.running() is False
    failed = TrainingPanel(Counting(fail_at=3), TABLE)
    with pytest.raises(UserError):
        failed.run()
    assert len(runs.list_runs()) == 1, "what has left no model is no run"


@pytest.mark.parametrize("validation", [None, TABLE])
def test_a_run_that_cannot_be_written_is_said_and_the_model_stays(shown, root, validation):
    root.write_text("a file in place of the folder")
    watched = TrainingPanel(models.build("naive-bayes"), TABLE, validation)
    assert watched.run().predict(TEXTS[:1])
    assert "no run was written" in watched.still()["text/html"]
    assert watched.attempts[-1].run is None
    with pytest.raises(UserError, match="no run to save a model into"):
        watched.save_model()


def test_a_model_that_cannot_be_scored_is_kept(shown):
    class Odd(Counting):
        def predict_proba(self, texts):
            raise ZeroDivisionError("odd")

    watched = TrainingPanel(Odd(3), TABLE, TABLE)
    assert watched.run().classes_
    assert watched.attempts[-1].outcome == "It could not be scored: ZeroDivisionError: odd"
    assert watched.attempts[-1].run.metrics == {}


def test_what_a_training_trains_with_is_fixed_when_it_begins(shown):
    picker = ModelPicker("cnn", epochs=500, learning_rate=1e-3)
    train, validation, _ = data.frames(data.load("reviews"), limit=60)
    watched = TrainingPanel(picker.build, train, validation)
    slow = TrainingPanel(Stubborn(1.0), TABLE).start()
    wait(lambda: Stubborn.running == 1)
    attempt = watched.start()
    wait(lambda: attempt.settings)
    picker.choose(epochs=2)
    assert attempt.waits, "also what waits for another training does not change any more"
    about = "cnn: 500 epochs, 1e-3 · reviews, 60 training and 60 validation texts."
    assert attempt.about == about
    slow.join()
    wait(lambda: attempt.steps)
    assert attempt.steps > 500
    assert "The picker has been changed since" in watched.news()[0]
    said = watched.view().children
    assert about in said[1].value and "The picker has been changed" in said[2].value
    watched.stop()
    attempt.join(20)
    assert attempt.run.info["settings"]["epochs"] == 500
    assert about in watched.still()["text/html"]
    assert not any("picker" in sentence for sentence in watched.news())


def test_attempts_are_named_by_what_distinguishes_them(shown, checkpoint):
    watched = TrainingPanel(models.build("cnn", **SMALL), TABLE)
    for settings in ({}, {}, {"learning_rate": 1e-4}, {"dropout": 0.5}):
        watched._make = models.build("cnn", **SMALL, **settings)
        watched.run()
    words = "2 epochs, batch size 16, min count 1"
    assert watched.labels() == [
        f"{words} (attempt 1)", f"{words} (attempt 2)",
        "2 epochs, 1e-4, batch size 16, min count 1",
        "2 epochs, batch size 16, dropout 0.5, min count 1",
    ]  # fmt: skip
    encoder = str(checkpoint("bert"))
    watched._make = TextClassifier(encoder, strategy="frozen")
    watched.run()
    assert watched.labels()[-1] == f"{encoder}: frozen"
    assert watched.labels()[0] == f"cnn: {words} (attempt 1)"


def test_the_end_says_the_score_against_the_majority_and_the_attempt_before(shown):
    validation = TABLE[:40].assign(id=[f"r{i}" for i in range(40)])
    watched = TrainingPanel(models.build("majority"), TABLE, validation)
    watched.run()
    assert watched.attempts[0].outcome == (
        "Accuracy 0.475 on 40 validation texts (95% interval 0.329 to 0.625). Not significantly "
        "different from the most frequent class, 0.475 (p = 1.000, mid-p McNemar test)."
    )
    before = watched.attempts[0].predictions
    watched._make = models.build("naive-bayes")
    watched.run()
    last = watched.attempts[-1]
    p = evaluation.mcnemar(before, last.predictions)["p"]
    assert p < 0.001
    assert (
        "Significantly better than the attempt before (majority), 0.475 (p < 0.001, mid-p McNemar "
        "test)." in last.outcome
    )
    assert base.escape(last.outcome) in watched.still()["text/html"]
    assert watched.attempts[0].predictions is None, "predictions of one attempt are enough"


def test_the_majority_is_found_among_labels_that_are_numbers(shown):
    table = TABLE.assign(label=[1.0] * 40 + [2.0] * (len(TABLE) - 40))
    watched = TrainingPanel(models.build("majority"), table, table)
    watched.run()
    accuracy = max(40, len(TABLE) - 40) / len(TABLE)
    assert f"from the most frequent class, {accuracy:.3f}" in watched.attempts[0].outcome


def test_without_steps_the_scores_stand_in_place_of_an_empty_chart(shown):
    watched = TrainingPanel(models.build("naive-bayes"), TABLE, TABLE[:40])
    watched.run()
    (bars,) = watched.still()["application/vnd.plotly.v1+json"]["data"]
    assert (bars["type"], bars["y"]) == ("bar", ["naive-bayes"])
    assert bars["error_x"]["array"]
    unscored = TrainingPanel(models.build("naive-bayes"), TABLE)
    unscored.run()
    assert "application/vnd.plotly.v1+json" not in unscored.still()
    assert "Trained in" in unscored.still()["text/html"]


def test_the_model_is_saved_with_its_run_and_opened(shown):
    watched = TrainingPanel(models.build("cnn", **SMALL), TABLE, TABLE)
    model = watched.run()
    name, notes, save, said = watched.view().children[4].children[1].children
    assert name.value == "cnn: 2 epochs, batch size 16, min count 1"
    save.click()
    path = watched.attempts[-1].run.path
    assert str(path) in said.value
    opened = models.open(watched.attempts[-1].run)
    assert (opened.predict_proba(TEXTS) == model.predict_proba(TEXTS)).all()
    name.value, notes.value = "the <first>", "as in the lecture"
    assert runs.load(path).name == "the <first>"
    assert runs.load(path).info["notes"] == "as in the lecture"
    name.value = " "
    assert "needs a name" in said.value
    watched.run()
    wait(lambda: name.value.startswith("cnn"))
    assert notes.value == ""
    assert runs.load(path).name == "the <first>", "the run before is left alone"


def test_a_fold_turns_how_the_curve_is_drawn(shown):
    watched = TrainingPanel(Counting(30), TABLE)
    watched.run()
    left, x, smoothing, log = watched.view().children[4].children[0].children
    left.value, x.value, smoothing.value, log.value = "loss", "epochs", 0.5, True
    assert watched.curve == curves.View(x="epochs", smoothing=0.5, log=True)
    layout = watched.still()["application/vnd.plotly.v1+json"]["layout"]
    assert (layout["xaxis"]["title"]["text"], layout["yaxis"]["type"]) == ("epochs", "log")


def test_the_time_left_comes_from_steps_alone(shown):
    class Late(Counting):
        def fit(self, texts, labels):
            time.sleep(2)
            return super().fit(texts, labels)

    watched = TrainingPanel(Late(50, seconds=0.02), TABLE)
    attempt = watched.start()
    wait(lambda: attempt.step >= 10)
    left = float(re.search(r"· (\d+) s left", watched.status()[0])[1])
    assert left <= 2, "two seconds of preparation are no tenth of the work"
    assert watched.value[0]["seconds"] >= 2
    watched.run()


class Hungry:
    """A classifier that needs some 200 MB while it is fitted, in small pieces, and keeps a few."""

    def fit(self, texts, labels):
        pieces = [bytearray(10_000) for _ in range(20_000)]
        self.classes_ = pieces[::200]
        return self


def test_training_again_and_again_takes_no_more_memory(shown):
    """The C library would keep what a thread has freed, for that thread."""
    import psutil

    watched, used = TrainingPanel(Hungry(), TABLE), [psutil.Process().memory_info().rss]
    for _ in range(10):
        watched.run()
        used.append(psutil.Process().memory_info().rss)
    assert max(used[1:]) < used[0] + 100 * 2**20, [u >> 20 for u in used]
    assert used[10] < 1.1 * used[2]
