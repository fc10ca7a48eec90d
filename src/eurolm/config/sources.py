"""YAML files and command-line overrides composed into one tree that remembers where every value came from.

YAML 1.2 through ruamel: the Latvian stopword `no` and the Estonian `on` stay strings, and every key knows its line.
Mappings merge, lists and scalars replace; a later file wins over the ones it extends, an override over all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from eurolm.config.shipped import shipped
from eurolm.errors import ConfigError

# Values that name files: made absolute by the place they are written in, so that a config works from anywhere.
PATH_KEY = re.compile(
    r"^(\w+\.use|corpus\.sources\.\d+\.paths\.\d+|corpus\.(opt_out\.\w+|duplicates\.earlier|forget)\.\d+"
    r"|corpus\.detection\.model|corpus\.decontamination\.files\.\d+\.path|tokenizer\.parity\.tuning"
    r"|report\.compare_tokenizers\.\d+)$"
)
PACKAGE_SCHEME = "package:"


@dataclass(frozen=True)
class Composed:
    """`tree`: plain dicts, lists and scalars. `origins`: dotted path → `file:line` or `override`."""

    tree: dict[str, Any]
    origins: dict[str, str]


def compose(path: Path, overrides: Sequence[str]) -> Composed:
    """Read `path`, what it extends, and `key.path=value` overrides. Raises ConfigError."""
    composed = Composed({}, {})
    _read_into(composed, path.resolve(), chain=())
    for override in overrides:
        _override(composed, override)
    return composed


def _read_into(composed: Composed, path: Path, chain: tuple[Path, ...]) -> None:
    if path in chain:
        raise ConfigError(f"{_shown(path)} extends itself: {' → '.join(_shown(p) for p in (*chain, path))}.")
    tree = _parse(path)
    extends = tree.get("extends", [])
    if not isinstance(extends, list) or not all(isinstance(item, str) for item in extends):
        raise ConfigError(f"extends = {extends!r} must be a list of file names. ({_shown(path)})")
    for name in extends:
        _read_into(composed, _find(name, path), (*chain, path))
    merge(composed, tree, path)


def _parse(path: Path) -> CommentedMap:
    try:
        tree = YAML(typ="rt").load(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"config file {_shown(path)} does not exist.") from None
    except IsADirectoryError:
        raise ConfigError(f"config file {_shown(path)} is a directory; name the YAML file in it.") from None
    except (YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{_shown(path)} is not valid YAML: {error}") from None
    if tree is None:
        return CommentedMap()
    if not isinstance(tree, CommentedMap):
        raise ConfigError(f"{_shown(path)} must hold a mapping (name: …, corpus: …), not a {type(tree).__name__}.")
    return tree


def _find(name: str, extending: Path) -> Path:
    beside, carried = extending.parent / name, shipped("configs") / name
    for candidate in (beside, carried):
        if candidate.is_file():
            return candidate.resolve()
    raise ConfigError(f"extends: {name} is neither beside {_shown(extending)} nor shipped with eurolm.")


def merge(composed: Composed, tree: CommentedMap, path: Path) -> None:
    """Lay `tree`, read from `path`, over what is composed so far."""
    _merge_mapping(composed.tree, tree, "", composed.origins, path)


def _merge_mapping(
    target: dict[str, Any], source: CommentedMap, prefix: str, origins: dict[str, str], path: Path
) -> None:
    for key, value in source.items():
        dotted = f"{prefix}{key}"
        here = f"{_shown(path)}:{source.lc.key(key)[0] + 1}"
        if isinstance(value, CommentedMap) and isinstance(target.get(str(key)), dict):
            origins[dotted] = here
            _merge_mapping(target[str(key)], value, dotted + ".", origins, path)
            continue
        for stale in [known for known in origins if known == dotted or known.startswith(dotted + ".")]:
            del origins[stale]
        target[str(key)] = _plain(value, dotted, origins, path, here)


def _plain(value: Any, dotted: str, origins: dict[str, str], path: Path, here: str) -> Any:
    """ruamel's containers as plain ones; notes the origin of every node; makes file names absolute."""
    origins[dotted] = here
    if isinstance(value, CommentedMap):
        return {
            str(key): _plain(item, f"{dotted}.{key}", origins, path, f"{_shown(path)}:{value.lc.key(key)[0] + 1}")
            for key, item in value.items()
        }
    if isinstance(value, CommentedSeq):
        return [
            _plain(item, f"{dotted}.{index}", origins, path, f"{_shown(path)}:{value.lc.item(index)[0] + 1}")
            for index, item in enumerate(value)
        ]
    return _located(_scalar(value), dotted, path.parent)


def _scalar(value: Any) -> Any:
    """ruamel's scalar wrappers (quoted strings, hex integers, timestamps) as builtins."""
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


def _located(value: Any, dotted: str, folder: Path) -> Any:
    if isinstance(value, str) and PATH_KEY.match(dotted) and not value.startswith(PACKAGE_SCHEME):
        return str(folder / Path(value).expanduser())
    return value


def _override(composed: Composed, override: str) -> None:
    dotted, equals, text = override.partition("=")
    if not equals or not re.fullmatch(r"\w[\w.-]*", dotted):
        raise ConfigError(f"override {override!r} is not of the form key.path=value.")
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ConfigError(f"the value of override {override!r} is not valid YAML: {error}") from None
    node: Any = composed.tree
    *parents, last = dotted.split(".")
    for depth, key in enumerate(parents):
        node = _child(node, key, ".".join(parents[: depth + 1]), override)
    if isinstance(node, list):
        _child(node, last, dotted, override)
        node[int(last)] = _override_value(value, dotted, composed.origins)
    else:
        node[last] = _override_value(value, dotted, composed.origins)


def _child(node: Any, key: str, dotted: str, override: str) -> Any:
    if isinstance(node, list):
        if not key.isdigit() or int(key) >= len(node):
            raise ConfigError(f"override {override!r}: {dotted} does not exist; the list has {len(node)} items.")
        return node[int(key)]
    child = node.setdefault(key, {}) if isinstance(node, dict) else None
    if not isinstance(child, (dict, list)):
        raise ConfigError(f"override {override!r}: {dotted} is a single value and has no keys below it.")
    return child


def _override_value(value: Any, dotted: str, origins: dict[str, str]) -> Any:
    for path, leaf in walk(value, dotted):
        origins[path] = "override"
        if path == dotted:
            value = _located(leaf, path, Path.cwd())
    if isinstance(value, list):
        return [_located(item, f"{dotted}.{index}", Path.cwd()) for index, item in enumerate(value)]
    return value


def walk(value: Any, dotted: str = "") -> Iterator[tuple[str, Any]]:
    """Every node of a tree with its dotted path, parents before children."""
    if dotted:
        yield dotted, value
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield from walk(item, f"{dotted}.{key}" if dotted else str(key))


def _shown(path: Path) -> str:
    """Relative to the working directory where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
