"""Which files the server's wheel holds: the three packages without what the client's wheel holds already."""

import tomllib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_TREE = Path(__file__).resolve().parent.parent.parent
_PROJECT = tomllib.loads((_TREE / "pyproject.toml").read_text())
_CLIENT = tuple(_PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"])


class Files(BuildHookInterface):
    """Called by hatchling before it builds."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name each file, and where it lies in the wheel."""
        for package in ("exchange", "partners", "indicators"):
            for path in sorted((_TREE / package).rglob("*")):
                name = path.relative_to(_TREE).as_posix()
                if path.is_file() and "__pycache__" not in path.parts and not name.startswith(_CLIENT):
                    build_data["force_include"][str(path)] = name
