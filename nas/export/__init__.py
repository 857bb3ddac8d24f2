"""A finished model in forms that others can load, each checked, with a model card."""

from typing import TYPE_CHECKING, Any

from nas.export.report import CARD, Exported, ExportedFile, FormName, Unavailable, WrongLogits

if TYPE_CHECKING:
    from nas.export.folder import export

__all__ = ["CARD", "Exported", "ExportedFile", "FormName", "Unavailable", "WrongLogits", "export"]


def __getattr__(name: str) -> Any:
    if name != "export":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nas.export.folder import export

    return export
