//! A sheet of paper: marks in pixels, written as PNG or SVG. The only file that knows plotters.

use std::io;

use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, RGBColor, ShapeStyle, TextStyle};

use super::text;

/// Red, green, blue.
pub(super) type Rgb = [u8; 3];

/// What is drawn, in the order of drawing, but images lie under everything and text over everything.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Page {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) marks: Vec<Mark>,
}

/// One thing on a page. Coordinates are pixels from the upper left corner of the page.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mark {
    /// A filled rectangle.
    Rect { x: f64, y: f64, width: f64, height: f64, color: Rgb },
    /// A line through points.
    Curve { points: Vec<(f64, f64)>, width: f64, color: Rgb },
    /// The area between a horizontal line and a curve that has one value for each pixel from `x` on.
    Area { x: f64, base: f64, tops: Vec<f64>, color: Rgb },
    /// Pixels, row by row.
    Image { x: u32, y: u32, width: u32, height: u32, rgb: Vec<u8> },
    /// One line of text. `(x, y)` is the place of its `align` on its baseline.
    Text { text: String, x: f64, y: f64, size: f64, align: Align, direction: Direction, color: Rgb },
}

/// Which part of a text its place names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Start,
    Middle,
    End,
}

/// Where a text runs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Right,
    Up,
}

/// Everything but text is drawn on a grid this many times finer: plotters counts in whole pixels and leaves the edges
/// of areas rough.
const FINE: u32 = 2;

/// plotters writes a font's size divided by this into an SVG.
const SVG_SIZE: f64 = 1.24;

impl Page {
    /// The page as the bytes of a PNG file.
    pub(super) fn png(&self) -> io::Result<Vec<u8>> {
        let (width, height) = (self.width as usize, self.height as usize);
        let fine = FINE as usize;
        let mut fine_rgb = vec![255; width * height * fine * fine * 3];
        {
            let mut backend = BitMapBackend::with_buffer(&mut fine_rgb, (self.width * FINE, self.height * FINE));
            let is_image = |mark: &&Mark| matches!(mark, Mark::Image { .. });
            for mark in self.marks.iter().filter(is_image).chain(self.marks.iter().filter(|mark| !is_image(mark))) {
                draw_on_bitmap(mark, &mut backend)?;
            }
            backend.present().map_err(failed)?;
        }
        let mut rgb = Vec::with_capacity(width * height * 3);
        for row in fine_rgb.chunks(width * fine * 3 * fine) {
            let at = |y: usize, x: usize| u32::from(row[y * width * fine * 3 + x]);
            for x in 0..width {
                rgb.extend((0..3).map(|c| {
                    let (left, right) = (x * fine * 3 + c, (x * fine + 1) * 3 + c);
                    ((at(0, left) + at(0, right) + at(1, left) + at(1, right) + 2) / 4) as u8
                }));
            }
        }
        for mark in &self.marks {
            self.write_text(mark, &mut rgb);
        }
        png_bytes(self.width, self.height, &rgb)
    }

    /// The page as the text of an SVG file; text stays text, and images are embedded as PNG.
    pub(super) fn svg(&self) -> io::Result<Vec<u8>> {
        let (width, height) = (self.width * FINE, self.height * FINE);
        let mut drawn = String::new();
        {
            let mut backend = SVGBackend::with_string(&mut drawn, (width, height));
            for mark in &self.marks {
                draw_on_svg(mark, &mut backend)?;
            }
            backend.present().map_err(failed)?;
        }
        // plotters' first line is the `<svg>` tag, whose size is that of the fine grid; and its own images would have
        // a media type (`data:png`) that is none.
        let (_, marks) = drawn.split_once('\n').unwrap_or_default();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {width} {height}\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n",
            self.width, self.height
        );
        for mark in &self.marks {
            if let Mark::Image { x, y, width, height, rgb } = mark {
                svg += &format!(
                    "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" href=\"data:image/png;base64,{}\"/>\n",
                    x * FINE,
                    y * FINE,
                    width * FINE,
                    height * FINE,
                    base64(&png_bytes(*width, *height, rgb)?)
                );
            }
        }
        Ok((svg + marks).into_bytes())
    }

    /// Blends a text into finished pixels.
    fn write_text(&self, mark: &Mark, rgb: &mut [u8]) {
        let Mark::Text { text, x, y, size, align, direction, color } = mark else { return };
        let back = text::width(text, *size)
            * match align {
                Align::Start => 0.0,
                Align::Middle => 0.5,
                Align::End => 1.0,
            };
        // The baseline lies on a whole pixel, so that letters are sharp; along it they lie where they belong.
        let (along, across) = match direction {
            Direction::Right => (x - back, y.round()),
            Direction::Up => (-(y + back), x.round()),
        };
        text::rasterize(text, *size, along as f32, &mut |dx, dy, share| {
            let (x, y) = match direction {
                Direction::Right => (i64::from(dx), across as i64 + i64::from(dy)),
                Direction::Up => (across as i64 + i64::from(dy), -1 - i64::from(dx)),
            };
            if !(0..i64::from(self.width)).contains(&x) || !(0..i64::from(self.height)).contains(&y) {
                return;
            }
            let start = (y as usize * self.width as usize + x as usize) * 3;
            for (under, over) in rgb[start..start + 3].iter_mut().zip(color) {
                let (from, to) = (f32::from(*under), f32::from(*over));
                *under = (from + share.clamp(0.0, 1.0) * (to - from)).round() as u8;
            }
        });
    }
}

fn draw_on_bitmap<B: DrawingBackend>(mark: &Mark, backend: &mut B) -> io::Result<()> {
    match mark {
        Mark::Area { x, base, tops, color } => {
            // As columns: plotters fills a polygon of many points with gaps.
            for (i, top) in columns_of(tops).enumerate() {
                let (column, top, base) = (fine(*x) + i as i32, fine(top), fine(*base));
                if top < base {
                    backend.draw_rect((column, top), (column + 1, base), &rgb_color(*color), true).map_err(failed)?;
                }
            }
            Ok(())
        }
        Mark::Curve { points, width, color } => {
            let stroke = ShapeStyle::from(rgb_color(*color)).stroke_width(fine(*width) as u32);
            for (from, to) in points.iter().zip(points.iter().skip(1)) {
                backend.draw_line(fine_point(*from), fine_point(*to), &stroke).map_err(failed)?;
            }
            // Round joints and ends.
            let radius = fine(0.5 * width) as u32;
            let mut joint = |point| backend.draw_circle(point, radius, &stroke, true);
            points.iter().try_for_each(|point| joint(fine_point(*point))).map_err(failed)
        }
        Mark::Image { x, y, width, height, rgb } => {
            let (at, size) = (((x * FINE) as i32, (y * FINE) as i32), (width * FINE, height * FINE));
            backend.blit_bitmap(at, size, &enlarged(*width as usize, rgb)).map_err(failed)
        }
        Mark::Rect { x, y, width, height, color } => draw_rect((*x, *y, *width, *height), *color, backend),
        Mark::Text { .. } => Ok(()),
    }
}

fn draw_on_svg<B: DrawingBackend>(mark: &Mark, backend: &mut B) -> io::Result<()> {
    match mark {
        Mark::Area { x, base, tops, color } => {
            let top = tops.iter().enumerate().map(|(i, top)| fine_point((x + i as f64 + 0.5, *top)));
            let start = fine_point((*x, *base));
            let end = fine_point((x + tops.len() as f64, *base));
            let outline = std::iter::once(start).chain(top).chain([end]);
            backend.fill_polygon(outline, &rgb_color(*color)).map_err(failed)
        }
        Mark::Curve { points, width, color } => {
            let stroke = ShapeStyle::from(rgb_color(*color)).stroke_width(fine(*width) as u32);
            backend.draw_path(points.iter().map(|point| fine_point(*point)), &stroke).map_err(failed)
        }
        Mark::Text { text, x, y, size, align, direction, color } => {
            let h_pos = match align {
                Align::Start => HPos::Left,
                Align::Middle => HPos::Center,
                Align::End => HPos::Right,
            };
            // plotters places the middle of a lower-case x, not the baseline.
            let up = 0.5 * text::X_HEIGHT * size;
            let (at, turn) = match direction {
                Direction::Right => (fine_point((*x, y.round() - up)), FontTransform::None),
                Direction::Up => (fine_point((x.round() - up, *y)), FontTransform::Rotate270),
            };
            let ink = rgb_color(*color);
            let style = TextStyle::from((text::FAMILY, (size * f64::from(FINE)).round() * SVG_SIZE))
                .color(&ink)
                .transform(turn)
                .pos(Pos::new(h_pos, VPos::Center));
            backend.draw_text(text, &style, at).map_err(failed)
        }
        Mark::Rect { x, y, width, height, color } => draw_rect((*x, *y, *width, *height), *color, backend),
        Mark::Image { .. } => Ok(()),
    }
}

/// A rectangle of at least one pixel of the fine grid.
fn draw_rect<B: DrawingBackend>(
    (x, y, width, height): (f64, f64, f64, f64),
    color: Rgb,
    backend: &mut B,
) -> io::Result<()> {
    let (left, top) = fine_point((x, y));
    let (right, bottom) = (fine(x + width).max(left + 1), fine(y + height).max(top + 1));
    backend.draw_rect((left, top), (right, bottom), &rgb_color(color), true).map_err(failed)
}

/// The heights of a curve on the fine grid, between those at the centers of its pixels.
fn columns_of(tops: &[f64]) -> impl Iterator<Item = f64> {
    let fine = f64::from(FINE);
    let last = tops.len().saturating_sub(1) as f64;
    (0..tops.len() * FINE as usize).map(move |i| {
        let at = ((i as f64 + 0.5) / fine - 0.5).clamp(0.0, last);
        let (left, right) = (tops[at as usize], tops[at.ceil() as usize]);
        left + at.fract() * (right - left)
    })
}

/// Each pixel `FINE` x `FINE` times.
fn enlarged(width: usize, rgb: &[u8]) -> Vec<u8> {
    let fine = FINE as usize;
    let mut large = Vec::with_capacity(rgb.len() * fine * fine);
    for row in rgb.chunks(width * 3) {
        for _ in 0..fine {
            large.extend(row.chunks(3).flat_map(|pixel| pixel.repeat(fine)));
        }
    }
    large
}

fn fine(pixels: f64) -> i32 {
    (pixels * f64::from(FINE)).round() as i32
}

fn fine_point((x, y): (f64, f64)) -> (i32, i32) {
    (fine(x), fine(y))
}

fn rgb_color([red, green, blue]: Rgb) -> RGBColor {
    RGBColor(red, green, blue)
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

fn png_bytes(width: u32, height: u32, rgb: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(bytes)
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().enumerate().fold(0u32, |bits, (i, byte)| bits | u32::from(*byte) << (16 - 8 * i));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_follows_the_examples_of_its_standard() {
        let examples = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (plain, coded) in examples {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn an_svg_is_well_formed_whatever_the_text() {
        let text = text::clean("a<b>&\"c\u{0}\n\u{1b}é音\u{ffff}");
        let label = Mark::Text {
            text,
            x: 10.0,
            y: 20.0,
            size: 12.0,
            align: Align::Middle,
            direction: Direction::Up,
            color: [0; 3],
        };
        let page = Page { width: 100, height: 50, marks: vec![label] };
        let svg = String::from_utf8(page.svg().expect("svg")).expect("text");
        assert!(svg.contains("a&lt;b&gt;&amp;&quot;c\u{fffd}\u{fffd}\u{fffd}é音\u{fffd}"), "{svg}");
        assert!(!svg.chars().any(|c| c.is_control() && c != '\n'));
        page.png().expect("png");
    }
}
