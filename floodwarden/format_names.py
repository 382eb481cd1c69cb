"""The formats that files of requests come in, by the name `--format` takes; `formats` reads them."""

from __future__ import annotations

from typing import Final

FORMATS: Final = ("combined", "nginx", "common", "tsv", "jsonl", "arrow")
