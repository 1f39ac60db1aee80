"""Every form of a transform, written by us and read by SimpleITK and nibabel, and the other way round."""

import os
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from scipy.ndimage import map_coordinates

from medmamba.errors import ConfigError, DataError, SetupError
from medmamba.register.grid import Grid
from medmamba.register.transforms.files import FORMS, read, require_form, write_learn2reg
from medmamba.register.transforms.itk import write_itk
from medmamba.register.transforms.nifti import write_displacement_nifti
from medmamba.register.transforms.npz import write_voxel_npz
from medmamba.register.transforms.transform import Affine, Field, Transform
from medmamba.register.warping import warp_image
from tests.predict.made_images import ORIENTATIONS, affine
from tests.register.made import FIXED, MOVING, field, image, registration, turn

LPS = np.array([-1.0, -1.0, 1.0])
RANGE = 1000


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(ORIENTATIONS), st.tuples(*[st.floats(-40, 40)] * 3), st.sampled_from(["itk-nifti", "slicer-1006"])
)
def test_fields_on_any_grid_move_points_in_simpleitk_as_here(
    tmp_path_factory: pytest.TempPathFactory, axes: tuple, angles: tuple, form: str
) -> None:
    grid = Grid((8, 9, 7), affine((0.7, 2.5, 1.4), angles, *axes))
    ours, path = Transform((field(grid),)), tmp_path_factory.mktemp("field") / "d.nii.gz"
    FORMS[form].write(ours, grid, None, path)
    theirs = sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    for point in grid.world([[3, 4, 5], [1.5, 6.25, 2], [6, 1.75, 4.5]]):
        assert np.allclose(theirs.TransformPoint((point * LPS).tolist()) * LPS, ours.points(point)[0], atol=1e-3)


def voxels(grid: Grid = FIXED) -> np.ndarray:
    return np.indices(grid.shape).reshape(3, -1).T.astype(float)


def sampled(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The moving image at voxel indices (N, 3), linear, and which of them lie well inside."""
    inside = ((at >= 0) & (at <= np.array(MOVING.shape) - 1)).all(axis=1)
    return map_coordinates(image().data.astype(float), at.T, order=1), inside


def truth(transform: Transform) -> tuple[np.ndarray, np.ndarray]:
    """The warped image by plain arithmetic: each voxel displaced, then sent through the affine map."""
    part, affine = transform.parts
    moved = voxels() + part.displacement.reshape(-1, 3)
    world = np.c_[moved, np.ones(len(moved))] @ (affine.matrix @ FIXED.affine).T
    return sampled((world @ np.linalg.inv(MOVING.affine).T)[:, :3])


def agree(warped: np.ndarray, transform: Transform) -> None:
    wanted, inside = truth(transform)
    assert inside.mean() > 0.5
    assert np.abs(np.ravel(warped) - wanted)[inside].max() < 1e-4 * RANGE


def by_simpleitk(transform: sitk.Transform) -> np.ndarray:
    warped = sitk.Resample(image().itk(), FIXED.reference(), transform, sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    return sitk.GetArrayFromImage(warped).T


def of_image(path: Path) -> sitk.Transform:
    return sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))


def by_nibabel(path: Path, turned: np.ndarray) -> np.ndarray:
    stored = nibabel.load(path)
    assert stored.shape == (*FIXED.shape, 1, 3)
    assert stored.get_data_dtype() == np.float32
    for form in (stored.get_sform(), stored.get_qform()):
        assert np.allclose(form, FIXED.affine, atol=1e-4)
    world = voxels() @ stored.affine[:3, :3].T + stored.affine[:3, 3]
    world += stored.get_fdata().reshape(-1, 3) * turned
    back = np.linalg.inv(MOVING.affine)
    return sampled(world @ back[:3, :3].T + back[:3, 3])[0]


def test_our_own_warping_is_the_arithmetic() -> None:
    agree(warp_image(image(), registration(), FIXED).data, registration())


def test_a_composite_as_simpleitk_reads_it(tmp_path: Path) -> None:
    write_itk(registration(), tmp_path / "transform.h5")
    agree(by_simpleitk(sitk.ReadTransform(str(tmp_path / "transform.h5"))), registration())


@pytest.mark.parametrize(("intent", "turned"), [(1007, LPS), (1006, np.ones(3))])
def test_a_displacement_as_simpleitk_and_nibabel_read_it(tmp_path: Path, intent: int, turned: np.ndarray) -> None:
    path = tmp_path / "displacement.nii.gz"
    write_displacement_nifti(registration().displacement_on(FIXED), path, intent)
    assert int(nibabel.load(path).header["intent_code"]) == intent
    agree(by_simpleitk(of_image(path)), registration())
    agree(by_nibabel(path, turned), registration())


def test_learn2reg_as_its_evaluation_reads_it(tmp_path: Path) -> None:
    write_learn2reg(registration(), FIXED, MOVING, tmp_path / "disp.nii.gz")
    write_learn2reg(registration(), FIXED, MOVING, tmp_path / "disp.npz")
    stored = nibabel.load(tmp_path / "disp.nii.gz")
    (array,) = np.load(tmp_path / "disp.npz").values()
    assert stored.shape == array.shape == (*FIXED.shape, 3)
    for displacement in (stored.get_fdata(), array):
        agree(sampled(voxels() + displacement.reshape(-1, 3))[0], registration())


def test_voxels_and_affine_as_numpy_reads_them(tmp_path: Path) -> None:
    write_voxel_npz(field(), tmp_path / "field.npz")
    with np.load(tmp_path / "field.npz") as archive:
        assert np.array_equal(archive["displacement"], field().displacement)
        assert np.array_equal(archive["affine"], FIXED.affine)


@pytest.mark.parametrize("name", ["t.tfm", "t.txt", "t.mat", "t.h5"])
def test_affine_maps_as_simpleitk_reads_them(tmp_path: Path, name: str) -> None:
    write_itk(Transform((turn(1), turn(2))), tmp_path / name)
    theirs = sitk.ReadTransform(str(tmp_path / name))
    point = FIXED.centre + 5
    wanted = turn(2).points(turn(1).points(point[None]))[0]
    assert np.allclose(theirs.TransformPoint((point * LPS).tolist()) * LPS, wanted)
    assert np.allclose(read(tmp_path / name).points(point), wanted)


def test_the_affine_of_ants(tmp_path: Path) -> None:
    """MATLAB 4, as ITK's MatlabTransformIO: matrix by rows, translation, and the centre as `fixed`."""
    matrix, shift, centre = turn(3).matrix[:3, :3], [4.0, -5.0, 6.0], np.array([10.0, 20.0, 30.0])
    content = {"AffineTransform_double_3_3": np.r_[matrix.ravel(), shift][:, None], "fixed": centre[:, None]}
    savemat(tmp_path / "x0GenericAffine.mat", content, format="4")
    lps = np.array([1.0, 2.0, 3.0])
    wanted = matrix @ (lps - centre) + centre + shift
    assert np.allclose(read(tmp_path / "x0GenericAffine.mat").points(lps * LPS)[0] * LPS, wanted)


def test_a_field_that_simpleitk_wrote(tmp_path: Path) -> None:
    """The .nii.gz is what ANTs' 1Warp is: five axes, intent 1007, LPS; the .nrrd is what Slicer saves."""
    vectors = sitk.Cast(sitk.DisplacementFieldTransform(field().itk()).GetDisplacementField(), sitk.sitkVectorFloat32)
    for name in ("x1Warp.nii.gz", "x.nrrd"):
        sitk.WriteImage(vectors, str(tmp_path / name))
        (part,) = read(tmp_path / name).parts
        assert part.grid.same_as(FIXED)
        assert np.allclose(part.displacement, field().displacement, atol=1e-5)


def written(name: str, folder: Path) -> Path:
    path = folder / f"transform{FORMS[name].endings[0]}"
    FORMS[name].write(registration(), FIXED, MOVING, path)
    return path


@pytest.mark.parametrize("name", FORMS)
def test_what_is_written_is_read_as_the_same_map(tmp_path: Path, name: str) -> None:
    again = read(written(name, tmp_path), reference=FIXED, moving=MOVING)
    agree(warp_image(image(), again, FIXED).data, registration())


@pytest.mark.parametrize("name", sorted(FORMS.keys() - {"itk-h5"}))  # HDF5 notes the second in which it was written
def test_the_same_transform_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (written(name, tmp_path / folder).read_bytes() for folder in "ab")
    assert first == second


def test_a_results_folder_holds_both_ways(tmp_path: Path) -> None:
    write_itk(Transform((turn(1),)), tmp_path / "transform.h5")
    with pytest.raises(DataError, match=r"holds no inverse_transform\.h5"):
        read(tmp_path, inverse=True)
    write_itk(Transform((turn(2),)), tmp_path / "inverse_transform.h5")
    assert np.allclose(read(tmp_path).parts[0].matrix, turn(1).matrix)
    assert np.allclose(read(tmp_path, inverse=True).parts[0].matrix, turn(2).matrix)


def test_learn2regs_old_order_of_axes(tmp_path: Path) -> None:
    np.savez(tmp_path / "disp.npz", np.moveaxis(field().displacement, -1, 0))
    assert np.array_equal(read(tmp_path / "disp.npz", reference=FIXED).parts[0].displacement, field().displacement)
    cube = Grid((3, 3, 3), np.eye(4))
    array = np.arange(81, dtype=np.float32).reshape(3, 3, 3, 3)
    np.savez(tmp_path / "cube.npz", array)  # both orders fit: that of today's files is taken
    assert np.array_equal(read(tmp_path / "cube.npz", reference=cube).parts[0].displacement, array)


def itk_text(numbers: str, name: str = "AffineTransform_double_3_3") -> Callable[[Path], object]:
    head = f"#Insight Transform File V1.0\n#Transform 0\nTransform: {name}\n"
    text = f"{head}Parameters: {numbers}\nFixedParameters: 0 0 0\n"
    return lambda path: path.write_text(text)


def composite(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        write_itk(registration(), path)
        path.write_bytes(change(path.read_bytes()))

    return make


def holes(path: Path) -> None:
    displacement = field().displacement.copy()
    displacement[3, 4, 5] = np.nan
    write_itk(Transform((Field(displacement, FIXED),)), path)


def nifti(shape: tuple[int, ...], intent: int, name: str = "", value: float = 0.0) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        stored = nibabel.Nifti1Image(np.full(shape, value, np.float32), FIXED.affine)
        stored.header.set_intent(intent)
        stored.header["intent_name"] = name.encode()
        nibabel.save(stored, path)

    return make


BAD: dict[str, tuple[str, Callable[[Path], object]]] = {
    "missing.h5": ("does not exist", lambda path: None),
    "empty.h5": ("is empty", lambda path: path.write_bytes(b"")),
    "text.h5": ("not HDF5", lambda path: path.write_text("hello")),
    "bare.h5": ("no transform that ITK can read", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(90))),
    "cut.h5": ("truncated: it has 50000 bytes of", composite(lambda content: content[:50000])),
    "hurt.h5": ("can read: H5Dread failed", composite(lambda content: content[:2000] + b"\xff" * 300 + content[2300:])),
    "holes.h5": ("not finite", holes),
    "flat.mat": ("flattens space", lambda path: write_itk(Transform((Affine(np.diag([1.0, 1, 0, 1])),)), path)),
    "short.tfm": ("array size .3. is less", itk_text("1 0 0")),
    "foreign.tfm": ("instance of .Foo", itk_text("1 0 0", "Foo_double_3_3")),
    "text.tfm": ("no transform that ITK can read", lambda path: path.write_text("hello")),
    "text.mat": ("no transform that ITK can read", lambda path: path.write_text("hello")),
    "table.xlsx": ("no ending of a transform", lambda path: path.write_text("hello")),
    "plane.tfm": ("2 dimensions", lambda path: sitk.WriteTransform(sitk.Euler2DTransform(), str(path))),
    "image.nii.gz": ("no displacement field: it has the shape 4 x 5 x 6", nifti((4, 5, 6), 0)),
    "scalar.nii.gz": ("five axes and intent code 0", nifti((4, 5, 6, 1, 3), 0)),
    "two.nii.gz": ("no displacement field", nifti((4, 5, 6, 1, 2), 1007)),
    "time.nii.gz": ("no displacement field", nifti((4, 5, 6, 7), 0)),
    "spm.nii.gz": ("SPM", nifti((4, 5, 6, 1, 3), 1007, "Mapping")),
    "niftyreg.nii.gz": ("NiftyReg", nifti((4, 5, 6, 1, 3), 1007, "NREG_TRANS")),
    "nan.nii.gz": ("not finite", nifti((4, 5, 6, 1, 3), 1007, value=np.nan)),
    "shape.nii.gz": ("4 x 5 x 6 voxels, the fixed image has 17 x 22 x 14", nifti((4, 5, 6, 3), 0)),
    "page.nii.gz": ("a web page", lambda path: path.write_text("<html></html>")),
    "text.npz": ("no NumPy archive", lambda path: path.write_text("hello")),
    "two.npz": ("which is the field", lambda path: np.savez(path, a=np.zeros(3), b=np.zeros(3))),
    "flat.npz": ("array of shape", lambda path: np.savez(path, np.zeros((5, 5, 2)))),
    "objects.npz": ("no NumPy archive", lambda path: np.savez(path, np.array([{}], object), allow_pickle=True)),
    "other.npz": ("fixed image has", lambda path: np.savez(path, np.zeros((5, 6, 7, 3)))),
    "grey.nrrd": ("no displacement field", lambda path: sitk.WriteImage(FIXED.reference(), str(path))),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_transform_is_refused_in_a_sentence(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    match, make = BAD[name]
    make(tmp_path / name)
    with pytest.raises(DataError, match=match) as caught:
        read(tmp_path / name, reference=FIXED)
    assert capfd.readouterr() == ("", "")
    assert name in caught.value.problem
    assert caught.value.remedy
    assert "\n" not in caught.value.problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, form: str) -> None:
    path = written(form, tmp_path)
    path.chmod(0)
    with pytest.raises(DataError, match=path.name):
        read(path, reference=FIXED)


def test_one_array_needs_a_place(tmp_path: Path) -> None:
    np.savez(tmp_path / "disp.npz", np.zeros((4, 5, 6, 3)))
    with pytest.raises(DataError, match="where its voxels lie"):
        read(tmp_path / "disp.npz")


def test_a_file_of_one_affine_holds_no_field(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="affine map only"):
        write_itk(registration(), tmp_path / "t.tfm")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("form", "name"), [("fsl", "x.nii.gz"), ("itk-h5", "x.nii.gz"), ("voxel-npz", "x.h5")])
def test_forms_have_names_and_endings(form: str, name: str) -> None:
    with pytest.raises(ConfigError):
        require_form(form, Path(name))


@pytest.mark.parametrize("name", ["t.tfm", "t.mat"])
def test_an_affine_that_the_disk_had_no_room_for_is_told(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sitk, "WriteTransform", lambda transform, path: Path(path).touch())  # as ITK on a full disk
    with pytest.raises(SetupError, match="could not be written"):
        write_itk(Transform((turn(),)), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_is_told_and_left_clean(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for write in (
        lambda: write_itk(Transform((Affine(np.eye(4)),)), tmp_path / "file" / "t.h5"),
        lambda: write_displacement_nifti(Field(np.zeros((2, 2, 2, 3), np.float32), FIXED), tmp_path / "file" / "t.nii"),
        lambda: write_voxel_npz(field(), tmp_path / "file" / "t.npz"),
    ):
        with pytest.raises(SetupError, match="could not be written"):
            write()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
