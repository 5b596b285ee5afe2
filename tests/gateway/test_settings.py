"""The environment as settings: defaults, every malformed variable named, keys made once, secrets never shown."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import settings
from gateway.settings import VARIABLES, Settings, SettingsError

KEYS = {"SECRET_KEY": "s" * 40, "ADMIN_TOKEN": "a" * 40}


def test_an_empty_environment_is_a_local_start(tmp_path: Path) -> None:
    read = settings.read({}, var=tmp_path)
    assert (read.port, read.web_concurrency, read.worker_processes, read.worker_threads) == (8000, 1, 1, 8)
    assert read.database_url == "sqlite:///var/gateway.db"
    assert read.redis_url == f"unix://{tmp_path / 'valkey.sock'}"
    assert read.public_url == "http://localhost:8000"
    assert (read.mplus_poll_seconds, read.quickbooks_cdc_seconds, read.retention_days) == (30, 900, 30)
    assert not read.is_postgres


def test_local_keys_are_made_once_and_kept_for_us_alone(tmp_path: Path) -> None:
    first, second = settings.read({}, var=tmp_path), settings.read({}, var=tmp_path)
    assert (first.admin_token, first.secret_keys) == (second.admin_token, second.secret_keys)
    assert first.admin_token != first.secret_keys[0]
    for name in ("admin_token", "secret_key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_every_variable_has_a_name_of_its_own_and_a_meaning() -> None:
    variables = list(VARIABLES.values())
    assert list(VARIABLES) == [field.name for field in dataclasses.fields(Settings)]
    assert len({variable.name for variable in variables}) == len(variables)
    assert all(variable.meaning for variable in variables)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_73_an_address_as_a_paas_hands_it_out_gets_its_driver(scheme: str, tmp_path: Path) -> None:
    url = f"{scheme}://u:p%40@db.example:5432/x?sslmode=require"
    read = settings.read(KEYS | {"DATABASE_URL": url}, var=tmp_path)
    assert read.database_url == "postgresql+psycopg://u:p%40@db.example:5432/x?sslmode=require"
    assert read.is_postgres


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ADMIN_TOKEN"])
def test_with_postgresql_keys_are_not_invented(missing: str, tmp_path: Path) -> None:
    given = {name: value for name, value in KEYS.items() if name != missing}
    with pytest.raises(SettingsError, match=f"^{missing}: should be set"):
        settings.read(given | {"DATABASE_URL": "postgres://u@db.example/x"}, var=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "８０００"),
        ("WORKER_THREADS", "-1"),
        ("DATABASE_URL", "mysql://x/y"),
        ("DATABASE_URL", "postgres://"),
        ("REDIS_URL", "http://cache"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_TLS_INSECURE", "maybe"),
        ("PUBLIC_URL", "shop.example"),
        ("ADMIN_TOKEN", "short"),
        ("SECRET_KEY", f"{'n' * 40},short"),
        ("QUICKBOOKS_ENVIRONMENT", "test"),
        ("QUICKBOOKS_API_URL", "ftp://x"),
        ("MPLUS_POLL_SECONDS", "0"),
        ("MPLUS_WEBHOOK_SECRET", "not base64!!"),
        ("MPLUS_WEBHOOK_SECRET", "eFc5HrxwLbONJ+EYXrbHB+a9HueYIQzotgKRLRVAfx0=,half!"),
        ("RETENTION_DAYS", "1.5"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("SMTP_URL", "mail.example"),
    ],
)
def test_73_a_malformed_variable_is_named_in_one_line(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        settings.read({name: value}, var=tmp_path)
    assert refused.value.name == name
    assert str(refused.value).startswith(f"{name}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"MPLUS_URL": "https://till.example:1"}, "MPLUS_IDENT"),
        ({"MPLUS_URL": "https://till.example:1", "MPLUS_IDENT": "x"}, "MPLUS_SECRET"),
        ({"QUICKBOOKS_REFRESH_TOKEN": "x"}, "QUICKBOOKS_REALM_ID"),
        ({"MPLUS_WEBHOOK_SECRET": "eA=="}, "MPLUS_WEBHOOK_SUBSCRIPTION_ID"),
    ],
)
def test_what_only_works_together_is_asked_for_together(given: dict[str, str], named: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"^{named}: "):
        settings.read(given, var=tmp_path)


def test_lists_are_split_in_the_order_given(tmp_path: Path) -> None:
    read = settings.read({"QUICKBOOKS_WEBHOOK_VERIFIER": " new , old ,"}, var=tmp_path)
    assert read.quickbooks_verifiers == ("new", "old")


def test_the_sandbox_company_lives_at_another_address(tmp_path: Path) -> None:
    assert settings.read({"QUICKBOOKS_ENVIRONMENT": "sandbox"}, var=tmp_path).quickbooks_api_url.startswith(
        "https://sandbox-"
    )
    assert not settings.read({}, var=tmp_path).quickbooks_api_url.startswith("https://sandbox-")


SIGN_ON = {"OIDC_ISSUER": "https://login.example", "OIDC_CLIENT_ID": "kassabridge", "OIDC_CLIENT_SECRET": "a secret"}


@pytest.mark.parametrize("missing", [*SIGN_ON, "OIDC_CLIENT_ID and OIDC_CLIENT_SECRET"])
def test_half_a_set_up_of_single_sign_on_is_refused(missing: str, tmp_path: Path) -> None:
    given = {name: value for name, value in SIGN_ON.items() if name not in missing.split(" and ")}
    with pytest.raises(SettingsError, match=f"^{missing}: should be set when {next(iter(given))} is$"):
        settings.read(given, var=tmp_path)
    with pytest.raises(SettingsError, match=r"^OIDC_ISSUER: should begin with https://"):
        settings.read(SIGN_ON | {"OIDC_ISSUER": "http://8.8.8.8"}, var=tmp_path)


SECRETS = [field for field, variable in VARIABLES.items() if variable.secret]
VALUES = {
    "SENTRY_DSN": "https://marked-{}@sentry.example/1",
    "SMTP_URL": "smtp://u:marked-{}@mail.example",
    "MPLUS_WEBHOOK_SECRET": "marked{}markedsecretmarkedsecret",
    "ALERT_WEBHOOK_SECRET": "whsec_marked{}markedsecretmarkedsecret",
}


@pytest.mark.parametrize("field", SECRETS)
def test_settings_never_show_a_secret(field: str, tmp_path: Path) -> None:
    name = VARIABLES[field].name
    value = VALUES.get(name, "https://marked-{}-of-forty-characters-or-so").format("secret")
    together = {"QUICKBOOKS_REALM_ID": "1", "MPLUS_WEBHOOK_SUBSCRIPTION_ID": "1", **SIGN_ON}
    read = settings.read(together | {name: value}, var=tmp_path)
    assert "marked" in str(getattr(read, field))
    assert "marked" not in f"{read!r} {read}"


@given(value=st.text(min_size=1).filter(lambda text: text.strip() and not text.strip().isdigit()))
def test_any_text_that_is_no_number_is_refused_plainly(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^PORT: "):
        settings.read(KEYS | {"PORT": value})


@pytest.mark.parametrize("platform", settings.WIPED_DISKS)
def test_74_where_the_disk_is_ephemeral_a_database_has_to_be_named(platform: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL: .*wiped"):
        settings.read({platform: "x"}, var=tmp_path)
    url = f"sqlite:///{tmp_path}/gateway.db"
    assert settings.read({platform: "x", "DATABASE_URL": url}, var=tmp_path).database_url == url


def test_a_database_below_a_folder_that_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"^DATABASE_URL: .*there is no {tmp_path}/dta, or no way in$"):
        settings.read(KEYS | {"DATABASE_URL": f"sqlite:///{tmp_path}/dta/var/gateway.db"}, var=tmp_path)
    for path in (f"{tmp_path}/var/gateway.db", "made/gateway.db"):
        assert settings.read(KEYS | {"DATABASE_URL": f"sqlite:///{path}"}, var=tmp_path)
