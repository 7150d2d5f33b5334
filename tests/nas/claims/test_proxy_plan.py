"""What a study of proxies trains, and what it need not."""

from dataclasses import replace

import pytest

import nas
from nas.claims.proxy_plan import Grid, Proxy, planned, proxies, recipe_of, unfinished, why_not_whole
from search_space.spaces import backbone_of

ARCHITECTURE = backbone_of(nas.search_config(space={"name": "small"}, image_size=16).space)


def config(**training):
    """A search of 8 epochs on 500 images of 16 pixels."""
    settings = {"epochs": 8, "warmup_epochs": 1} | training
    return nas.search_config(space={"name": "small"}, image_size=16, data={"subset": 500}, training=settings)


def plan(given, grid=None, long_epochs=32, seeds=(1, 2), **long):
    """The names of the series, and the epochs of the proxies that each serves."""
    asked = proxies(given, grid or Grid())
    recipe = replace(recipe_of(given, replace(asked[0], epochs=long_epochs), ARCHITECTURE), **long)
    series = planned(recipe, given, asked, seeds, 0)
    return {each.name: [proxy.epochs for proxy in each.serves] for each in series}, unfinished(series)


def test_the_searchs_own_proxy_is_always_there():
    """The question is whether that is a fair judge; the grid comes besides, every combination once."""
    own = Proxy(8, 16, 500, None)
    assert proxies(config(), Grid()) == [own]
    found = proxies(config(), Grid(epochs=(4, 8), image_sizes=(8, 16), subsets=(500, None)))
    assert found[0] == own
    assert len(found) == len(set(found)) == 8


def test_a_cosine_makes_every_number_of_epochs_a_training():
    """Its rate at epoch 4 depends on how many there will be: trained apart, and it is said why."""
    found, why = plan(config(schedule="cosine"), Grid(epochs=(4, 8)))
    assert found == {"long": [], "e8-px16-n500": [8], "e4-px16-n500": [4]}
    assert why == (
        "epoch 4 of 8 is no training of 4 epochs, for its learning rate falls along a cosine over all of its epochs: "
        "each is trained"
    )


def test_one_training_serves_all_shorter_ones():
    """With a constant or stepwise rate epoch 4 of 8 is a training of 4 epochs."""
    for schedule in ("constant", "exponential"):
        found, why = plan(config(schedule=schedule), Grid(epochs=(4, 8)), progressive=None, image_size=32)
        assert found == {"long": [], "e8-px16-n500": [4, 8]}
        assert why is None


def test_long_training_serves_proxies_that_it_begins_with():
    """Where it is the search's own but longer; judged by another seed of itself, so one seed is not enough."""
    given, grid = config(schedule="constant"), Grid(epochs=(4, 8), subsets=(100, 500))
    assert plan(given, grid)[0] == {"long": [4, 8], "e8-px16-n100": [4, 8]}
    assert plan(given, grid, seeds=(1,))[0] == {"long": [], "e8-px16-n500": [4, 8], "e8-px16-n100": [4, 8]}


@pytest.mark.parametrize(
    ("training", "epochs", "why"),
    [
        ({"schedule": "constant"}, 2, None),
        ({"schedule": "constant"}, 8, None),
        ({"schedule": "cosine"}, 8, None),
        ({"schedule": "cosine"}, 7, "cosine"),
        ({"schedule": "constant", "warmup_epochs": 3}, 4, "warm-up of 3 epochs would be cut to 2"),
        ({"schedule": "constant", "warmup_epochs": 2}, 4, None),
        ({"schedule": "constant", "eval_every": 3}, 4, "evaluated every 3 epochs"),
    ],
)
def test_what_keeps_an_epoch_from_being_a_training(training, epochs, why):
    """All that depends on how many epochs there will be."""
    found = why_not_whole(recipe_of(config(**training), Proxy(8, 16, 500, None), ARCHITECTURE), epochs)
    assert found is None if why is None else why in found


def test_an_epoch_on_the_way_is_the_shorter_training(tmp_path):
    """What the plan relies on, by real trainings: with a constant rate the first two epochs of three are those of two.

    With a cosine they are not.
    """
    for schedule in ("constant", "cosine"):
        accuracies = []
        for epochs in (2, 3):
            recipe = recipe_of(
                nas.search_config(
                    space={"name": "small", "stem_stride": 2},
                    image_size=8,
                    data={"subset": 64, "minival": 200},
                    training={"epochs": 3, "batch_size": 16, "schedule": schedule, "ema_decay": 0.9},
                    device="cpu",
                ),
                Proxy(epochs, 8, 64, None),
                ARCHITECTURE,
            )
            losses = []
            listener = type("Listener", (nas.Callback,), {"on_epoch": lambda self, e, t=None, to=losses: to.append(e)})
            nas.train(
                ARCHITECTURE, recipe, folder=tmp_path / f"{schedule}{epochs}", callbacks=[listener()], progress=False
            )
            accuracies.append([(each["accuracy"], each["loss"]) for each in losses[:2]])
        assert (accuracies[0] == accuracies[1]) == (schedule == "constant")


def test_a_search_that_trains_in_its_own_way_cannot_be_studied():
    """What its evaluator calls accuracy is not known."""
    given = nas.search_config(space={"name": "small"}, image_size=16, search={"evaluator": "mine:evaluate"})
    with pytest.raises(ValueError, match=r"search\.evaluator 'mine:evaluate' trains in a way of its own"):
        recipe_of(given, Proxy(8, 16, None, None), ARCHITECTURE)


@pytest.mark.parametrize(("grid", "message"), [({"epochs": (0,)}, "epochs .* >= 1"), ({"channels": (2,)}, "1 or 3")])
def test_values_of_a_grid_are_checked(grid, message):
    """Before anything is planned."""
    with pytest.raises(ValueError, match=message):
        Grid(**grid)
