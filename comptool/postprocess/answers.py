"""Class counts as aligned text, the way a person compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SHOWN_CLASSES = 40


def count_table(classes: Sequence[str], columns: Mapping[str, Sequence[int | str]]) -> str:
    """One line per class, one right-aligned column per count, and a line with the sums."""
    numbers = {title: values for title, values in columns.items() if _is_count(values)}
    rows = [(name, *values) for name, *values in zip(classes, *columns.values(), strict=True)]
    total = ("sum", *(sum(map(int, v)) if t in numbers else "" for t, v in columns.items()))
    kept = _most_changed(list(numbers.values()), len(rows))
    lines = [("class", *columns), *(rows[index] for index in kept), total]
    widths = [max(len(str(line[place])) for line in lines) for place in range(len(lines[0]))]
    text = [
        "  ".join([f"{line[0]!s:<{widths[0]}}", *map(_right, line[1:], widths[1:])]).rstrip()
        for line in lines
    ]
    if len(kept) < len(rows):
        text.append(f"({len(rows) - len(kept)} classes that changed less are not shown)")
    return "\n".join(text)


def _is_count(values: Sequence[int | str]) -> bool:
    return not any(isinstance(value, str) for value in values)


def _right(value: object, width: int) -> str:
    return f"{value!s:>{width}}"


def _most_changed(counts: Sequence[Sequence[int | str]], num_classes: int) -> list[int]:
    if num_classes <= SHOWN_CLASSES or not counts:
        return list(range(num_classes))
    change = [abs(int(a) - int(b)) for a, b in zip(counts[0], counts[-1], strict=True)]
    order = sorted(range(num_classes), key=lambda index: (-change[index], index))
    return sorted(order[:SHOWN_CLASSES])
