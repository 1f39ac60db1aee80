"""What tests share."""

from pathlib import Path

import pytest

from medmamba.runtime import share_cores

share_cores()  # before any test imports torch: a busy machine must not make the suite many times slower


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real sample data beside the checkout, where there is some."""
    folder = Path(__file__).parent.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data with real images beside the checkout")
    return folder
