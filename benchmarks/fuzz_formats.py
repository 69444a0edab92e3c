"""Small good files of the formats of other fields: NIfTI, NRRD, MetaImage, DICOM, HDF5, OME-Zarr."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_salt.io.writing.meta_image import write_meta_image
from napari_salt.io.writing.nrrd import write_nrrd
from napari_salt.records import Label, StackInfo

PIXELS = np.arange(4 * 16 * 16, dtype=np.int16).reshape(4, 16, 16)


def make_nifti(folder: Path) -> Path:
    """A NIfTI-1 file with an affine."""
    import nibabel

    path = folder / "seed.nii"
    nibabel.save(nibabel.Nifti1Image(PIXELS.T, np.diag([1.0, 2.0, 3.0, 1.0])), path)
    return path


def make_slicer(folder: Path) -> list[Path]:
    """A segmentation of 3D Slicer in NRRD, and the same as a MetaImage."""
    info = StackInfo(PIXELS.shape, channels=1, rgb=False, dtype="int16", name="seed")
    masks, labels = (PIXELS % 3).astype(np.uint8), [Label(1, "nucleus"), Label(2, "axon")]
    return [
        write_nrrd(folder / "seed.seg.nrrd", masks, info, labels),
        write_meta_image(folder / "seed.mha", masks, info, labels),
    ]


def make_dicom(folder: Path) -> Path:
    """One CT slice, uncompressed, in a folder of its own, since its neighbours are looked for."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["seed"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = Dataset()
    image.file_meta = meta
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    image.SeriesInstanceUID = generate_uid(entropy_srcs=["series"])
    image.Modality, image.SeriesDescription, image.InstanceNumber = "CT", "head", 1
    image.Rows = image.Columns = 16
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 1
    image.RescaleSlope, image.RescaleIntercept = 1, -1024
    image.PixelSpacing, image.SliceThickness = [0.5, 0.5], 1
    image.ImagePositionPatient = [0, 0, 0]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelData = PIXELS[0].tobytes()
    (folder / "dicom").mkdir()
    path = folder / "dicom" / "seed.dcm"
    image.save_as(path, enforce_file_format=True)
    return path


def make_hdf5(folder: Path) -> Path:
    """One compressed data set with sizes and axes."""
    import h5py

    path = folder / "seed.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("image", data=PIXELS, compression="gzip", chunks=(1, 16, 16))
        data.attrs["element_size_um"] = (3.0, 1.0, 1.0)
        for place, letter in enumerate("zyx"):
            data.dims[place].label = letter
    return path


def make_zarr(folder: Path) -> Path:
    """An OME-Zarr 0.5 image of one level."""
    import zarr

    path = folder / "seed.ome.zarr"
    group = zarr.open_group(path, mode="w")
    group.create_array("0", data=PIXELS, chunks=(1, 16, 16))
    scale = {"type": "scale", "scale": [3.0, 1.0, 1.0]}
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    levels = [{"path": "0", "coordinateTransformations": [scale]}]
    image = {"name": "seed", "axes": axes, "datasets": levels}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    return path
