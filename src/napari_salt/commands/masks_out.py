"""Where ``segment`` puts its masks: any format, as labels or as single objects, with a table of these."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_salt.commands import checks
from napari_salt.errors import InputError, OutputError
from napari_salt.io.atomic import check_ordinary
from napari_salt.io.export import check_target, export_masks, format_of
from napari_salt.io.object_masks import find_objects
from napari_salt.io.object_table import SUFFIX as TABLE_SUFFIX
from napari_salt.io.object_table import write_table
from napari_salt.io.writing.source_slices import slices_of
from napari_salt.session.objects import ObjectsChoice

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from napari_salt.io.export import Kind
    from napari_salt.records import Label, StackInfo
    from napari_salt.session.stack import ArrayLike, Stack


@dataclass(frozen=True)
class MasksOut:
    """What is to be written: ``objects`` None leaves the masks as label ids; ``table`` None writes no table."""

    path: Path
    objects: ObjectsChoice | None = None
    table: Path | None = None
    table_objects: ObjectsChoice = field(default_factory=ObjectsChoice)

    def check(self, info: StackInfo) -> None:
        """Refuse now what would be refused after long work."""
        check_target(self.path, info)

    def write(self, masks: ArrayLike, stack: Stack, labels: Sequence[Label]) -> None:
        """Write masks ``(N, Y, X)`` of label ids, and what else was asked for."""
        if self.objects is None:
            export_masks(self.path, masks, stack.info, labels, slices=slices_of(stack))
        if self.objects is None and self.table is None:
            return
        with find_objects(
            masks,
            stack.info,
            self.table_objects,
            self.path.absolute().parent,
            measured=self.table is not None,
        ) as objects:
            if self.table is not None:
                write_table(self.table, objects, labels, stack)
            if self.objects is not None:
                export_masks(
                    self.path,
                    objects.ids,
                    stack.info,
                    objects.labels(labels),
                    slices=slices_of(stack),
                    label_of=objects.label_of,
                    categories=labels,
                )


def masks_out(args: argparse.Namespace) -> MasksOut:
    """What the arguments ask for; refuses names and places that cannot work, before anything is read."""
    kind = format_of(args.out).kind
    _check_place(args.out, kind)
    if kind != "ome-zarr":  # labels go into the image
        checks.apart_from(args.out, args.image)
    if args.table is not None:
        checks.writable(args.table, (TABLE_SUFFIX,))
        checks.apart_from(args.table, args.image, args.out)
    if args.volume and args.objects is None and args.table is None:
        raise InputError("--volume says how objects are found; give --objects or --table with it.")
    choice = ObjectsChoice(args.objects or "components", args.volume)
    return MasksOut(args.out, None if args.objects is None else choice, args.table, choice)


def _check_place(out: Path, kind: Kind) -> None:
    """A file as any other; of a folder its parent must be writable."""
    if kind not in ("png", "ome-zarr"):
        checks.writable(out, ("",))
        return
    checks.check_length(out)
    check_ordinary(out)
    if out.is_dir() and (out.samefile(Path.cwd()) or out.is_mount()):
        raise InputError(
            f"'{out}' is the folder that commands run in, or a disk of its own, which a result cannot take the place "
            "of; give the name of a new folder in it."
        )
    if out.is_file():
        raise OutputError(f"'{out}' is a file; choose another name for the folder.")
    parent = out.absolute().parent
    if not parent.is_dir():
        raise OutputError(f"There is no folder '{parent}'; create it or choose another one.")
    if not os.access(parent, os.W_OK):
        raise OutputError(f"'{out}' cannot be written; choose a folder that you may write to.")
