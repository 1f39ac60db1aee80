import pytest

from medmamba import resources
from medmamba.errors import SetupError


@pytest.mark.parametrize(("name", "pattern"), [("datasets", "*.toml"), ("plans", "*.json")])
def test_data_is_found(name: str, pattern: str) -> None:
    assert list(resources.folder(name).glob(pattern))


def test_missing_folder_is_a_setup_error() -> None:
    with pytest.raises(SetupError, match="nothing_here"):
        resources.folder("nothing_here")
