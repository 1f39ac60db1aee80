import pytest

from medmamba.errors import ConfigError, DataError, MedMambaError, SetupError


def test_message_holds_problem_and_remedy() -> None:
    assert str(DataError("a.nii is damaged.", "Write it again.")) == "a.nii is damaged. Write it again."


def test_exit_codes_differ() -> None:
    assert len({kind.exit_code for kind in (MedMambaError, ConfigError, DataError, SetupError)}) == 4


def test_config_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="patch"):
        raise ConfigError("The patch is too small.")
