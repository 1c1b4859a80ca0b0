"""The README as a package index shows it, where nothing lies beside it.

An index knows neither the project's folders nor embedded pictures: a relative picture would show as
a broken one and a relative link lead nowhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_PICTURE = re.compile(r"^!\[[^\]]*\]\((?!\w+://)[^)]*\)\n\n?", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\((?!\w+://|#)[^)]*\)")


class IndexReadme(MetadataHookInterface):
    """Sets `readme`, which pyproject.toml calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Take the README without its relative pictures, and relative links as plain words."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        plain = _LINK.sub(r"\1", _PICTURE.sub("", text))
        metadata["readme"] = {"content-type": "text/markdown", "text": plain}
