"""The environment of the simulators: defaults that work, and refusals that name the variable."""

from __future__ import annotations

import pytest

from sandbox.settings import SettingsError, read


def test_an_empty_environment_is_enough() -> None:
    settings = read({})
    assert (settings.quickbooks_port, settings.mplus_port) == (8100, 8200)
    assert settings.trade
    assert settings.pace is None
    assert str(settings.state) == "var/sandbox"
    assert settings.quickbooks_webhook_url == settings.mplus_webhook_url == ""


def test_an_empty_variable_counts_as_absent() -> None:
    assert read({"SANDBOX_QUICKBOOKS_PORT": " ", "SANDBOX_SEED": ""}) == read({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SANDBOX_QUICKBOOKS_PORT", "70000"),
        ("SANDBOX_MPLUS_PORT", "http"),
        ("SANDBOX_REALM_ID", "my shop"),
        ("SANDBOX_QUICKBOOKS_WEBHOOK_URL", "localhost:8000/webhooks"),
        ("SANDBOX_MPLUS_WEBHOOK_URL", "ftp://localhost"),
        ("SANDBOX_WEBHOOK_SECRET", "not base64!"),
        ("SANDBOX_TRADE", "yes"),
        ("SANDBOX_PACE", "0"),
        ("SANDBOX_PACE", "fast"),
    ],
)
def test_a_refusal_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} should be "):
        read({name: value})


def test_settings_never_show_a_secret() -> None:
    shown = repr(read({"SANDBOX_CLIENT_SECRET": "hush", "SANDBOX_REFRESH_TOKEN": "hush", "SANDBOX_VERIFIER": "hush"}))
    assert "hush" not in shown
