"""A TOML file of settings, read into a typed model, with errors that an administrator can act on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
import difflib
from pathlib import Path
import ssl
import tomllib
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails

from eft.domain.errors import UnsafeSetting


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: in which file, at which key (dotted, empty for the file itself), what, and what to do about it."""

    file: Path
    key: str
    wrong: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else str(self.file)
        return f"{where}: {self.wrong} {self.remedy}"


class SettingInvalid(Exception):
    """Settings that cannot be used. Carries every problem found, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Section(BaseModel):
    """A table of settings: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
"""A TCP port."""


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    assert info.context is not None, "settings are read by read()"
    file: Path = info.context["file"]
    return file.parent / path.expanduser()


LocalPath = Annotated[Path, AfterValidator(_beside_the_file)]
"""A path; a relative one counts from the directory of the file that names it."""


def file_at(key: str, path: Path) -> Path:
    """`path`, which the setting `key` names, once it was seen to be a file that can be read. Raises UnsafeSetting."""
    try:
        if path.is_dir():
            raise UnsafeSetting(f"{key}: {path} is a directory.", "Name a file in it.")
        path.open("rb").close()
    except FileNotFoundError:
        raise UnsafeSetting(f"{key}: there is no file {path}.", "Create it, or correct the setting.") from None
    except OSError as error:
        raise UnsafeSetting(
            f"{key}: the file {path} cannot be read ({error.strerror}).", "Correct its permissions, or the setting."
        ) from None
    return path


def text_at(key: str, path: Path) -> str:
    """What stands in such a file, without the white space around it. Raises UnsafeSetting."""
    try:
        return file_at(key, path).read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise UnsafeSetting(f"{key}: the file {path} is not text.", "Put the right file there, or correct the setting.") from None


def authorities_at(key: str, path: Path | None) -> ssl.SSLContext:
    """Trust in the authorities of such a file, in the machine's where there is no path. Raises UnsafeSetting."""
    try:
        return ssl.create_default_context(cafile=str(file_at(key, path)) if path else None)
    except ssl.SSLError:
        raise UnsafeSetting(
            f"{key}: the file {path} has no certificate that can be used.", "Put the authorities there, in PEM."
        ) from None


S = TypeVar("S", bound=Section)


def read(file: Path, model: type[S]) -> S:
    """The settings in `file`. Raises SettingInvalid."""
    file = file.absolute()
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingInvalid([Problem(file, "", "The file does not exist.", "Correct the path, or create it.")]) from None
    except OSError as error:
        raise SettingInvalid(
            [Problem(file, "", f"The file cannot be read ({error.strerror}).", "Correct its permissions.")]
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingInvalid([Problem(file, "", f"This is not TOML: {error}.", "Correct the line it names.")]) from None
    try:
        return model.model_validate(table, context={"file": file})
    except ValidationError as error:
        raise SettingInvalid(_problem(file, model, table, details) for details in error.errors()) from None


def _problem(file: Path, model: type[Section], table: Mapping[str, Any], details: ErrorDetails) -> Problem:
    key = ".".join(str(part) for part in details["loc"])
    bounds = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            return Problem(file, key, "There is no such setting.", _nearest(model, details["loc"]))
        case "missing":
            return Problem(file, key, "This setting is missing.", _describe(model, details["loc"]))
        case "greater_than_equal" | "greater_than":
            return Problem(
                file, key, f"{details['input']} is too small.", f"Write at least {bounds.get('ge', bounds.get('gt'))}."
            )
        case "less_than_equal" | "less_than":
            return Problem(file, key, f"{details['input']} is too large.", f"Write at most {bounds.get('le', bounds.get('lt'))}.")
        case "value_error":
            wrong, _, remedy = str(bounds["error"]).partition(" | ")
            return Problem(file, key, wrong, remedy)
        case _:
            return Problem(file, key, f"{details['msg'].removeprefix('Input ').capitalize()}.", _describe(model, details["loc"]))


def wrong(what: str, remedy: str) -> ValueError:
    """What a validator raises: `what` is wrong, and the remedy, a sentence each."""
    return ValueError(f"{what} | {remedy}")


def _section_at(model: type[Section], path: tuple[int | str, ...]) -> type[Section]:
    section = model
    for part in path:
        field = section.model_fields.get(str(part))
        if field is None:
            break
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Section):
                section = kind
    return section


def _nearest(model: type[Section], path: tuple[int | str, ...]) -> str:
    """Names the known setting most like the unknown one: of its own section first, else of any."""
    unknown = str(path[-1])
    own = {".".join(map(str, (*path[:-1], name))): name for name in _section_at(model, path[:-1]).model_fields}
    near = difflib.get_close_matches(unknown, own.values(), n=1, cutoff=0.6)
    if near:
        return f"Did you mean {next(key for key, name in own.items() if name == near[0])}?"
    everywhere = keys_of(model)
    moved = [key for key in everywhere if key.rpartition(".")[2] == unknown]
    near = moved or difflib.get_close_matches(".".join(map(str, path)), everywhere, n=1, cutoff=0)
    return f"Did you mean {near[0]}?"


def keys_of(model: type[Section], prefix: str = "") -> list[str]:
    """Every setting of `model`, dotted, those of its sections included and the sections themselves left out."""
    keys: list[str] = []
    for name in model.model_fields:
        section = _section_at(model, (name,))
        keys += [prefix + name] if section is model else keys_of(section, f"{prefix}{name}.")
    return keys


def _describe(model: type[Section], path: tuple[int | str, ...]) -> str:
    named = tuple(part for part in path if isinstance(part, str))
    field = _section_at(model, named[:-1]).model_fields.get(named[-1]) if named else None
    return f"Write {field.description}." if field and field.description else "docs/settings.md says what it takes."
