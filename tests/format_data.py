"""Files of other programs for the tests of the readers."""

from __future__ import annotations

from pathlib import Path

import highdicom
import numpy as np
import pydicom
import tifffile
from highdicom.color import CIELabColor
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def marked_volume(shape, at, dtype=np.int16):
    """Noise with one bright voxel at ``at``."""
    volume = np.random.default_rng(0).integers(0, 50, shape).astype(dtype)
    volume[at] = 100
    return volume


def dicom_file(pixels, *, series="1.2.3", number=1, **tags):
    """A DICOM file of one plane ``(Y, X)`` of whole numbers; ``tags`` by keyword, None leaves one out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID = CTImageStorage
    file.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    file.StudyInstanceUID = "1.2"
    file.SeriesInstanceUID = series
    file.FrameOfReferenceUID = "1.2.9"
    file.PatientName, file.PatientID, file.PatientSex = "Nobody^", "0", "O"
    file.PatientBirthDate = file.StudyDate = file.StudyTime = ""
    file.AccessionNumber = file.StudyID = file.ReferringPhysicianName = ""
    file.Modality, file.SeriesNumber, file.InstanceNumber = "CT", 1, number
    file.SeriesDescription = "abdomen"
    file.ImagePositionPatient = [0, 0, 0]
    file.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    file.PixelSpacing = [0.5, 0.25]
    file.Rows, file.Columns = pixels.shape[:2]
    file.SamplesPerPixel = 1
    file.PhotometricInterpretation = "MONOCHROME2"
    file.BitsAllocated = file.BitsStored = pixels.dtype.itemsize * 8
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(pixels.dtype.kind == "i")
    file.PixelData = pixels.tobytes()
    for name, value in tags.items():
        if value is None:
            delattr(file, name)
        else:
            setattr(file, name, value)
    file["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    return file


def dicom_series(folder, volume, *, step=(0.0, 0.0, 2.0), first=(0.0, 0.0, 0.0), skip=(), **tags):
    """Write ``(Z, Y, X)`` as one file a slice, under names in an order of their own."""
    folder.mkdir(exist_ok=True)
    names = np.random.default_rng(1).permutation(len(volume))
    for index, plane in enumerate(volume):
        if index in skip:
            continue
        place = [f"{start + index * part:.6g}" for start, part in zip(first, step, strict=True)]
        one = {"ImagePositionPatient": place, **tags}
        one = {key: value(index) if callable(value) else value for key, value in one.items()}
        file = dicom_file(plane, number=index + 1, **one)
        file.save_as(folder / f"IM{names[index]:03}", enforce_file_format=True)
    return folder


def dicom_segmentation(folder, ids, place, **how):
    """Write ids 1 and 2 ``(Z, Y, X)`` of the slices of ``folder``, upwards; slices without any are left out."""
    files = sorted(
        (pydicom.dcmread(file) for file in folder.iterdir()), key=lambda f: f.InstanceNumber
    )
    highdicom.seg.Segmentation(
        source_images=files,
        pixel_array=ids,
        segment_descriptions=[_described(1, "liver"), _described(2, "spleen")],
        series_instance_uid=highdicom.UID(),
        series_number=5,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="1",
        device_serial_number="0",
        omit_empty_frames=True,
        **{"segmentation_type": "BINARY", **how},
    ).save_as(place)
    return place


def _described(number, label):
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.Organ,
        segmented_property_type=codes.SCT.Liver,
        algorithm_type="MANUAL",
        display_color=CIELabColor(53.2, 80.1, 67.2) if number == 1 else None,
    )


def world_of(affine, index):
    """RAS millimetres of (slice, row, column)."""
    return (np.array(affine) @ (*index, 1))[:3]


def ome_set(folder: Path, data: np.ndarray, **options: object) -> list[Path]:
    """``(Z, Y, X)`` uint16 as an OME-TIFF in two files, ``0.ome.tif`` and ``1.ome.tif``, of half the planes each."""
    count, rows, columns = data.shape
    half = count // 2
    places = "".join(
        f'<TiffData FirstZ="{z}" IFD="{z % half}" PlaneCount="1"><UUID FileName="{z // half}.ome.tif">'
        f"urn:uuid:{z // half}</UUID></TiffData>"
        for z in range(count)
    )
    files = [folder / f"{number}.ome.tif" for number in range(2)]
    for number, file in enumerate(files):
        xml = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{number}">'
            '<Image ID="I:0"><Pixels ID="P:0" DimensionOrder="XYZCT" Type="uint16" '
            f'SizeX="{columns}" SizeY="{rows}" SizeZ="{count}" SizeC="1" SizeT="1">{places}</Pixels></Image></OME>'
        )
        with tifffile.TiffWriter(file) as tif:
            for z in range(half):
                described = {"description": xml} if z == 0 else {}
                tif.write(data[half * number + z], metadata=None, **options, **described)
    return files
