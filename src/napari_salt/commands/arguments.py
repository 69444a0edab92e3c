"""What ``napari-salt`` and its subcommands take from the command line.

Apart from what the subcommands do, so that ``--help`` and mistakes in the arguments cost no imports.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from napari_salt import __version__

FOR_PROGRAMS = "--json"
_IMAGE = "file or folder: TIFF, OME-Zarr, NIfTI, NRRD, MetaImage, DICOM, npy, pictures, or FILE.h5::/DATASET"


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments of one subcommand, ``command`` among them; raises `Misused` where they are none."""
    return build_parser().parse_args(_joined(arguments))


class Misused(Exception):
    """Arguments that are none."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without repeating the usage."""

    def error(self, message: str) -> NoReturn:
        raise Misused(f"{message}; see '{self.prog} --help'.")


if TYPE_CHECKING:
    Subcommands: TypeAlias = argparse._SubParsersAction[_Parser]


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``napari-salt`` and all its subcommands; raises `Misused` where it cannot read the arguments."""
    parser = _Parser(
        prog="napari-salt",
        description="Segment image stacks from a few labelled slices; label names are prompts.",
    )
    parser.add_argument("--version", action="version", version=f"napari-salt {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_Parser
    )
    _add_demo(commands)
    _add_adapt(commands)
    _add_segment(commands)
    _add_suggest(commands)
    _add_evaluate(commands)
    _add_info(commands)
    return parser


def _add(commands: Subcommands, name: str, purpose: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=purpose, description=purpose)
    parser.add_argument(
        FOR_PROGRAMS,
        action="store_true",
        help='one JSON object on standard output, for programs; {"error": "..."} where the command fails',
    )
    return parser


def _joined(arguments: Sequence[str]) -> list[str]:
    """A range that begins with a minus joined to its option, as argparse would take it for another one."""
    found: list[str] = []
    for argument in arguments:
        if found and found[-1] == "--window" and argument[:1] == "-" and "," in argument:
            found[-1] += f"={argument}"
        else:
            found.append(argument)
    return found


def _add_demo(commands: Subcommands) -> None:
    parser = _add(commands, "demo", "run the whole loop on sample data, without a person")
    parser.add_argument(
        "--out", type=_path, default=Path("demo_out"), metavar="DIR", help="default: demo_out"
    )
    parser.add_argument("--rounds", type=_count, default=2, metavar="N", help="default: 2")
    _add_device(parser)


def _add_adapt(commands: Subcommands) -> None:
    parser = _add(commands, "adapt", "fit an adapter to labelled slices")
    add = parser.add_argument
    _add_image(parser)
    add(
        "labels",
        type=_path,
        metavar="LABELS",
        help="label image of its shape, in any of these; 0 = unlabelled",
    )
    add(
        "--names",
        metavar='"ID=NAME,..."',
        help="names of the ids in LABELS, background among them or not; default: those in the file",
    )
    add("--out", type=_path, required=True, metavar="A.salt.safetensors")
    add(
        "--slices",
        metavar="10,40,70-72",
        help="slices to use, the first is 0; default: all that carry a label",
    )
    add("--complete", action="store_true", help="0 is background on the slices used")
    kinds = ("salt", "ssam", "lora", "full", "none")
    add("--kind", choices=kinds, default="salt", help="default: salt")
    add("--backbone", default="lite-medsam", metavar="NAME|PATH", help="default: lite-medsam")
    add("--rank", type=_count, metavar="R", help="singular values to scale and shift")
    add("--low-rank", type=_whole, metavar="Q", help="rank of the update on the rest")
    add("--steps", type=_whole, metavar="N", help="steps of fine-tuning")
    add("--time-budget", type=_seconds, metavar="SECONDS", help="wall time, after loading")
    add(
        "--this-stack-only",
        action="store_true",
        help="do not learn to find the labels on other stacks as well; sooner done",
    )
    add("--seed", type=_whole, default=0, metavar="N")
    add(
        "--window",
        metavar="lung|soft|bone|brain|LOW,HIGH",
        help="intensities shown as black and white, the same on every stack; default: percentiles of each",
    )
    add(
        "--percentiles",
        metavar="LOW,HIGH",
        help="percentiles of each stack shown as black and white; default: 0.5,99.5",
    )
    add("--init", type=_path, metavar="ADAPTER", help="adapter to go on from")
    add("--text-model", metavar="NAME|PATH", help="sentence-transformers model; default: embedded")
    _add_device(parser)


def _add_segment(commands: Subcommands) -> None:
    parser = _add(commands, "segment", "segment a stack by label name")
    _add_image_and_adapter(parser)
    _add_masks_out(parser)
    parser.add_argument(
        "--labels",
        metavar='"a,b"',
        help="names to segment; a trained name may hold a comma; default: all",
    )
    parser.add_argument("--slices", metavar="10,40,70-72", help="default: all; the first is 0")
    parser.add_argument("--uncertainty", type=_path, metavar="U.tif", help="write it as float32")
    parser.add_argument(
        "--full-resolution",
        action="store_true",
        help="with --level: write what was found there on the grid of level 0",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with a run that was interrupted, if there is one",
    )
    _add_device(parser)
    _add_cluster(parser)


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("many workers", "by dask.distributed; see docs/cluster.md")
    add = group.add_argument
    add("--workers", type=_count, metavar="N", help="processes to start on this computer")
    add("--cluster", metavar="tls://HOST:8786", help="address of a scheduler")
    add("--tls-ca", type=_path, metavar="CA.pem", help="authority that both sides trust")
    add("--tls-cert", type=_path, metavar="CERT.pem", help="certificate of this side")
    add("--tls-key", type=_path, metavar="KEY.pem", help="its key")
    add("--insecure", action="store_true", help="allow tcp:// to another computer, unencrypted")


def _add_masks_out(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--out",
        type=_path,
        required=True,
        metavar="MASKS",
        help=".tif .ome.tif .nii .nii.gz .seg.nrrd .nrrd .mha .ome.zarr .json (COCO) .dcm (of a DICOM series), or a "
        "folder for PNG; the OME-Zarr image itself: labels go into it",
    )
    splits = ("components", "watershed")
    add("--objects", choices=splits, help="write single objects, touching or cut where they narrow")
    add("--volume", action="store_true", help="objects go on from slice to slice")
    add("--table", type=_path, metavar="T.csv", help="measurements of the objects")


def _add_suggest(commands: Subcommands) -> None:
    parser = _add(commands, "suggest", "tell which slices to correct next")
    _add_image_and_adapter(parser)
    parser.add_argument(
        "--labelled", metavar="10,40", help="default: those that the adapter was trained on"
    )
    parser.add_argument("-k", type=_count, default=5, metavar="K", help="how many; default: 5")
    _add_device(parser)


def _add_evaluate(commands: Subcommands) -> None:
    parser = _add(
        commands,
        "evaluate",
        "Dice, IoU and HD95 of masks against a reference; HD95 within slices that carry a label in both",
    )
    parser.add_argument("masks", type=_path, metavar="MASKS")
    parser.add_argument("reference", type=_path, metavar="REFERENCE")
    parser.add_argument(
        "--names", metavar='"ID=NAME,..."', help="ids in REFERENCE to compare; default: all"
    )
    parser.add_argument("--slices", metavar="10,40,70-72", help="default: all; the first is 0")
    _add_at(parser)


def _add_info(commands: Subcommands) -> None:
    parser = _add(
        commands, "info", "tell what an adapter knows and how it was trained, or an image"
    )
    parser.add_argument("adapter", type=_path, metavar="ADAPTER|IMAGE", help=_IMAGE)
    _add_choice(parser)


def _add_image_and_adapter(parser: argparse.ArgumentParser) -> None:
    _add_image(parser)
    parser.add_argument("adapter", type=_path, metavar="ADAPTER", help=".salt.safetensors file")


def _add_image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=_path, metavar="IMAGE", help=_IMAGE)
    _add_choice(parser)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--level",
        type=_whole,
        default=0,
        metavar="N",
        help="level of a pyramid; default: 0, the finest",
    )
    parser.add_argument(
        "--series",
        metavar="NUMBER|UID|NAME",
        help="DICOM series, where a folder holds several; image, where a TIFF does (the first is 0)",
    )
    _add_at(parser)


def _add_at(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at",
        type=_place,
        action="append",
        default=[],
        metavar="AXIS=INDEX",
        help="what to take of an axis besides slices, rows and columns, such as T=2 for the third time point; "
        "the first is 0, which is the default; give it once for each axis",
    )


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda[:i]|mps", help="default: auto"
    )


def _path(text: str) -> Path:
    """A path; an empty one, as of a variable that is not set, would be the current folder."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError("the name is empty; give a path")
    return Path(text)


def _whole(text: str) -> int:
    """A whole number from 0 up."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0 up")
    return int(text)


def _place(text: str) -> tuple[str, int]:
    """``"T=2"`` as name and index of an axis."""
    axis, sign, index = text.partition("=")
    if not (axis.strip() and sign and index.strip().isdecimal()):
        raise argparse.ArgumentTypeError(f"'{text}' is not AXIS=INDEX, such as T=2; the first is 0")
    if axis.strip().upper() in ("Y", "X"):
        raise argparse.ArgumentTypeError("rows and columns are taken whole; name another axis")
    return axis.strip(), int(index)


def _count(text: str) -> int:
    """A whole number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 up")
    return int(text)


def _seconds(text: str) -> float:
    """A positive, finite number."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number of seconds")
    return seconds
