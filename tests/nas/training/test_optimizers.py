"""Which parameters decay, and the optimisers' arithmetic."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from nas.training.checkpoint import restore, state_of
from nas.training.optimizers import RMSProp, make_optimizer, parameter_groups
from nas.training.settings import OPTIMIZERS, LrFactors, Optimizer, TrainSettings
from nas.training.step import TrainingStep, check_imports, make_step

CPU = torch.device("cpu")


def test_norms_and_biases_do_not_decay(make_network: Callable[[], nn.Module]) -> None:
    """Weight decay takes exactly the weights of convolutions and linear layers, squeeze-and-excitation's included."""
    network = make_network()
    decayed, kept = parameter_groups(network, 1e-5)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert {id(p) for p in decayed["params"]} == {id(m.weight) for m in convolutions}
    assert (decayed["weight_decay"], kept["weight_decay"]) == (1e-5, 0.0)
    assert len(decayed["params"]) + len(kept["params"]) == len(list(network.parameters()))


def test_frozen_parameters_are_left_out() -> None:
    """A frozen layer is given to no optimiser."""
    network = nn.Linear(2, 2)
    network.weight.requires_grad_(False)
    assert [group["params"] for group in parameter_groups(network, 0.1)] == [[network.bias]]


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("tensor_lr", [False, True])
def test_rmsprop_is_tensorflows(foreach: bool, tensor_lr: bool) -> None:
    """Three steps equal TensorFlow's formula by hand: mean square from 1, epsilon in the root, rate in the velocity."""
    weight = torch.tensor([[0.5]], requires_grad=True)
    rate: float | torch.Tensor = torch.tensor(0.0) if tensor_lr else 0.0
    optimizer = RMSProp([weight], rate, decay=0.9, momentum=0.8, eps=1e-3, weight_decay=0.1, foreach=foreach)
    expected, square, velocity = 0.5, 1.0, 0.0
    for lr, grad in ((0.1, 2.0), (0.2, -1.0), (0.05, 0.3)):
        if tensor_lr:
            optimizer.param_groups[0]["lr"].fill_(lr)
        else:
            optimizer.param_groups[0]["lr"] = lr
        weight.grad = torch.tensor([[grad]])
        optimizer.step()
        grad += 0.1 * expected
        square = 0.9 * square + 0.1 * grad**2
        velocity = 0.8 * velocity + lr * grad / math.sqrt(square + 1e-3)
        expected -= velocity
        assert weight.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_takes_its_rate_and_decay(name: str) -> None:
    """Every optimiser of the settings moves a decayed weight without gradient towards 0, and a bias not at all."""
    network = nn.Linear(1, 1)
    nn.init.ones_(network.weight)
    nn.init.ones_(network.bias)
    optimizer = make_optimizer(network, TrainSettings(optimizer=name, weight_decay=0.1), CPU)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    network.weight.grad, network.bias.grad = torch.zeros(1, 1), torch.zeros(1)
    optimizer.step()
    assert network.weight.item() < 1
    assert network.bias.item() == 1


def test_sgd_has_nesterov_momentum() -> None:
    """Two steps of SGD equal Nesterov's formula worked by hand."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.ones_(network.weight)
    optimizer = make_optimizer(network, TrainSettings(weight_decay=0), CPU)
    optimizer.param_groups[0]["lr"] = 0.1
    expected, velocity = 1.0, 0.0
    for grad in (1.0, 0.5):
        network.weight.grad = torch.tensor([[grad]])
        optimizer.step()
        velocity = 0.9 * velocity + grad
        expected -= 0.1 * (grad + 0.9 * velocity)
    assert network.weight.item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"momentum": 0.9, "nesterov": True}),
        ({"momentum": 0.5}, {"momentum": 0.5, "nesterov": True}),
        ({"momentum": 0.0}, {"momentum": 0.0, "nesterov": False}),
        ({"optimizer": "rmsprop"}, {"momentum": 0.9, "eps": 1e-3, "decay": 0.9}),
        ({"optimizer": "rmsprop", "momentum": 0.8, "eps": 0.1}, {"momentum": 0.8, "eps": 0.1}),
        ({"optimizer": "adamw"}, {"betas": (0.9, 0.999), "eps": 1e-8}),
        ({"optimizer": "adamw", "betas": (0.8, 0.9), "eps": 1e-6}, {"betas": (0.8, 0.9), "eps": 1e-6}),
    ],
)
def test_momentum_betas_and_eps_reach_the_optimizer(given: dict[str, object], expected: dict[str, object]) -> None:
    """What is set is used in every group, and what is not is as it always was."""
    optimizer = make_optimizer(nn.Linear(2, 2), TrainSettings(**given), CPU)  # type: ignore[arg-type]
    for group in optimizer.param_groups:
        assert {name: group[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"betas": (0.9, 0.99)}, r"optimizer sgd has no betas, got \(0.9, 0.99\); it has momentum"),
        ({"optimizer": "adamw", "momentum": 0.9}, "optimizer adamw has no momentum, got 0.9; it has betas, eps"),
        ({"optimizer": "adamw", "betas": (0.9, 1.0)}, "betas must be two numbers"),
        ({"optimizer": "adamw", "eps": 0.0}, "eps must be > 0"),
        ({"momentum": 1.0}, "momentum must be >= 0 and < 1"),
        ({"optimizer": "rmspro"}, "unknown optimizer 'rmspro'; did you mean 'rmsprop'"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(given: dict[str, object], message: str) -> None:
    """Momentum for AdamW is a mistake that is named, not a number that is never read."""
    with pytest.raises(ValueError, match=message):
        TrainSettings(**given)  # type: ignore[arg-type]


def test_an_optimiser_registered_by_a_plug_in_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line of a plug-in's: settings are checked against what it reads, and training finds it."""
    monkeypatch.setitem(OPTIMIZERS, "plain", Optimizer(lambda groups, lr, *_: torch.optim.SGD(groups, lr=lr), ()))
    with pytest.raises(ValueError, match=r"optimizer plain has no momentum, got 0\.5"):
        TrainSettings(optimizer="plain", momentum=0.5)
    made = make_optimizer(nn.Linear(2, 2), TrainSettings(optimizer="plain"), torch.device("cpu"))
    assert type(made) is torch.optim.SGD


def test_each_part_has_its_learning_rate(make_network: Callable[[], nn.Module]) -> None:
    """Factors of part and of norms and biases multiply, and reach the rate of every step; decay stays as it was."""
    factors = LrFactors(stem=0.5, classifier=10, norms_and_biases=2)
    settings = TrainSettings(lr_factors=factors, weight_decay=0.1, warmup_epochs=0, schedule="constant", batch_size=256)
    step = make_step(make_network(), settings, device=CPU, total_steps=9)
    step(torch.randn(4, 1, 8, 8), torch.arange(4))
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in step.optimizer.param_groups
        for name in group["param_names"]
    }
    assert found.keys() == dict(step.network.named_parameters()).keys()
    assert found["conv_stem.weight"] == (pytest.approx(0.1), 0.1)
    assert found["bn1.weight"] == (pytest.approx(0.2), 0.0)
    assert found["blocks.0.0.conv.weight"] == (pytest.approx(0.2), 0.1)
    assert found["conv_head.weight"] == (pytest.approx(0.2), 0.1)
    assert found["bn2.bias"] == (pytest.approx(0.4), 0.0)
    assert found["classifier.weight"] == (pytest.approx(2.0), 0.1)
    assert found["classifier.bias"] == (pytest.approx(4.0), 0.0)


def test_a_rate_that_is_a_factor_of_another_moves_weights_by_it(make_network: Callable[[], nn.Module]) -> None:
    """One step of plain SGD moves the classifier ten times as far as without the factor, and nothing else."""
    moved = []
    for factors in (LrFactors(), LrFactors(classifier=10)):
        settings = TrainSettings(
            lr_factors=factors, weight_decay=0, momentum=0, warmup_epochs=0, drop_path=0, dropout=0
        )
        network = make_network()
        before = {name: tensor.detach().clone() for name, tensor in network.named_parameters()}
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(4, 1, 8, 8, generator=generator)
        make_step(network, settings, device=CPU, total_steps=9)(images, torch.arange(4))
        moved.append({name: tensor.detach() - before[name] for name, tensor in network.named_parameters()})
    for name, plain in moved[0].items():
        factor = 10 if name.startswith("classifier") else 1
        torch.testing.assert_close(moved[1][name], factor * plain, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_of_before_is_taken_up(make_network: Callable[[], nn.Module], name: str) -> None:
    """Without factors there are the two groups of old: a state without names and factors loads and goes on."""
    steps: list[TrainingStep] = []
    for _ in range(2):
        settings = TrainSettings(optimizer=name, drop_path=0, dropout=0, learning_rate=0.01)
        steps.append(make_step(make_network(), settings, device=CPU, total_steps=9))
    images, labels = torch.randn(8, 1, 8, 8), torch.arange(8)
    steps[0](images, labels)
    state = copy.deepcopy(state_of(steps[0], (), 0.0, 0.0))
    assert len(state.optimizer["param_groups"]) == 2
    old = [
        {key: value for key, value in group.items() if key not in ("param_names", "lr_factor")}
        for group in state.optimizer["param_groups"]
    ]
    restore(steps[1], replace(state, optimizer={**state.optimizer, "param_groups": old}))
    steps[1].index = 1
    for step in steps:
        step(images, labels)
    for a, b in zip(*(step.network.parameters() for step in steps), strict=True):
        assert torch.equal(a, b)


LION = '''
import torch


class Lion(torch.optim.Optimizer):
    """Sign of an average of gradients (arXiv:2302.06675)."""

    def __init__(self, groups, lr, betas):
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                average = self.state[parameter].setdefault("average", torch.zeros_like(parameter))
                first, second = group["betas"]
                direction = average.lerp(parameter.grad, 1 - first).sign() + group["weight_decay"] * parameter
                parameter.sub_(group["lr"] * direction)
                average.lerp_(parameter.grad, 1 - second)


def lion(groups, lr, settings, device):
    return Lion(groups, lr, settings.betas or (0.9, 0.99))


def by_dimensions(groups, lr, settings, device):
    """As Muon is used: matrices and convolutions apart from the classifier and the rest."""
    split = []
    for group in groups:
        named = list(zip(group["param_names"], group["params"], strict=True))
        inner = [(n, p) for n, p in named if p.ndim > 1 and not n.startswith("classifier")]
        rest = [(n, p) for n, p in named if p.ndim <= 1 or n.startswith("classifier")]
        for part in (inner, rest):
            if part:
                names, parameters = map(list, zip(*part))
                split.append({**group, "param_names": names, "params": parameters})
    return torch.optim.SGD(split, lr=lr)
'''


def test_an_optimizer_of_ones_own(
    make_network: Callable[[], nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function in another package trains, with the settings, decay and factors of the groups."""
    name = f"mylion_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(LION)
    monkeypatch.syspath_prepend(tmp_path)
    settings = TrainSettings(
        optimizer=f"{name}:lion", betas=(0.5, 0.9), learning_rate=0.256, batch_size=1, weight_decay=0
    )
    check_imports(settings)
    step = make_step(make_network(), replace(settings, warmup_epochs=0), device=CPU, total_steps=9)
    before = step.network.conv_stem.weight.detach().clone()  # type: ignore[union-attr, operator]
    step(torch.randn(4, 1, 8, 8), torch.arange(4))
    moved = (step.network.conv_stem.weight - before).abs()  # type: ignore[union-attr, operator]
    torch.testing.assert_close(moved, torch.full_like(moved, 0.001), rtol=1e-3, atol=1e-6)
    assert step.optimizer.param_groups[0]["betas"] == (0.5, 0.9)

    factors = LrFactors(classifier=2)
    split = TrainSettings(optimizer=f"{name}:by_dimensions", lr_factors=factors, warmup_epochs=0, batch_size=256)
    step = make_step(make_network(), split, device=CPU, total_steps=9)
    step(torch.randn(4, 1, 8, 8), torch.arange(4))
    rates = {n: group["lr"] for group in step.optimizer.param_groups for n in group["param_names"]}
    assert (rates["classifier.weight"], rates["conv_head.weight"]) == (pytest.approx(0.4), pytest.approx(0.2))


def test_an_optimizer_that_cannot_be_had_is_one_line() -> None:
    """A misspelt plug-in is named before anything is trained."""
    with pytest.raises(ValueError, match=r"^optimizer 'no_such_lab:lion' cannot be imported: .*no_such_lab'$"):
        check_imports(TrainSettings(optimizer="no_such_lab:lion"))


def test_what_an_optimiser_keeps_in_its_groups_is_resumed() -> None:
    """A counter or scale of the group's is learnt; the learning rate and the device's flags are not."""
    from nas.training.checkpoint import restore, state_of
    from nas.training.step import make_step

    steps = [make_step(nn.Linear(2, 2), TrainSettings(), device=torch.device("cpu"), total_steps=4) for _ in range(2)]
    steps[0].optimizer.param_groups[0]["k"] = 3
    steps[0].optimizer.param_groups[0]["lr"] = 7.0
    steps[1].optimizer.param_groups[0]["k"] = 0
    restore(steps[1], state_of(steps[0], (), 0.0, 0.0))
    assert steps[1].optimizer.param_groups[0]["k"] == 3
    assert steps[1].optimizer.param_groups[0]["lr"] != 7.0


def test_a_bare_function_may_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may read every setting; and it is never part of a CUDA graph, for which it would have to say so."""
    from nas.training.settings import optimizer_of

    monkeypatch.setitem(OPTIMIZERS, "bare", lambda groups, lr, *_: torch.optim.SGD(groups, lr=lr))  # type: ignore[misc]
    made = make_optimizer(nn.Linear(2, 2), TrainSettings(optimizer="bare", momentum=0.5), torch.device("cpu"))
    assert type(made) is torch.optim.SGD
    assert not optimizer_of("bare").capturable
    assert all(optimizer_of(name).capturable for name in ("sgd", "rmsprop", "adamw"))
