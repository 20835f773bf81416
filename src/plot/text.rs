//! Letters: how wide a text is, and its pixels. The font is part of the program, so that pictures look the same anywhere.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};

/// The font `DejaVuSans`, reduced to Latin, Greek and Cyrillic by `font/subset.sh`. Other letters show as a box.
static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("font/DejaVuSans-subset.ttf")).expect("the font is part of the program")
});

/// What an SVG names as its font: the one above, else one of the same widths, else any.
pub(super) const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// Height of a capital or a digit, of the font's size.
pub(super) const CAP_HEIGHT: f64 = 0.729;

/// Width in pixels at a font size in pixels.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let mut end = 0.0;
    lay_out(text, size, &mut |_, _, after| end = after);
    f64::from(end)
}

/// Cuts the middle out of a text that is wider than `max_width`.
pub(super) fn fit(text: &str, size: f64, max_width: f64) -> String {
    if width(text, size) <= max_width {
        return text.into();
    }
    let letters: Vec<char> = text.chars().collect();
    let cut = |kept: usize| -> String {
        let (head, tail) = (&letters[..kept.div_ceil(2)], &letters[letters.len() - kept / 2..]);
        head.iter().chain(&['…']).chain(tail).collect()
    };
    let too_wide = |kept: &usize| width(&cut(*kept), size) > max_width;
    cut((0..letters.len()).rev().find(|kept| !too_wide(kept)).unwrap_or(0))
}

/// Replaces what cannot be drawn, and what XML does not allow: line ends and other control characters.
pub(super) fn clean(text: &str) -> String {
    let is_plain = |c: &char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if is_plain(&c) { c } else { '\u{fffd}' }).collect()
}

/// Hands over each pixel that a text touches, with the share that it covers, relative to the start of its baseline.
pub(super) fn rasterize(text: &str, size: f64, x_offset: f32, pixel: &mut impl FnMut(i32, i32, f32)) {
    lay_out(text, size, &mut |letter, x, _| {
        let glyph = FONT.glyph_id(letter).with_scale_and_position(scale(size), point(x + x_offset, 0.0));
        if let Some(outline) = FONT.outline_glyph(glyph) {
            let corner = outline.px_bounds().min;
            outline.draw(|x, y, share| pixel(corner.x as i32 + x as i32, corner.y as i32 + y as i32, share));
        }
    });
}

/// Places letters one after the other: `place(letter, x, x_after_it)`.
fn lay_out(text: &str, size: f64, place: &mut impl FnMut(char, f32, f32)) {
    let font = FONT.as_scaled(scale(size));
    let (mut x, mut last) = (0.0, None);
    for letter in text.chars() {
        let glyph = font.glyph_id(letter);
        x += last.map_or(0.0, |last| font.kern(last, glyph));
        let after = x + font.h_advance(glyph);
        place(letter, x, after);
        (x, last) = (after, Some(glyph));
    }
}

/// The scale at which one em is `size` pixels; the font's own scale counts from its highest ascender to its lowest
/// descender.
fn scale(size: f64) -> PxScale {
    let em = FONT.units_per_em().unwrap_or(1.0);
    PxScale::from(size as f32 * FONT.height_unscaled() / em)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_europe_are_drawn_and_others_show_as_a_box() {
        for letter in "A\u{e9}\u{df}\u{141}\u{151}\u{3a9}\u{436}\u{42f}0\u{2212}\u{2026}\u{266f}".chars() {
            assert_ne!(FONT.glyph_id(letter).0, 0, "{letter}");
        }
        let mut ink = 0.0;
        rasterize("音", 20.0, 0.0, &mut |_, _, share| ink += share);
        assert!(ink > 10.0, "a box of {ink} pixels");
    }

    #[test]
    fn a_long_text_is_cut_in_the_middle_to_fit() {
        let long = "a_very_long_name_of_a_recording_that_nobody_would_want_to_read.wav";
        let short = fit(long, 20.0, 300.0);
        assert!(short.starts_with("a_ver") && short.ends_with(".wav") && short.contains('…'), "{short}");
        assert!(width(&short, 20.0) <= 300.0);
        assert_eq!(fit("é音", 20.0, 0.0), "…");
    }

    #[test]
    fn digits_are_as_high_as_the_constant_says() {
        let (mut top, mut bottom) = (0, 0);
        rasterize("1", 1000.0, 0.0, &mut |_, y, share| {
            if share > 0.5 {
                (top, bottom) = (top.min(y), bottom.max(y));
            }
        });
        // 729 units of 1000; a pixel of rounding on either side.
        assert!((f64::from(-top) / 1000.0 - CAP_HEIGHT).abs() < 0.002, "{top}");
        assert!(bottom <= 0);
    }
}
