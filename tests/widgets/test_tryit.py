import base64
import io
import re
import threading
import time

import numpy as np
import pandas as pd
import pytest

from workbench import models
from workbench.errors import UserError
from workbench.evaluation import explain
from workbench.training import stop_event
from workbench.widgets import tryit, tryit_view

NASTY = "A great <script>alert(1)</script> film, but dull"


class Words:
    """Says "good" with a probability that each word moves by its own weight."""

    def __init__(self, classes=("bad", "good"), **weights):
        self.classes_, self.weights = np.array(classes), weights

    def predict_proba(self, texts):
        p = [0.4 + sum(w for word, w in self.weights.items() if word in t) for t in texts]
        rest = len(self.classes_) - 1
        return np.array([[(1 - x) / rest] * rest + [x] for x in p])


class Slow(Words):
    """As slow as an encoder, and as willing to stop between two batches."""

    def __init__(self, **weights):
        super().__init__(**weights)
        self.begun, self.stopped = [], []

    def predict_proba(self, texts):
        self.begun.append(texts[0])
        for _ in texts[1:]:
            time.sleep(0.05)
            try:
                stop_event.raise_if_stopped()
            except stop_event.Stopped:
                self.stopped.append(texts[0])
                raise
        return super().predict_proba(texts)


def shown(trial):
    """The widgets of a new view: text, predictions, button, marked words."""
    area, predictions, buttons, explanations, *_ = trial.view().children
    return area, predictions, buttons.children[2], explanations


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def plain(html):
    return re.sub(r"<[^>]*>", "", html)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(tryit, "PAUSE", 0)


# --- what is said and shown -----------------------------------------------------------------------


def test_predictions_set_models_with_other_classes_side_by_side():
    trial = tryit.TryIt({"one": Words(great=0.5), "two": Words(["x", "y", "good"])})
    table = trial.predict_proba("great")
    assert list(table.index) == ["one", "two"]
    assert list(table.columns) == ["bad", "good", "x", "y"]
    assert table.loc["one", "good"] == pytest.approx(0.9)
    assert table.loc["one"].isna().tolist() == [False, False, True, True]
    html = tryit_view.predictions(table)
    assert "nan" not in html
    assert "bad0.100 ██good0.900 ██████████████████" in plain(html)


def test_of_many_classes_the_most_probable_are_shown():
    classes = [f"c{i:02d}" for i in range(50)]
    html = tryit_view.predictions(tryit.TryIt(Words(classes)).predict_proba("text"))
    assert html.count("█" * 8) == 2
    assert "44 more" in html
    assert html.count("<tr>") == tryit_view.MOST_CLASSES + 2


def test_words_carry_their_sign_and_number_without_colour():
    found = explain.occlusion(Words(great=0.4, dull=-0.1), NASTY)
    html = tryit_view.marked(found)
    assert plain(html) == "A great+40 &lt;script&gt;alert(1)&lt;/script&gt; film, but dull−10"
    assert re.search(r'<u title="\+0.400"[^>]*>great</u><sup>\+40</sup>', html)
    assert "script>alert" not in html


def test_the_text_keeps_its_form_between_the_marks():
    text = "One\n\n  great,  film "
    html = tryit_view.marked(explain.occlusion(Words(great=0.4), text))
    assert plain(html) == "One\n\n  great,+40  film "


def test_it_is_said_when_a_text_is_long_and_when_no_word_counts():
    html = tryit_view.explanations({"m": explain.occlusion(Words(), "word " * 300)})
    assert "The first 200 of 300 words" in html
    assert "No word on its own" in html


def test_one_text_has_one_number():
    class OfBatch(Words):
        def predict_proba(self, texts):
            change = len(texts) / 1000
            return super().predict_proba(texts) + np.array([[-change, change]])

    trial = tryit.TryIt(OfBatch(great=0.4), text="a great film")
    (found,) = trial.explain("a great film").values()
    assert found.probability == trial.predict_proba("a great film").loc["model", "good"]
    assert found.attributions == pytest.approx([0, 0.4, 0])
    html = plain(trial.still()["text/html"])
    assert html.count("0.801") == 2
    assert "0.804" not in html


def test_it_is_said_where_a_text_is_cut():
    texts = ["a good film", "a bad film"] * 8
    model = models.build("cnn", epochs=1, max_length=4, min_count=1).fit(texts, ["g", "b"] * 8)
    text = "a good film, a good <i>plot</i> and more"
    found = tryit.TryIt(model).explain(text)["model"]
    assert (text[: found.read], found.n) == ("a good film, a", 4)
    html = tryit_view.explanations({"cnn": found})
    assert "It reads 14 characters; the last 26, struck through, are cut off" in html
    assert "<del> good &lt;i&gt;plot&lt;/i&gt; and more</del>" in html
    whole = tryit_view.explanations(tryit.TryIt(model).explain("a good film"))
    assert "cut off" not in whole
    assert "<del>" not in whole


def test_a_kept_answer_stands_beside_the_next():
    trial = tryit.TryIt({"one": Words(great=0.5), "two": Words(dull=-0.3)}, text="great")
    area, predictions, *_ = trial.view().children
    keep = trial.view().children[2].children[1]
    keep.click()
    assert "This answer is kept" in predictions.value
    area.value = "<b>dull</b>"
    one, two = [plain(table) for table in predictions.value.split("<table>")[-2:]]
    assert one.startswith("onekeptnowchange")
    assert "good0.9000.400-0.500" in one
    assert "good0.4000.100-0.300" in two
    assert "Kept: <q>great</q>" in predictions.value
    area.value = "great"
    keep.click()
    assert trial.pinned is None
    assert "kept" not in predictions.value


def test_each_line_is_a_text_and_all_are_saved():
    trial = tryit.TryIt({"one": Words(great=0.5), "two": Words(["x", "y"])})
    area, predictions, buttons, explanations, *_ = trial.view().children
    buttons.children[0].value = True
    area.value = "great, 好\n\n <b>dull</b>\n"
    wait_for(lambda: "Save the predictions" in predictions.value)
    shown = plain(predictions.value)
    assert "1great, 好good 0.900x 0.600" in shown
    assert "2 &lt;b&gt;dull&lt;/b&gt;bad 0.600x 0.600" in shown
    assert explanations.value == ""
    (content,) = re.findall('href="data:text/csv;base64,([^"]*)"', predictions.value)
    saved = pd.read_csv(io.BytesIO(base64.b64decode(content)))
    assert saved["text"].tolist() == ["great, 好", " <b>dull</b>"] * 2
    assert saved["model"].tolist() == ["one", "one", "two", "two"]
    assert saved["p_good"][:2].tolist() == pytest.approx([0.9, 0.4])
    assert "Save the predictions" in trial.still()["text/html"]
    buttons.children[0].value = False
    wait_for(lambda: "speaks for" in explanations.value)
    assert "Save the predictions" not in predictions.value


def test_of_many_lines_the_first_are_shown():
    rows = tryit.TryIt(Words()).predict([f"text {i}" for i in range(500)])
    html = tryit_view.lines(rows)
    assert "500 texts, the first 200" in html
    assert html.count("<tr>") == 201


def test_the_nearest_training_texts_are_shown(monkeypatch):
    train = pd.DataFrame({
        "text": ["a good film", "the pan is bad", "<b>a knife</b>", "long " * 100],
        "label": ["good", "bad", "good", "bad"],
    })  # fmt: skip
    trial = tryit.TryIt({"one": Words(), "two": Words()}, text="that film was good", train=train)
    ((by, rows),) = trial.nearest("this film was good").items()
    assert by == "TF-IDF"
    assert rows.loc[0, ["text", "label"]].tolist() == ["a good film", "good"]
    html = trial.still()["text/html"]
    assert "&lt;b&gt;a knife" in html
    assert "a good film" in html
    assert "Nearest" not in tryit.TryIt(Words(), text="film").still()["text/html"]
    encoded = Words()
    encoded.encoder = "minilm"
    trial = tryit.TryIt({"one": encoded, "two": Words()}, train=train)
    found = trial.nearest("a movie of quality")
    assert list(found) == ["minilm", "TF-IDF"]
    assert found["minilm"].loc[0, "text"] == "a good film", "no word in common, one meaning"
    monkeypatch.setattr(tryit, "MOST_ENCODED", 3)
    assert list(trial.nearest("a movie")) == ["TF-IDF"]


def test_a_model_that_cannot_answer_is_refused():
    with pytest.raises(UserError, match="'svm' is not trained yet"):
        tryit.TryIt({"svm": models.build("svm")})
    with pytest.raises(UserError, match="gives no probabilities"):
        tryit.TryIt(type("Rule", (), {"classes_": ["a"]})())


# --- still ----------------------------------------------------------------------------------------


def test_the_still_picture_holds_text_answers_and_marks():
    bundle = tryit.TryIt({"<i>m</i>": Words(great=0.4)}, text=NASTY).still()
    assert set(bundle) == {"text/html", "text/plain"}
    assert "&lt;script&gt;alert" in bundle["text/html"]
    assert "<script" not in bundle["text/html"]
    assert "<i>" not in bundle["text/html"]
    assert "<sup>+40</sup>" in bundle["text/html"]
    assert "0.8" in bundle["text/plain"]


@pytest.mark.parametrize("text", ["", " \n "])
def test_an_empty_text_is_no_error(text):
    trial = tryit.TryIt(Words(), text=text)
    assert "No text yet" in trial.still()["text/html"]
    area, answers, button, rests = shown(trial)
    button.click()
    area.value = "\t"
    time.sleep(0.1)
    assert (answers.value, trial.value) == ("", "\t")
    wait_for(lambda: rests.value == "")


# --- live -----------------------------------------------------------------------------------------


def test_typing_answers_at_once_and_marks_after_a_while():
    trial = tryit.TryIt(Words(great=0.5))
    area, answers, _, rests = shown(trial)
    area.value = "a great film"
    assert trial.value == "a great film"
    assert "0.900" in answers.value
    wait_for(lambda: "<sup>+50</sup>" in rests.value)


def test_a_pause_is_waited_for_and_the_button_needs_none(monkeypatch):
    monkeypatch.setattr(tryit, "PAUSE", 60)
    area, _, button, rests = shown(tryit.TryIt(Words(great=0.5)))
    area.value = "a great film"
    time.sleep(0.2)
    assert "<sup>" not in rests.value
    button.click()
    wait_for(lambda: "<sup>+50</sup>" in rests.value)


def test_the_newest_text_wins_and_older_work_is_given_up():
    model = Slow(great=0.5)
    trial = tryit.TryIt(model)
    area, answers, _, rests = shown(trial)
    long = "a great film " * 60
    area.value = long
    wait_for(lambda: model.begun.count(long) == 2)  # the answer, and the words left out
    began = time.monotonic()
    area.value = "great"
    assert time.monotonic() - began < 1
    assert "0.900" in answers.value
    wait_for(lambda: "<sup>+50</sup>" in rests.value)
    assert model.stopped == [long]
    assert rests.value.count("great") == 2  # in the text and in the table


def test_views_show_one_state():
    trial = tryit.TryIt(Words(great=0.5))
    (area, *_), (other, answers, _, rests) = shown(trial), shown(trial)
    area.value = "great"
    assert other.value == "great"
    assert "0.900" in answers.value
    wait_for(lambda: "<sup>" in rests.value)


def test_an_error_of_a_model_is_said_and_the_next_text_answered():
    class Fails(Words):
        def predict_proba(self, texts):
            if "boom" in texts[0]:
                raise RuntimeError("<b>no</b>")
            return super().predict_proba(texts)

    area, answers, _, rests = shown(tryit.TryIt(Fails(great=0.5)))
    area.value = "boom"
    assert "RuntimeError: &lt;b&gt;no" in answers.value
    wait_for(lambda: "RuntimeError" in rests.value)
    area.value = "great"
    assert "0.900" in answers.value
    wait_for(lambda: "<sup>+50</sup>" in rests.value)


def test_threads_end_with_the_program():
    trial = tryit.TryIt(Slow(great=0.5), text="a great film " * 20)
    shown(trial)
    threads = [t for t in threading.enumerate() if t is not threading.main_thread()]
    assert threads
    assert all(t.daemon for t in threads)
    trial.value = ""
