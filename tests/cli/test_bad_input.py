"""Bad input: exit code 2, one sentence, nothing on standard output, and no torch for it."""

from __future__ import annotations

import errno
import json
import os

import pytest

from napari_salt.cli import main
from napari_salt.commands import info
from napari_salt.errors import JobFailed, OutputError

NAMES = ("--names", "1=disk,2=box")
ADAPT = ("adapt", "image.tif", "labels.tif", *NAMES, "--out", "a.salt.safetensors")

CASES = {
    "no arguments": ((), "required"),
    "unknown command": (("paint",), "invalid choice: 'paint'"),
    "no image": (("adapt", "none.tif", "labels.tif", *ADAPT[3:]), "There is no file none.tif"),
    "unreadable image": (("adapt", "text.tif", "labels.tif", *ADAPT[3:]), "text.tif"),
    "unreadable labels": (("adapt", "image.tif", "text.tif", *ADAPT[3:]), "text.tif"),
    "unknown format": (("adapt", "text.pth", "labels.tif", *ADAPT[3:]), "format"),
    "shape mismatch": (
        ("adapt", "image.tif", "short.tif", *ADAPT[3:]),
        "'short.tif' has 3 slices of 48 × 48 pixels and 'image.tif' 7 slices of 48 × 48 pixels",
    ),
    "labels mirrored": (
        ("adapt", "upright.nii", "mirrored.nii", *ADAPT[3:]),
        "'mirrored.nii' lies mirrored to 'upright.nii' in the world, along its columns",
    ),
    "nothing to see": (
        ("adapt", "blank.tif", "labels.tif", *ADAPT[3:]),
        "The image holds one value only (7)",
    ),
    "no labelled pixel": (("adapt", "image.tif", "empty.tif", *ADAPT[3:]), "No pixel"),
    "unknown id": ((*ADAPT, "--names", "1=disk"), "labels without a name: 2"),
    "names unreadable": ((*ADAPT, "--names", "disk"), "Cannot read the names 'disk'"),
    "one id, two names": ((*ADAPT, "--names", "1=disk,1=box"), "Id 1 has two names"),
    "two ids, one name": ((*ADAPT, "--names", "1=disk,2=Disk"), "There is a label"),
    "id 0": ((*ADAPT, "--names", "0=background,1=disk,2=box"), "use --complete"),
    "only background": ((*ADAPT, "--names", "1=background,2=Background"), "besides background"),
    "no names": (("adapt", "image.tif", "labels.tif", "--out", "a.safetensors"), "--names"),
    "slice outside": ((*ADAPT, "--slices", "2,7"), "There is no slice 7"),
    "slices unreadable": ((*ADAPT, "--slices", "a"), "Cannot read the slices 'a'"),
    "slices backwards": ((*ADAPT, "--slices", "5-2"), "run backwards"),
    "unknown backbone": ((*ADAPT, "--backbone", "sam-9"), "sam-9"),
    "no backbone file": ((*ADAPT, "--backbone", "./none.pth"), "none.pth"),
    "unknown kind": ((*ADAPT, "--kind", "magic"), "invalid choice: 'magic'"),
    "unknown device": ((*ADAPT, "--device", "tpu"), "'tpu' is no device"),
    "rank of nothing": ((*ADAPT, "--rank", "0"), "not a whole number from 1 up"),
    "steps of nothing": ((*ADAPT, "--steps", "-1"), "not a whole number from 0 up"),
    "no time": ((*ADAPT, "--time-budget", "nan"), "not a positive number of seconds"),
    "no folder": ((*ADAPT, "--out", "none/a.salt.safetensors"), "There is no folder 'none'"),
    "wrong suffix": ((*ADAPT, "--out", "a.pth"), "must end in .safetensors"),
    "no window": ((*ADAPT, "--window", "kidney"), "'kidney' is no range of intensities"),
    "window backwards": ((*ADAPT, "--window", "150,-1350"), "the lower first"),
    "window beside the image": ((*ADAPT, "--window", "-1350,-900"), "outside of the window"),
    "no percentiles": ((*ADAPT, "--percentiles", "5,105"), "between 0 and 100"),
    "window and percentiles": (
        (*ADAPT, "--window", "lung", "--percentiles", "1,99"),
        "not both",
    ),
    "init is no adapter": ((*ADAPT, "--init", "text.salt.safetensors"), "is not an adapter"),
    "segment without adapter": (
        ("segment", "image.tif", "none.salt.safetensors", "--out", "m.tif"),
        "none.salt.safetensors",
    ),
    "segment, wrong suffix": (
        ("segment", "image.tif", "text.salt.safetensors", "--out", "m.png"),
        "Masks are not written as .png",
    ),
    "segment, one file for two": (
        (
            "segment",
            "image.tif",
            "text.salt.safetensors",
            "--out",
            "m.tif",
            "--uncertainty",
            "m.tif",
        ),
        "need two files",
    ),
    "segment, over the image": (
        ("segment", "image.tif", "text.salt.safetensors", "--out", "./image.tif"),
        "give the result another name",
    ),
    "suggest, no adapter": (("suggest", "image.tif", "image.tif"), "is not an adapter"),
    "evaluate, shapes": (("evaluate", "labels.tif", "short.tif"), "image's shape"),
    "evaluate, mirrored": (
        ("evaluate", "mirrored.nii", "upright.nii"),
        "bring both into one orientation",
    ),
    "evaluate, strange id": (
        ("evaluate", "labels.tif", "labels.tif", "--names", "9=moon"),
        "Neither file has the label 9 (moon)",
    ),
    "evaluate, nothing": (("evaluate", "empty.tif", "empty.tif"), "nothing to compare"),
    "info, no adapter": (("info", "text.salt.safetensors"), "is not an adapter"),
    "demo, no rounds": (("demo", "--rounds", "0"), "not a whole number from 1 up"),
    "demo, out is a file": (("demo", "--out", "text.tif"), "text.tif"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(cli, data, case):
    arguments, says = CASES[case]
    done = cli(*arguments, light=True)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.strip().endswith((".", "'."))
    assert not (data / "a.salt.safetensors").exists()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("option", ["--json", "--js"])
def test_programs_are_told_as_well(data, monkeypatch, capsys, case, option):
    monkeypatch.chdir(data)
    arguments, _ = CASES[case]
    assert main([*arguments, option]) == 2
    said = capsys.readouterr()
    assert said.err == f"napari-salt: {json.loads(said.out)['error']}\n"
    assert said.out.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (JobFailed("The engine has ended."), 1, "The engine has ended."),
        (KeyboardInterrupt(), 130, "Stopped."),
    ],
)
def test_programs_are_told_of_what_ends_a_job(monkeypatch, capsys, error, code, says):
    def run(*_):
        raise error

    monkeypatch.setattr(info, "run", run)
    assert main(["info", "a.salt.safetensors", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == {"error": says}


SEGMENT = ("segment", "image.tif", "text.salt.safetensors")
ODD = {
    "out, a variable that is not set": ((*SEGMENT, "--out", ""), "the name is empty"),
    "image, a variable that is not set": (("info", ""), "the name is empty"),
    "out, too long a name": ((*SEGMENT, "--out", "n" * 230 + ".tif"), "too long a name"),
    "out, too long a folder": ((*SEGMENT, "--out", "日" * 80), "too long a name"),
    "out, far too long": ((*SEGMENT, "--out", "n" * 300 + ".tif"), "too long a name"),
    "image, too long a name": (("info", "n" * 300 + ".tif"), "The system refused the use of 'nnn"),
    "image, too long a path": (("info", "a/" * 3000), "The system refused the use of 'a/a/"),
    "out, the folder itself": ((*SEGMENT, "--out", "."), "give the name of a new folder in it"),
    "out, a file": ((*SEGMENT, "--out", "plain"), "'plain' is a file"),
}
PIPES = {
    "image": ("info", "pipe.tif"),
    "labels": ("adapt", "image.tif", "pipe.tif", *ADAPT[3:]),
    "adapter": ("info", "pipe.safetensors"),
    "reference": ("evaluate", "labels.tif", "pipe.tif"),
    "out": (*SEGMENT, "--out", "pipe.tif"),
    "out, a folder": (*SEGMENT, "--out", "pipe"),
    "out, an adapter": (*ADAPT, "--out", "pipe.safetensors"),
    "table": (*SEGMENT, "--out", "m.tif", "--table", "pipe.csv"),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_paths_are_refused_before_any_work(data, tmp_path, monkeypatch, capsys, case):
    (tmp_path / "plain").touch()
    (tmp_path / "image.tif").symlink_to(data / "image.tif")
    monkeypatch.chdir(tmp_path)
    arguments, says = ODD[case]
    assert main([*arguments, "--json"]) == 2
    assert says in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("case", PIPES)
def test_nobody_waits_for_a_pipe_nor_replaces_it(data, tmp_path, monkeypatch, capsys, case):
    for name in ("image.tif", "labels.tif"):
        (tmp_path / name).symlink_to(data / name)
    for suffix in ("", ".tif", ".csv", ".safetensors"):
        os.mkfifo(tmp_path / f"pipe{suffix}")
    monkeypatch.chdir(tmp_path)
    before = sorted((file.name, file.is_fifo()) for file in tmp_path.iterdir())
    assert main([*PIPES[case], "--json"]) == 2
    assert "no ordinary file" in json.loads(capsys.readouterr().out)["error"]
    assert sorted((file.name, file.is_fifo()) for file in tmp_path.iterdir()) == before


def test_programs_are_told_of_a_fault_of_ours(monkeypatch, capsys):
    def run(*_):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(info, "run", run)
    with pytest.raises(ZeroDivisionError):
        main(["info", "a.salt.safetensors", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told == {"error": "napari-salt has a fault: ZeroDivisionError: division by zero"}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(cli, data):
    locked = data / "locked"
    locked.mkdir(mode=0o500)
    done = cli(*ADAPT, "--out", locked / "a.salt.safetensors", light=True)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr


def test_help_is_there_for_every_command(cli):
    for command in ("demo", "adapt", "segment", "suggest", "evaluate", "info"):
        done = cli(command, "--help", light=True)
        assert done.returncode == 0
        assert "--json" in done.stdout


def _from(number):
    """An error of ours that was raised from one of the system's."""
    try:
        raise OSError(number, os.strerror(number))
    except OSError as error:
        sentence = OutputError("m.tif was not written.")
        sentence.__cause__ = error
        return sentence


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/a"), 1, "free some space"),
        (OSError(errno.EIO, "Input/output error"), 1, "check the disk"),
        (OSError(errno.EROFS, "Read-only file system", "/mnt/a"), 1, "mounted anew"),
        (OSError(errno.EMFILE, "Too many open files"), 1, "ulimit -n"),
        (_from(errno.ENOSPC), 1, "m.tif was not written."),
        (OSError(errno.ENAMETOOLONG, "File name too long", "nnn"), 2, "check the path"),
        (PermissionError(errno.EACCES, "Permission denied", "/root/a"), 2, "check the path"),
        (_from(errno.EACCES), 2, "m.tif was not written."),
    ],
)
def test_a_disk_at_fault_is_no_bad_input(monkeypatch, capsys, error, code, says):
    def run(*_):
        raise error

    monkeypatch.setattr(info, "run", run)
    assert main(["info", "a.salt.safetensors", "--json"]) == code
    assert says in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "Memory has run out; close other programs"),
        (ImportError("libtorch_cpu.so: failed to map segment"), "allow more memory (ulimit -v)"),
    ],
)
def test_a_process_that_starves_says_so(monkeypatch, capsys, error, says):
    def run(*_):
        raise error

    monkeypatch.setattr(info, "run", run)
    assert main(["info", "a.salt.safetensors", "--json"]) == 1
    told = capsys.readouterr()
    assert says in json.loads(told.out)["error"]
    assert len(told.err.splitlines()) == 1
