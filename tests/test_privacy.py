"""Nothing that a header says about a person reaches a result, a message or a note."""

import gzip
import io
import zipfile

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

import shapekit as sk
from shapekit.cli import main

PERSON = "DOUGHERTY^JANETTE MCMXLIX"  # long enough not to turn up in packed bytes by chance
TRACES = (b"DOUGHERTY", b"dougherty", b"JANETTE", b"MCMXLIX")
LABEL_TABLE = (
    '<?xml version="1.0"?><CaretExtension><VolumeInformation Index="0">'
    f"<MetaData><MD><Name>PatientName</Name><Value>{PERSON}</Value></MD></MetaData>"
    '<LabelTable><Label Key="21" Red="1">vertebrae_L2</Label><Label Key="22" Red="1">vertebrae_L3</Label></LabelTable>'
    f"<StudyMetaData>{PERSON}</StudyMetaData></VolumeInformation></CaretExtension>"
)


def as_nifti(path, array, affine):
    image = nib.Nifti1Image(array, affine)
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        image.header[field] = PERSON
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", PERSON.encode()))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("afni", f"<name>{PERSON}</name>".encode()))
    image.to_filename(path)


def as_nifti_with_names(path, array, affine):
    image = nib.Nifti1Image(array, affine)
    image.header.extensions.append(nib.nifti1.Nifti1Extension(0, LABEL_TABLE.encode()))
    image.to_filename(path)


def as_itk(path, array, affine):
    flip, spacing = np.diag([-1.0, -1.0, 1.0]), np.linalg.norm(affine[:3, :3], axis=0)
    image = SimpleITK.GetImageFromArray(array.transpose())
    image.SetSpacing(spacing.tolist())
    image.SetDirection((flip @ affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin((flip @ affine[:3, 3]).tolist())
    for key in ("PatientName", "Comment", "0010|0010"):
        image.SetMetaData(key, PERSON)
    SimpleITK.WriteImage(image, str(path))


def unpacked(content: bytes) -> bytes:
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            return content + b"".join(packed.read(name) for name in packed.namelist())
    return content + (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else b"")


@pytest.mark.parametrize(
    ("name", "write"),
    [("scan.nii.gz", as_nifti), ("scan.nii", as_nifti_with_names), ("scan.mha", as_itk), ("scan.nrrd", as_itk)],
    ids=["nifti", "nifti with label names", "mha", "nrrd"],
)
def test_a_header_about_a_person_reaches_no_output(crushed_spine, tmp_path, capfd, name, write):
    array = np.where(np.isin(crushed_spine.array, (21, 22)), crushed_spine.array, 0).astype(np.uint8)
    write(tmp_path / name, array, crushed_spine.grid.affine)
    assert PERSON.encode() in unpacked((tmp_path / name).read_bytes())
    scheme = [] if write is as_nifti_with_names else ["--scheme", "verse"]
    assert main(["score", str(tmp_path / name), "-o", str(tmp_path / "out"), "-v", "--meshes", "glb,stl,3mf,ply,obj,vtp", "--print", *scheme]) == 0
    written = {path.name: unpacked(path.read_bytes()) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"scores.csv", "scores.json", "expected.nii.gz", "deficit.nii.gz", "report.html"} <= set(written)
    assert {"scene.mrml", "meshes.json", "L3_print.3mf"} <= set(written)
    said = capfd.readouterr()
    for content in (*written.values(), said.out.encode(), said.err.encode()):
        assert not [trace for trace in TRACES if trace in content]
        assert str(tmp_path).encode() not in content


@pytest.mark.parametrize("kind", [18, 30, 42])
def test_an_extension_of_any_kind_is_no_obstacle(crushed_spine, tmp_path, kind):
    image = nib.Nifti1Image(crushed_spine.array, crushed_spine.grid.affine)
    image.header.extensions.append(nib.nifti1.Nifti1Extension(kind, PERSON.encode()))
    image.to_filename(tmp_path / "scan.nii")
    assert PERSON not in " ".join(sk.load(tmp_path / "scan.nii").notes)


@pytest.mark.parametrize("part", ["descrip", "aux_file", "intent_name", "extension"])
def test_a_header_about_a_person_reaches_no_complaint(tmp_path, capfd, part):
    image = nib.Nifti1Image(np.full((5, 7, 6), 177, np.uint8), np.diag([0.7, 1.3, 2.9, 1.0]))
    if part == "extension":
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", PERSON.encode()))
    else:
        image.header[part] = PERSON
    image.to_filename(tmp_path / "odd.nii.gz")
    assert main(["score", str(tmp_path / "odd.nii.gz"), "-o", str(tmp_path / "out")]) == 2
    said = capfd.readouterr()
    assert not [trace for trace in TRACES if trace in (said.out + said.err).encode()]
