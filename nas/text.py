"""Text from files, data sets and other machines, made fit to be shown."""

__all__ = ["printable"]


def printable(text: object) -> str:
    """`text` on one line without control signs: what comes from a file may move a cursor or hide what it says."""
    return "".join(sign if sign.isprintable() else " " if sign.isspace() else "?" for sign in str(text))
