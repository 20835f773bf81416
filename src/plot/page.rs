//! A sheet of paper: marks in pixels, written as PNG or SVG. The only file that knows plotters.
//! Knows nothing of charts.

use std::io;

use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontTransform, RGBColor, ShapeStyle, TextStyle};

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
    /// The edge of a rectangle, as wide as `line`, inside of it.
    Outline { x: f64, y: f64, width: f64, height: f64, line: f64, color: Rgb },
    /// A line through points.
    Curve { points: Vec<(f64, f64)>, width: f64, color: Rgb },
    /// What lies between two curves that have a value for each pixel from `x` on: top and bottom.
    Band { x: u32, spans: Vec<(f64, f64)>, color: Rgb },
    /// Pixels, row by row, each the number of one of at most 256 colors.
    Image { x: u32, y: u32, width: u32, height: u32, pixels: Vec<u8>, colors: Vec<Rgb> },
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

impl Page {
    /// The page as the bytes of a PNG file.
    pub(super) fn png(&self) -> io::Result<Vec<u8>> {
        let page_width = self.width as usize;
        let mut rgb = vec![0xff; page_width * self.height as usize * 3];
        // Those of images in their order: numbers of neighbors that are alike make small files.
        let mut palette = vec![[0xff; 3]];
        for mark in &self.marks {
            if let Mark::Image { x, y, width, height: _, pixels, colors } = mark {
                let is_new = |color: &&Rgb| !palette.contains(*color);
                palette.extend(&colors.iter().filter(is_new).copied().collect::<Vec<_>>());
                let lines = rgb.chunks_mut(page_width * 3).skip(*y as usize);
                for (line, pixels) in lines.zip(pixels.chunks((*width).max(1) as usize)) {
                    let line = line.as_chunks_mut().0.iter_mut().skip(*x as usize);
                    line.zip(pixels).for_each(|(to, pixel)| *to = colors[usize::from(*pixel)]);
                }
            }
        }
        draw(&self.marks, &mut BitMapBackend::with_buffer(&mut rgb, (self.width, self.height)))?;
        match numbers(&rgb, &mut palette) {
            Some(pixels) => png_bytes(self.width, self.height, Some(&palette), &pixels),
            None => png_bytes(self.width, self.height, None, &rgb),
        }
    }

    /// The page as the text of an SVG file; text stays text, and images are embedded as PNG.
    pub(super) fn svg(&self) -> io::Result<Vec<u8>> {
        let fine = |pixels: u32| pixels * SVGBackend::FINE;
        let (width, height) = (fine(self.width), fine(self.height));
        let mut drawn = String::new();
        draw(&self.marks, &mut SVGBackend::with_string(&mut drawn, (width, height)))?;
        // plotters' first line is the `<svg>` tag, whose size is that of the fine grid.
        let (_, marks) = drawn.split_once('\n').unwrap_or_default();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {width} {height}\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n",
            self.width, self.height
        );
        for mark in &self.marks {
            if let Mark::Image { x, y, width, height, pixels, colors } = mark {
                let data = base64(&png_bytes(*width, *height, Some(colors), pixels)?);
                let [x, y, width, height] = [*x, *y, *width, *height].map(fine);
                svg += &format!(
                    "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" \
                     href=\"data:image/png;base64,{data}\"/>\n"
                );
            }
        }
        Ok((svg + marks).into_bytes())
    }
}

/// Draws all but images, texts last.
fn draw<B: Paper>(marks: &[Mark], paper: &mut B) -> io::Result<()> {
    let is_text = |mark: &&Mark| matches!(mark, Mark::Text { .. });
    for mark in marks.iter().filter(|mark| !is_text(mark)).chain(marks.iter().filter(is_text)) {
        match mark {
            Mark::Image { .. } => {}
            Mark::Rect { x, y, width, height, color } => {
                let ((left, top), (right, bottom)) = (B::fine((*x, *y)), B::fine((x + width, y + height)));
                // At least one step, so that none is lost.
                let end = (right.max(left + 1), bottom.max(top + 1));
                paper.draw_rect((left, top), end, &rgb_color(*color), true).map_err(failed)?;
            }
            Mark::Outline { x, y, width, height, line, color } => {
                let stroke = ShapeStyle::from(rgb_color(*color)).stroke_width(B::FINE);
                // Strokes of a pixel, each inside of the one before.
                for i in 0..line.round() as usize {
                    let inset = i as f64 + 0.5;
                    let [left, top, right, bottom] = [x + inset, y + inset, x + width - inset, y + height - inset]
                        .map(|pixels| (pixels * f64::from(B::FINE)).floor() as i32);
                    let (right, bottom) = (right.max(left), bottom.max(top));
                    // The first side again, as the ends of a stroke have no corner.
                    let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
                    let ring = corners.into_iter().cycle().take(6);
                    paper.draw_path(ring, &stroke).map_err(failed)?;
                }
            }
            Mark::Curve { points, width, color } => {
                let width = (width * f64::from(B::FINE)).round() as u32;
                let stroke = ShapeStyle::from(rgb_color(*color)).stroke_width(width);
                paper.draw_path(points.iter().map(|point| B::fine(*point)), &stroke).map_err(failed)?;
            }
            Mark::Band { .. } | Mark::Text { .. } => paper.draw_finely(mark)?,
        }
    }
    paper.present().map_err(failed)
}

/// What is drawn on, with its own way to draw what plotters does not draw well on both.
trait Paper: DrawingBackend {
    /// plotters counts in whole steps; so many are a pixel.
    const FINE: u32;

    fn fine((x, y): (f64, f64)) -> (i32, i32) {
        let step = |pixels: f64| (pixels * f64::from(Self::FINE)).round() as i32;
        (step(x), step(y))
    }

    /// Draws a band or a text.
    fn draw_finely(&mut self, mark: &Mark) -> io::Result<()>;
}

/// Edges are blended in so many shades, so that a palette suffices.
const SHADES: f64 = 15.0;

impl Paper for BitMapBackend<'_> {
    const FINE: u32 = 1;

    /// Pixel by pixel: plotters' polygons of many points have gaps, and corners on whole pixels only; its letters are those
    /// of a system, on whole pixels, too.
    fn draw_finely(&mut self, mark: &Mark) -> io::Result<()> {
        let height = f64::from(self.get_size().1);
        let mut drawn = Ok(());
        let mut draw = |place, color, share: f64| {
            let color = rgb_color(color).mix((share * SHADES).round() / SHADES);
            if let Err(error) = self.draw_pixel(place, color.to_backend_color()) {
                drawn = Err(failed(error));
            }
        };
        match mark {
            Mark::Band { x, spans, color } => {
                for (x, (top, bottom)) in (*x as i32..).zip(spans) {
                    let (top, bottom) = (top.max(0.0), bottom.min(height));
                    for y in top as i32..bottom.ceil() as i32 {
                        let share = bottom.min(f64::from(y) + 1.0) - top.max(f64::from(y));
                        draw((x, y), *color, share);
                    }
                }
            }
            Mark::Text { text, x, y, size, align, direction, color } => {
                let back = text::width(text, *size)
                    * match align {
                        Align::Start => 0.0,
                        Align::Middle => 0.5,
                        Align::End => 1.0,
                    };
                // The baseline lies on a whole pixel, so that letters are sharp; along it they lie where they belong.
                let (along, across) = match direction {
                    Direction::Right => (x - back, y.round() as i32),
                    Direction::Up => (-(y + back), x.round() as i32),
                };
                text::rasterize(text, *size, along as f32, &mut |dx, dy, share| {
                    let place = match direction {
                        Direction::Right => (dx, across + dy),
                        Direction::Up => (across + dy, -1 - dx),
                    };
                    draw(place, *color, f64::from(share));
                });
            }
            _ => {}
        }
        drawn
    }
}

/// plotters writes a font's size divided by this.
const SVG_SIZE: f64 = 1.24;

impl Paper for SVGBackend<'_> {
    const FINE: u32 = 10;

    fn draw_finely(&mut self, mark: &Mark) -> io::Result<()> {
        match mark {
            Mark::Band { x, spans, color } => {
                let center = |i: usize| f64::from(*x) + i as f64 + 0.5;
                let top = spans.iter().enumerate().map(|(i, (top, _))| (center(i), *top));
                let bottom = spans.iter().enumerate().rev().map(|(i, (_, bottom))| (center(i), *bottom));
                self.fill_polygon(top.chain(bottom).map(Self::fine), &rgb_color(*color)).map_err(failed)
            }
            Mark::Text { text, x, y, size, align, direction, color } => {
                let along = match align {
                    Align::Start => HPos::Left,
                    Align::Middle => HPos::Center,
                    Align::End => HPos::Right,
                };
                // plotters places the middle of a lower-case x, not the baseline.
                let up = 0.5 * text::X_HEIGHT * size;
                let (at, turn) = match direction {
                    Direction::Right => ((*x, y - up), FontTransform::None),
                    Direction::Up => ((x - up, *y), FontTransform::Rotate270),
                };
                let ink = rgb_color(*color);
                let style = TextStyle::from((text::FAMILY, (size * f64::from(Self::FINE)).round() * SVG_SIZE))
                    .color(&ink)
                    .transform(turn)
                    .pos(Pos::new(along, VPos::Center));
                self.draw_text(text, &style, Self::fine(at)).map_err(failed)
            }
            _ => Ok(()),
        }
    }
}

fn rgb_color([red, green, blue]: Rgb) -> RGBColor {
    RGBColor(red, green, blue)
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// The number of each pixel's color in a palette, to which new colors are added, if 256 are enough: a byte instead of three.
fn numbers(rgb: &[u8], palette: &mut Vec<Rgb>) -> Option<Vec<u8>> {
    // The number of the color that was last seen in a place that follows from the color by multiplicative hashing:
    // D. Knuth, "The Art of Computer Programming", volume 3, 6.4.
    let mut seen = vec![0_u8; 1 << 16];
    let (rgb, _) = rgb.as_chunks();
    let number = |color: &Rgb| {
        let place = u32::from_be_bytes([0, color[0], color[1], color[2]]).wrapping_mul(0x9e37_79b9) >> 16;
        let number = &mut seen[place as usize];
        if palette.get(usize::from(*number)) != Some(color) {
            let known = palette.iter().position(|known| known == color);
            *number = u8::try_from(known.unwrap_or(palette.len())).ok()?;
            if known.is_none() {
                palette.push(*color);
            }
        }
        Some(*number)
    };
    rgb.iter().map(number).collect::<Option<_>>().filter(|_| palette.len() <= 256)
}

/// A PNG file of pixels: red, green and blue of each, or its number among some colors.
fn png_bytes(width: u32, height: u32, colors: Option<&[Rgb]>, pixels: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_color(if colors.is_some() { png::ColorType::Indexed } else { png::ColorType::Rgb });
    if let Some(colors) = colors {
        encoder.set_palette(colors.as_flattened());
    }
    // As small as the default to a twentieth, in a hundredth of the time.
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
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
