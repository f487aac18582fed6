import re
import threading
import time

import numpy as np
import pytest

from workbench import models
from workbench.errors import UserError
from workbench.evaluation import explain
from workbench.training import stop_event
from workbench.widgets import tryit

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
    """The widgets of a new view: text, answers, button, marked words."""
    return trial.view().children[:4]


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
    html = tryit.predictions_html(table)
    assert "nan" not in html
    assert "bad0.100 ██good0.900 ██████████████████" in plain(html)


def test_of_many_classes_the_most_probable_are_shown():
    classes = [f"c{i:02d}" for i in range(50)]
    html = tryit.predictions_html(tryit.TryIt(Words(classes)).predict_proba("text"))
    assert html.count("█" * 8) == 2
    assert "44 more" in html
    assert html.count("<tr>") == tryit.MOST_CLASSES + 2


def test_words_carry_their_sign_and_number_without_colour():
    found = explain.occlusion(Words(great=0.4, dull=-0.1), NASTY)
    html = tryit.marked(found)
    assert plain(html) == "A great+40 &lt;script&gt;alert(1)&lt;/script&gt; film, but dull−10"
    assert re.search(r'<u title="\+0.400"[^>]*>great</u><sup>\+40</sup>', html)
    assert "script>alert" not in html


def test_the_text_keeps_its_form_between_the_marks():
    text = "One\n\n  great,  film "
    html = tryit.marked(explain.occlusion(Words(great=0.4), text))
    assert plain(html) == "One\n\n  great,+40  film "


def test_it_is_said_when_a_text_is_long_and_when_no_word_counts():
    html = tryit.explanations_html({"m": explain.occlusion(Words(), "word " * 300)})
    assert "The first 200 of 300 words" in html
    assert "No word on its own" in html


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
