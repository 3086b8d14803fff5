"""Settings from a TOML file and back to one, and from the values that a command line gives."""

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from caffe_filler.errors import InvalidArgument
from caffe_filler.nearest import did_you_mean, nearest
from filler_server.api.setting import ENVIRONMENT, Setting, settings_of
from filler_server.service.settings import Settings

ALL: tuple[Setting, ...] = tuple(settings_of(Settings))
"""Every setting of a server."""

_LARGEST = 1 << 20
"""Bytes of a file of settings at most."""


def read_file(path: Path) -> dict[str, Any]:
    """Return the settings of a TOML file by `Setting.parameter`.

    Raises:
        InvalidArgument: the file cannot be read, is not TOML, or has a key or a value that no setting has.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise InvalidArgument(f"{path}: a file of settings has at most {_LARGEST} bytes")
        tables = tomllib.loads(content.decode())
    except OSError as error:
        raise InvalidArgument(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{path}: {error}") from None
    known = {entry.key: entry for entry in ALL}
    sections = {entry.section for entry in ALL if entry.section}
    found: dict[str, Any] = {}
    for name, value in tables.items():
        inner = {f"{name}.{key}": entry for key, entry in value.items()} if isinstance(value, dict) else {name: value}
        if isinstance(value, dict) and name not in sections:
            raise InvalidArgument(f"{path}: no such table{did_you_mean(nearest(name, sections))}. Received: [{name}]")
        for key, entry in inner.items():
            if key not in known:
                raise InvalidArgument(f"{path}: no such key{did_you_mean(nearest(key, known))}. Received: {key}")
            setting = known[key]
            found[setting.parameter] = setting.check(entry, f"{path}: {key}")
    return found


def check_environment(other: Iterable[str]) -> None:
    """Make sure that every environment variable that looks like a setting is one, or one of `other`.

    Raises:
        InvalidArgument: one is not.
    """
    known = {*(entry.variable for entry in ALL), *other}
    for name in sorted(os.environ):
        if name.startswith(ENVIRONMENT) and name not in known:
            hint = did_you_mean(nearest(name, known))
            raise InvalidArgument(f"no such setting in the environment{hint}. Received: {name}")


def build(values: Mapping[str, Any]) -> Settings:
    """Return the settings that have these values by `Setting.parameter`, and defaults otherwise.

    Raises:
        InvalidArgument: a value has another type or is out of range, or two do not go together.
    """
    parts: dict[str, dict[str, Any]] = {}
    for entry in ALL:
        if entry.parameter in values:
            parts.setdefault(entry.section, {})[entry.name] = values[entry.parameter]
    hints = get_type_hints(Settings)
    sections = {
        field.name: hints[field.name](**parts.get(field.name, {}))
        for field in fields(Settings)
        if is_dataclass(hints[field.name])
    }
    return Settings(**parts.get("", {}), **sections)


def to_toml(settings: Settings) -> str:
    """Return settings as a file that `read_file` reads: every key, with what it means; those not set as comments.

    Secrets are not among them: settings name their files.
    """
    import tomli_w

    lines: list[str] = []
    section = ""
    for entry in ALL:
        if entry.section != section:
            section = entry.section
            lines += [f"[{section}]", ""]
        holder = getattr(settings, entry.section) if entry.section else settings
        value = getattr(holder, entry.name)
        lines.append(f"# {entry.text}")
        if value is None:
            lines += [f"# {entry.name} =", ""]
            continue
        if entry.many:
            value = list(value)
        lines += [tomli_w.dumps({entry.name: str(value) if isinstance(value, Path) else value})]
    return "\n".join(lines)
