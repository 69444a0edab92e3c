"""Attaching, listing, saving, loading, merging and detaching adapters of every kind."""

from __future__ import annotations

import copy
import hashlib

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from napari_salt.errors import AdapterError, InputError
from napari_salt.model import adapted_layer, adapters
from napari_salt.model.adapted_layer import AdaptedLayer, cheaper_path
from napari_salt.model.adapters import (
    adapted_layers,
    adapter_parameters,
    adapter_state,
    attach,
    count_parameters,
    detach,
    load_adapter_state,
    merge,
)

KINDS = ["salt", "ssam", "lora", "full"]
LAYERS = ["stem", "body.0", "body.2", "dilated", "depthwise", "head"]


class Net(nn.Module):
    """A little of everything that a backbone has: strides, dilation, groups, norms, nesting."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False)
        self.dilated = nn.Conv2d(12, 10, 3, padding="same", dilation=2, padding_mode="reflect")
        self.body = nn.Sequential(nn.Linear(10, 24), nn.GELU(), nn.Linear(24, 16, bias=False))
        self.head = nn.Conv2d(16, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.dilated(self.depthwise(self.norm(self.stem(x))))
        x = self.body(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.head(x)


@pytest.fixture
def net() -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Net().eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(4))


def digest(module: nn.Module) -> str:
    state = sorted(module.state_dict().items())
    return hashlib.sha256(b"".join(k.encode() + v.numpy().tobytes() for k, v in state)).hexdigest()


def train(net: nn.Module, images: torch.Tensor, steps: int = 4, rate: float = 3e-2) -> None:
    parameters = [p for group in adapter_parameters(net).values() for p in group]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        (net(images) - 1).square().mean().backward()
        optimiser.step()


@pytest.mark.parametrize("kind", [*KINDS, "none"])
def test_step_0_is_the_pretrained_network_bit_for_bit(net, images, kind):
    plain = net(images)
    attach(net, kind, LAYERS, rank=3, low_rank=2)
    assert torch.equal(net(images), plain)
    with torch.no_grad():
        assert torch.equal(net(images), plain)


@pytest.mark.parametrize("kind", KINDS)
def test_training_changes_nothing_but_the_listed_parameters(net, images, kind):
    before, original = digest(net), copy.deepcopy(net)
    attach(net, kind, LAYERS, rank=3, low_rank=2)
    listed = {id(p) for group in adapter_parameters(net).values() for p in group}
    assert listed == {id(p) for p in net.parameters() if p.requires_grad}
    buffers = {name: b.clone() for name, b in net.named_buffers()}
    start = [p.detach().clone() for p in net.parameters() if p.requires_grad]
    train(net, images)
    assert all(torch.equal(b, buffers[name]) for name, b in net.named_buffers())
    moved = [p for p in net.parameters() if p.requires_grad]
    assert all(not torch.equal(p, old) for p, old in zip(moved, start, strict=True))
    assert not torch.allclose(net(images), original(images), atol=1e-3)
    assert all(p.grad is None for p in net.parameters() if not p.requires_grad)
    detach(net)
    assert digest(net) == before


@pytest.mark.parametrize("kind", KINDS)
def test_detach_puts_the_very_same_layers_back(net, images, kind):
    layers = {name: net.get_submodule(name) for name in LAYERS}
    weights = {name: layer.weight for name, layer in layers.items()}
    modes = {name: m.training for name, m in net.named_modules()}
    plain = net(images)
    attach(net, kind, LAYERS)
    assert not any(m.training for m in net.modules())
    train(net, images)
    detach(net)
    assert all(net.get_submodule(name) is layer for name, layer in layers.items())
    assert all(layers[name].weight is weight for name, weight in weights.items())
    assert {name: m.training for name, m in net.named_modules()} == modes
    assert torch.equal(net(images), plain)


@pytest.mark.parametrize("kind", KINDS)
def test_merged_equals_unmerged(net, images, kind):
    weights = {name: net.get_submodule(name).weight for name in LAYERS}
    copies = {name: weight.detach().clone() for name, weight in weights.items()}
    attach(net, kind, LAYERS, rank=3, low_rank=2)
    train(net, images)
    adapted = net(images)
    names = list(adapter_state(net))
    merge(net)
    assert names
    assert not list(adapted_layers(net))
    torch.testing.assert_close(net(images), adapted, atol=1e-5, rtol=1e-5)
    assert not any(p.requires_grad for p in net.parameters())
    # the old tensors may be shared with another copy of the network
    assert all(torch.equal(weights[name], copies[name]) for name in LAYERS)


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_through_a_file_without_a_decomposition(
    net, images, kind, tmp_path, monkeypatch
):
    fresh = copy.deepcopy(net)
    attach(net, kind, LAYERS, rank=3, low_rank=2)
    train(net, images)
    adapted = net(images)
    path = tmp_path / "adapter.safetensors"
    save_file(adapter_state(net), path)

    def no_svd(*_args, **_kwargs):
        raise AssertionError("loading must not decompose anything")

    monkeypatch.setattr(torch.linalg, "svd", no_svd)
    load_adapter_state(fresh, load_file(path))
    torch.testing.assert_close(fresh(images), adapted, atol=1e-5, rtol=1e-5)
    assert count_parameters(fresh) == 0
    again = adapter_state(fresh)
    assert all(torch.equal(again[name], tensor) for name, tensor in load_file(path).items())
    merge(fresh)
    torch.testing.assert_close(fresh(images), adapted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_warm_start_continues_from_equal_output(net, images, kind):
    fresh = copy.deepcopy(net)
    attach(net, kind, LAYERS, rank=3, low_rank=2, seed=1)
    train(net, images)
    attach(fresh, kind, LAYERS, seed=2, state=adapter_state(net))
    torch.testing.assert_close(fresh(images), net(images), atol=1e-5, rtol=1e-5)
    assert count_parameters(fresh) == count_parameters(net)
    loss = (fresh(images) - 1).square().mean().item()
    train(fresh, images, steps=10, rate=1e-2)
    assert (fresh(images) - 1).square().mean().item() < loss


@pytest.mark.parametrize(
    ("kind", "ranks"),
    [*((kind, (3, 2)) for kind in KINDS), ("salt", (0, 2)), ("salt", (3, 0))],
)
def test_all_paths_agree_in_output_and_gradient(net, images, kind, ranks, monkeypatch):
    attach(net, kind, LAYERS, rank=ranks[0], low_rank=ranks[1])
    train(net, images)
    outputs, gradients = [], []
    for path in ("weight", "activation", "thin gradient"):
        monkeypatch.setattr(adapted_layer, "cheaper_path", lambda *_, path=path, **__: path)
        net.zero_grad()
        output = net(images)
        output.square().mean().backward()
        outputs.append(output)
        gradients.append([p.grad.clone() for p in net.parameters() if p.requires_grad])
    for output, slopes in zip(outputs[1:], gradients[1:], strict=True):
        torch.testing.assert_close(outputs[0], output, atol=1e-5, rtol=1e-5)
        for one, other in zip(gradients[0], slopes, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_every_path_trains_in_half_precision_as_on_a_gpu(net, images, monkeypatch):
    attach(net, "salt", LAYERS, rank=3, low_rank=2)
    train(net, images)
    wanted = [p for p in net.parameters() if p.requires_grad]
    gradients = {}
    for path in ("weight", "thin gradient"):
        monkeypatch.setattr(adapted_layer, "cheaper_path", lambda *_, path=path, **__: path)
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            output = net(images)
        output.float().square().mean().backward()
        assert all(p.grad.dtype == p.dtype for p in wanted)
        gradients[path] = torch.cat([p.grad.flatten() for p in wanted])
    one, other = gradients.values()
    assert (one - other).norm() < 0.05 * one.norm()


def test_layers_without_an_activation_path_take_the_weight_path(net, images):
    attach(net, "salt", LAYERS)
    x = torch.zeros(1, 12, 1, 1)
    by_name = dict(adapted_layers(net))
    assert by_name["depthwise"].path(x) == "weight"
    assert by_name["dilated"].path(x) == "weight"
    assert by_name["body.0"].path(torch.zeros(1, 10)) == "activation"


@pytest.mark.parametrize(
    ("positions", "k", "trained", "expected"),
    [
        (4096, 40, None, "weight"),  # a slice: forming the weight once is cheaper
        (16, 40, None, "activation"),  # a few tokens
        (4096, 8, 8, "thin gradient"),  # the weight path would need the whole weight's gradient
        (4096, 40, 8, "thin gradient"),
        (4096, 320, 0, "weight"),  # factors as wide as the weight cost more than that
        (16, 40, 8, "activation"),
    ],
)
def test_the_cheaper_path(positions, k, trained, expected):
    assert cheaper_path(positions, (320, 320), k, trained) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_follows_its_delta(net, kind):
    """One layer at a time: the adapted layer is the base layer called with W + delta."""
    attach(net, kind, LAYERS, rank=3, low_rank=2)
    train(net, torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)))
    inputs = {
        "stem": (1, 3, 8, 8),
        "body.0": (1, 7, 10),
        "body.2": (7, 24),
        "dilated": (1, 12, 8, 8),
        "depthwise": (1, 12, 8, 8),
        "head": (1, 16, 8, 8),
    }
    for name, adapted in adapted_layers(net):
        x = torch.randn(inputs[name], generator=torch.Generator().manual_seed(2))
        changed = copy.deepcopy(adapted.base).double()
        delta = adapted.adapter.delta().detach().double()
        changed.weight.data += delta.reshape(changed.weight.shape)
        expected = changed(x.double())
        torch.testing.assert_close(adapted(x).double(), expected, atol=1e-5, rtol=1e-5)


def test_parameter_counts_and_defaults(net):
    def n_of(name):
        weight = net.get_submodule(name).weight
        return min(weight.shape[0], weight[0].numel())

    sizes = [n_of(name) for name in LAYERS]
    attach(net, "salt", LAYERS)
    expected = sum(2 * (n // 2) + 2 * (n - n // 2) * min(8, n - n // 2) for n in sizes)
    assert count_parameters(net) == expected
    roles = adapter_parameters(net)
    assert set(roles) == {"scale", "shift", "low_rank"}
    assert sum(p.numel() for p in roles["scale"]) == sum(n // 2 for n in sizes)
    detach(net)
    attach(net, "ssam", LAYERS)
    assert count_parameters(net) == 2 * sum(sizes)
    detach(net)
    attach(net, "full", LAYERS)
    assert count_parameters(net) == sum(net.get_submodule(n).base.weight.numel() for n in LAYERS)
    detach(net)
    attach(net, "lora", ["body.0"], rank=4)
    assert count_parameters(net) == 4 * (10 + 24)
    detach(net)
    attach(net, "none", LAYERS)
    assert count_parameters(net) == 0
    assert adapter_state(net) == {}
    assert not any(p.requires_grad for p in net.parameters())


def test_wide_layers_get_the_default_rank():
    net = nn.Sequential(nn.Linear(100, 90))
    attach(net, "salt", ["0"])
    adapter = net[0].adapter
    assert (adapter.rank, adapter.low_rank) == (adapters.DEFAULT_RANK, adapters.DEFAULT_LOW_RANK)


def test_the_seed_draws_different_factors_per_layer_and_leaves_the_global_generator(net):
    before = torch.get_rng_state()
    attach(net, "lora", ["body.0"], low_rank=4, seed=5)
    first = adapter_state(net)["body.0.low_down"]
    detach(net)
    attach(net, "lora", ["body.0"], low_rank=4, seed=5)
    assert torch.equal(adapter_state(net)["body.0.low_down"], first)
    detach(net)
    attach(net, "lora", ["body.0"], low_rank=4, seed=6)
    assert not torch.equal(adapter_state(net)["body.0.low_down"], first)
    assert torch.equal(torch.get_rng_state(), before)
    twins = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    attach(twins, "salt", ["0", "1"])
    assert not torch.equal(twins[0].adapter.x, twins[1].adapter.x)


def test_attached_inside_inference(net, images):
    attach(net, "salt", LAYERS)
    train(net, images)
    with torch.no_grad():
        torch.testing.assert_close(net(images), net(images))
    state = adapter_state(net)
    assert not any(t.requires_grad for t in state.values())
    assert all(t.is_contiguous() for t in state.values())


def test_a_copy_is_independent(net, images):
    attach(net, "salt", LAYERS)
    twin = copy.deepcopy(net)
    train(twin, images)
    assert not torch.equal(twin(images), net(images))
    assert all(isinstance(layer, AdaptedLayer) for _, layer in adapted_layers(twin))


@pytest.mark.parametrize("kind", ["salt", "lora"])
def test_nothing_to_train_is_refused(net, kind):
    with pytest.raises(InputError, match="rank above 0"):
        attach(net, kind, LAYERS, rank=0, low_rank=0)
    with pytest.raises(InputError, match="0 or more"):
        attach(net, kind, LAYERS, rank=-1)
    assert not list(adapted_layers(net))


def test_wrong_layers_and_states_are_refused_before_anything_changes(net, images):
    plain = net(images)
    for name in ("nowhere", "norm", "body", ""):
        with pytest.raises(ValueError, match="no Linear or Conv2d"):
            attach(net, "salt", ["stem", name])
    with pytest.raises(AdapterError, match="does not have"):
        load_adapter_state(net, {"nowhere.dense": torch.zeros(2, 2)})
    with pytest.raises(AdapterError, match="another backbone"):
        load_adapter_state(net, {"head.dense": torch.zeros(2, 2)})
    with pytest.raises(AdapterError, match="damaged"):
        load_adapter_state(net, {"head.scale": torch.zeros(2)})
    with pytest.raises(AdapterError, match="not adapted here"):
        attach(net, "full", ["stem"], state={"head.dense": torch.zeros(5, 16)})
    assert not list(adapted_layers(net))
    assert torch.equal(net(images), plain)


def test_a_state_of_another_kind_is_refused(net):
    attach(net, "lora", LAYERS)
    state = adapter_state(net)
    detach(net)
    for kind in ("ssam", "salt", "full"):
        with pytest.raises(AdapterError, match="another kind"):
            attach(net, kind, LAYERS, state=state)
        assert not list(adapted_layers(net))


def test_attaching_twice_is_a_mistake(net):
    attach(net, "salt", ["head"])
    with pytest.raises(ValueError, match="already"):
        attach(net, "salt", ["stem"])
    with pytest.raises(ValueError, match="already"):
        load_adapter_state(net, {})
