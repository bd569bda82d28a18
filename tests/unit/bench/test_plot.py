"""The plot has a panel for each threshold and a curve for each method, and says so when there is none to draw."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

import pytest

from tests.bench.plot import plot
from tests.bench.rows import Place, Row

SVG = "{http://www.w3.org/2000/svg}"


def rows() -> list[Row]:
    return [
        Row("s", f"recall, {size}", size / 1000, "ms", "the <peer>", size / 10, **Place(patterns=size, threshold=t))
        for t in (0.1, 0.6)
        for size in (1_000, 10_000, 100_000)
    ]


def test_every_method_is_a_curve_in_every_panel() -> None:
    drawn = Xml.fromstring(plot([*rows(), Row("s", "elsewhere", 1.0, "s")], "a title"))  # noqa: S314 - our own text
    curves = drawn.findall(f"{SVG}polyline")
    words = [text.text for text in drawn.findall(f"{SVG}text")]
    assert len(curves) == 4
    assert all(curve.get("points", "").count(",") == 3 for curve in curves)
    assert {"t = 0.1", "t = 0.6", "KATO, recall", "the <peer>", "a title", "100,000"} <= set(words)
    xs = [float(place.split(",")[0]) for curve in curves for place in curve.get("points", "").split()]
    assert 0 < min(xs) < max(xs) < float(drawn.get("width", 0))


def test_without_a_curve_there_is_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="no row of this suite stands on a curve"):
        plot([Row("s", "alone", 1.0, "ms")], "a title")
