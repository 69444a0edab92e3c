"""A slice through the frozen network before anybody asks: the next job finds the activations in the cache."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from napari_salt.model.backbones.registry import warm_backbone
from napari_salt.model.device import pick_device, set_threads
from napari_salt.model.encoder import Encoder
from napari_salt.model.framing import Framing, choose_framing

if TYPE_CHECKING:
    from napari_salt.model.feature_cache import FeatureCache
    from napari_salt.model.framing import Intensity
    from napari_salt.records import AnnotatedSlice, FitSettings, Planes


def framing_for(
    planes: Planes,
    painted: Sequence[AnnotatedSlice],
    settings: FitSettings,
    zoom: float | None = None,
) -> Framing:
    """The framing that a fit to the ``painted`` slices would choose (only complete ones have a say).

    Without any it is that of ``zoom``, in network pixels per slice pixel; None = the whole slice in one frame.
    """
    _, height, width = planes.info.shape
    backbone = warm_backbone(settings.backbone, pick_device(settings.device))
    if not painted:
        return Framing(backbone.frame_size, zoom)
    return choose_framing(painted, (height, width), backbone.frame_size)


def see_ahead(
    planes: Planes,
    index: int,
    framing: Framing,
    settings: FitSettings,
    intensity: Intensity,
    cache: FeatureCache,
    *,
    first: int = 0,
    seconds: float,
) -> Generator[None, None, int]:
    """See frames of slice ``index`` from number ``first`` on for about so many ``seconds``, one pass at the least.

    Yields None after each pass through the network. Returns the first frame that is still to be seen, 0 where the
    slice is done.
    """
    set_threads()
    device = pick_device(settings.device)
    encoder = Encoder(
        warm_backbone(settings.backbone, device),
        intensity,
        framing,
        cache=cache,
        device=device,
        pretrained_tail=True,
    )
    layout = framing.layout(*planes.info.shape[1:])
    frames = layout.frames(intensity.apply(planes.plane(index)))[first:]
    done, began = first, time.monotonic()

    def see(part: slice) -> int:
        encoder.prefix(frames[part])
        return int(part.stop - part.start)

    for count in encoder.batches.run(len(frames), see):
        done += count
        yield None
        if time.monotonic() - began >= seconds:
            break
    return done if done < len(layout.origins) else 0
