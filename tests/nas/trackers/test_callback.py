"""What callbacks hear, in which order, and that their faults stay theirs."""

import logging
import sys

import pytest

from nas.trackers import TRACKERS, make_callbacks
from nas.trackers.callback import Callback, Callbacks


class Heard(Callback):
    """Writes down what it hears."""

    def __init__(self, note: str = "", times: int = 1) -> None:
        self.note, self.times = note, times
        self.heard = []

    def on_message(self, text):
        self.heard.append(text)

    def on_epoch(self, epoch, trial_id=None):
        self.heard.append((epoch["epoch"], trial_id))


class Unclear(Callback):
    """Says of an argument what only the type checker can resolve."""

    def __init__(self, client: "Nowhere" = None) -> None:  # noqa: F821
        pass


class Afterwards(Heard):
    """Hears of epochs of full trainings alone."""

    live = False


class Broken(Callback):
    """Raises always."""

    def on_message(self, text):
        raise KeyError(text)

    def on_trial_lost(self, trial_id):
        raise OSError("disk full")


def test_an_error_is_said_once_and_stops_nobody(caplog):
    """A callback that raises is named with its error, repeats are counted, and those after it are called."""
    heard = Heard()
    callbacks = Callbacks([Broken(), heard])
    with caplog.at_level(logging.WARNING):
        for text in ("a", "b", "c"):
            callbacks.on_message(text)
        callbacks.on_trial_lost(3)
        callbacks.on_search_end(None)
    assert heard.heard == ["a", "b", "c"]
    assert [record.message for record in caplog.records] == [
        "callback Broken.on_message: KeyError: 'a'",
        "callback Broken.on_trial_lost: OSError: disk full",
        "callback Broken.on_message raised 3 times in all",
    ]


def test_a_callback_that_exits_does_not_end_the_run(caplog):
    """`sys.exit` in a tracker's library is that callback's error."""

    class Exits(Callback):
        def on_message(self, text):
            sys.exit(3)

    Callbacks([Exits()]).on_message("a")
    assert [record.message for record in caplog.records] == ["callback Exits.on_message: SystemExit: 3"]


def test_the_user_can_interrupt_a_callback():
    """Ctrl-C in a callback ends the command as anywhere else."""

    class Slow(Callback):
        def on_message(self, text):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Callbacks([Slow()]).on_message("a")


def test_epochs_of_trials_are_sent_only_if_somebody_listens():
    """Workers report epochs for nobody else's sake; whoever waits for the finished trial is not told of them."""
    assert not Callbacks([Callback(), Broken(), Afterwards()]).wants_epochs
    live, afterwards = Heard(), Afterwards()
    callbacks = Callbacks([live, afterwards])
    assert callbacks.wants_epochs
    callbacks.on_epoch({"epoch": 0}, 7)
    callbacks.on_epoch({"epoch": 1})
    assert live.heard == [(0, 7), (1, None)]
    assert afterwards.heard == [(1, None)]


def test_of_several_displays_the_last_hears():
    """A command brings its own display, also where the configuration names one; others may be there twice."""

    class One(Heard):
        alone = True

    first, own, last = One(), Heard(), One()
    assert Callbacks([first, own, Heard(), last]).each[0] is own
    assert len(Callbacks([first, own, Heard(), last]).each) == 3


def test_the_dispatcher_passes_everything_on():
    """A method that is added to Callback is told to each, too."""
    methods = {name for name in vars(Callback) if name.startswith("on_")}
    assert methods <= vars(Callbacks).keys()


def test_callbacks_are_named_found_and_given_their_settings(monkeypatch):
    """A setting names ours by name, anyone's by module:Name, and objects pass as they are."""
    monkeypatch.setitem(TRACKERS, "heard", Heard)
    own = Callback()
    made = make_callbacks(["heard", {"heard": {"note": "x", "times": 3}}, f"{__name__}:Heard", own, {"heard": None}])
    assert [type(one) for one in made] == [Heard, Heard, Heard, Callback, Heard]
    assert (made[1].note, made[1].times) == ("x", 3)
    assert made[3] is own
    assert make_callbacks(None) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("heard", "callbacks must be a list, got 'heard'"),
        (["herd"], "unknown callback 'herd'; did you mean 'heard'?"),
        (["csv_of_mine:CSV"], "callback 'csv_of_mine:CSV' cannot be imported: No module named 'csv_of_mine'"),
        (["json:dumps"], "callback 'json:dumps' must be a class derived from nas.trackers.callback.Callback"),
        ([{"heard": {"noet": "x"}}], "unknown key 'callbacks.heard.noet'; did you mean 'callbacks.heard.note'?"),
        ([{"heard": {"times": "3"}}], "callbacks.heard.times: input should be a valid integer, got '3'"),
        ([{f"{__name__}:Unclear": {"client": 3}}], f"annotations of callback '{__name__}:Unclear' cannot be read"),
        ([{"heard": 3}], "a callback is a name, or a mapping of one name to its settings, got {'heard': 3}"),
        ([{"heard": {}, "csv": {}}], "a callback is a name, or a mapping of one name to its settings, got"),
    ],
)
def test_what_is_wrong_with_a_callback_is_one_line(monkeypatch, given, message):
    """A mistake in the setting is a ValueError that names it, before anything starts."""
    monkeypatch.setitem(TRACKERS, "heard", Heard)
    with pytest.raises(ValueError) as caught:
        make_callbacks(given)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_class_in_place_of_an_object_is_refused_before_anything_starts():
    """Forgotten brackets cost a second."""
    from nas.trackers import make_callbacks
    from nas.trackers.callback import Callback

    with pytest.raises(ValueError, match=r"a callback is an object, got the class Callback: write Callback\(\)"):
        make_callbacks([Callback])
