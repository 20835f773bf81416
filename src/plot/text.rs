//! Letters: how wide a text is, and its pixels. The font is part of the program, so that pictures look the same anywhere;
//! letters that it lacks come from a font of the system.

use std::sync::LazyLock;

use ab_glyph::{Font, FontArc, FontRef, PxScale, ScaleFont, point};

use super::fallback;

/// The font `DejaVuSans`, reduced to Latin, Greek and Cyrillic by `font/subset.sh`.
static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("font/DejaVuSans-subset.ttf")).expect("the font is part of the program")
});

/// What an SVG names as its font: the one above, else one of the same widths, else any.
pub(super) const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// Height of a lower-case x, of the font's size.
pub(super) const X_HEIGHT: f64 = 0.547;
/// Height of a capital or a digit, of the font's size.
pub(super) const CAP_HEIGHT: f64 = 0.729;

/// Width in pixels at a font size in pixels.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let mut end = 0.0;
    lay_out(text, size, &mut |_, _, _, after| end = after);
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

/// Replaces letters that no font here has by escapes: `\u{97f3}`.
pub(super) fn drawable(text: &str) -> String {
    let mut drawable = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            _ if is_own(letter) || fallback::font(letter).is_some() => drawable.push(letter),
            _ if letter.is_whitespace() => drawable.push(' '),
            _ => drawable.extend(letter.escape_unicode()),
        }
    }
    drawable
}

/// The letters that [`drawable`] replaces, each once.
pub(super) fn undrawable(text: &str) -> String {
    let mut letters: Vec<char> = clean(text).chars().filter(|c| !is_own(*c) && !c.is_whitespace()).collect();
    letters.sort_unstable();
    letters.dedup();
    letters.into_iter().filter(|letter| fallback::font(*letter).is_none()).collect()
}

/// Whether the program's own font has a letter.
fn is_own(letter: char) -> bool {
    FONT.glyph_id(letter).0 != 0
}

/// Hands over each pixel that a text touches, with the share that it covers, relative to the start of its baseline.
pub(super) fn rasterize(text: &str, size: f64, x_offset: f32, pixel: &mut impl FnMut(i32, i32, f32)) {
    lay_out(text, size, &mut |letter, other, x, _| match other {
        Some(font) => draw(font, letter, size, x + x_offset, pixel),
        None => draw(&*FONT, letter, size, x + x_offset, pixel),
    });
}

fn draw(font: &impl Font, letter: char, size: f64, x: f32, pixel: &mut impl FnMut(i32, i32, f32)) {
    let glyph = font.glyph_id(letter).with_scale_and_position(scale(font, size), point(x, 0.0));
    if let Some(outline) = font.outline_glyph(glyph) {
        let corner = outline.px_bounds().min;
        outline.draw(|x, y, share| pixel(corner.x as i32 + x as i32, corner.y as i32 + y as i32, share));
    }
}

/// Places letters one after the other: `place(letter, font, x, x_after_it)`, with the font if it is not the program's own.
fn lay_out(text: &str, size: f64, place: &mut impl FnMut(char, Option<&FontArc>, f32, f32)) {
    let own = FONT.as_scaled(scale(&*FONT, size));
    let (mut x, mut last) = (0.0, None);
    for letter in text.chars() {
        let glyph = own.glyph_id(letter);
        let other = if is_own(letter) { None } else { fallback::font(letter) };
        x += last.map_or(0.0, |last| own.kern(last, glyph));
        let width = match &other {
            Some(font) => font.as_scaled(scale(font, size)).h_advance(font.glyph_id(letter)),
            None if is_own(letter) => own.h_advance(glyph),
            // Whoever shows an SVG has some font for it; most such letters are squares.
            None => size as f32,
        };
        place(letter, other.as_ref(), x, x + width);
        (x, last) = (x + width, other.is_none().then_some(glyph));
    }
}

/// The scale at which one em is `size` pixels; a font's own scale counts from its highest ascender to its lowest descender.
fn scale(font: &impl Font, size: f64) -> PxScale {
    let em = font.units_per_em().unwrap_or(1.0);
    PxScale::from(size as f32 * font.height_unscaled() / em)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_drawn_or_become_escapes() {
        let own = "A\u{e9}\u{df}\u{141}\u{151}\u{3a9}\u{436}\u{42f}0\u{2212}\u{2026}\u{266f}\u{fffd}";
        assert!(own.chars().all(is_own));
        assert_eq!((drawable(own), undrawable(own)), (own.to_owned(), String::new()));
        // Some systems have a font for the first, none for the second: it is no letter, and never will be.
        for (text, escaped) in [("音", "\\u{97f3}"), ("\u{3fffe}", "\\u{3fffe}")] {
            let is_there = undrawable(text).is_empty();
            assert_eq!(drawable(&format!("a {text}.wav")), format!("a {}.wav", if is_there { text } else { escaped }));
        }
        assert_eq!(undrawable("b\u{3fffe}a\u{3fffe}\n\u{3000}"), "\u{3fffe}");
        assert_eq!(drawable("\u{5e9}\u{5dc}"), "\\u{5e9}\\u{5dc}", "Hebrew runs from the right");
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
