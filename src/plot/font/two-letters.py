#!/usr/bin/env python3
"""Makes two-letters.ttf, for tests: blocks in the places of U+97F3 and U+697D, with fonttools 4.68 (pip install fonttools)."""
import pathlib

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen


def block(left, right):
    pen = TTGlyphPen(None)
    pen.moveTo((left, 0))
    for point in [(left, 800), (right, 800), (right, 0)]:
        pen.lineTo(point)
    pen.closePath()
    return pen.glyph()


font = FontBuilder(1000, isTTF=True)
font.setupGlyphOrder([".notdef", "a", "b"])
font.setupCharacterMap({0x97F3: "a", 0x697D: "b"})
font.setupGlyf({".notdef": block(100, 200), "a": block(100, 900), "b": block(300, 700)})
font.setupHorizontalMetrics({".notdef": (1000, 100), "a": (1000, 100), "b": (1000, 300)})
font.setupHorizontalHeader(ascent=800, descent=-200)
font.setupNameTable({"familyName": "Two Letters", "styleName": "Regular", "psName": "TwoLetters"})
font.setupOS2()
font.setupPost()
font.font["head"].created = font.font["head"].modified = 0
font.font.recalcTimestamp = False
font.save(pathlib.Path(__file__).with_suffix(".ttf"))
