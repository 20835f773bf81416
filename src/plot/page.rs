//! A sheet of paper: marks in pixels, written as PNG or SVG.
//! Knows nothing of charts.

use std::collections::HashMap;
use std::fmt::Write;
use std::io;

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
        let mut canvas = Canvas::new(self.width, self.height);
        let layer = |mark: &Mark| match mark {
            Mark::Image { .. } => 0,
            Mark::Rect { .. } | Mark::Outline { .. } | Mark::Curve { .. } | Mark::Band { .. } => 1,
            Mark::Text { .. } => 2,
        };
        for wanted in 0..3 {
            self.marks.iter().filter(|mark| layer(mark) == wanted).for_each(|mark| canvas.draw(mark));
        }
        png_bytes(self.width, self.height, &canvas.colors, &canvas.pixels)
    }

    /// The page as the text of an SVG file; text stays text, and images are embedded as PNG.
    pub(super) fn svg(&self) -> io::Result<Vec<u8>> {
        let (width, height) = (self.width, self.height);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
        );
        let is_image = |mark: &&Mark| matches!(mark, Mark::Image { .. });
        for mark in self.marks.iter().filter(is_image).chain(self.marks.iter().filter(|mark| !is_image(mark))) {
            svg += &svg_of(mark)?;
        }
        Ok((svg + "</svg>\n").into_bytes())
    }
}

/// The pixels of a page, as numbers of colors: a byte for each, and the file is half as large as with three.
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    /// Those that are used, white first.
    colors: Vec<Rgb>,
    numbers: HashMap<Rgb, u8>,
}

/// Edges are blended in so many steps, so that colors suffice.
const STEPS: f32 = 15.0;

impl Canvas {
    /// White.
    fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        let white = [0xff; 3];
        Self {
            width,
            height,
            pixels: vec![0; width * height],
            colors: vec![white],
            numbers: HashMap::from([(white, 0)]),
        }
    }

    /// The number of a color; after 256 colors, that of the nearest.
    fn number(&mut self, color: Rgb) -> u8 {
        if let Some(number) = self.numbers.get(&color) {
            return *number;
        }
        let number = match u8::try_from(self.colors.len()) {
            Ok(number) => {
                self.colors.push(color);
                number
            }
            Err(_) => {
                let distance =
                    |other: &Rgb| other.iter().zip(color).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum();
                let nearest = (0..=u8::MAX).min_by_key(|i| -> u32 { distance(&self.colors[usize::from(*i)]) });
                nearest.unwrap_or_default()
            }
        };
        self.numbers.insert(color, number);
        number
    }

    fn draw(&mut self, mark: &Mark) {
        match mark {
            Mark::Rect { x, y, width, height, color } => {
                // On whole pixels, so that lines are sharp; at least one, so that none is lost.
                let ends = |start: f64, length: f64| (start.round(), (start + length).round().max(start.round() + 1.0));
                let ((left, right), (top, bottom)) = (ends(*x, *width), ends(*y, *height));
                for x in left.max(0.0) as usize..right.max(0.0) as usize {
                    self.column(x, (top, bottom), *color);
                }
            }
            Mark::Outline { x, y, width, height, line, color } => {
                let (x, y, width, height, line) = (*x, *y, *width, *height, *line);
                let rect = |x, y, width, height| Mark::Rect { x, y, width, height, color: *color };
                self.draw(&rect(x, y, width, line));
                self.draw(&rect(x, y + height - line, width, line));
                self.draw(&rect(x, y, line, height));
                self.draw(&rect(x + width - line, y, line, height));
            }
            Mark::Band { x, spans, color } => {
                (*x as usize..).zip(spans).for_each(|(x, span)| self.column(x, *span, *color));
            }
            Mark::Curve { points, width, color } => {
                for (from, to) in points.iter().zip(points.iter().skip(1)) {
                    self.stroke(*from, *to, 0.5 * width, *color);
                }
            }
            Mark::Image { x, y, width, height: _, pixels, colors } => {
                let numbers: Vec<u8> = colors.iter().map(|color| self.number(*color)).collect();
                for (row, pixels) in pixels.chunks((*width).max(1) as usize).enumerate() {
                    let start = (*y as usize + row) * self.width + *x as usize;
                    let line = self.pixels.get_mut(start..start + pixels.len()).unwrap_or_default();
                    line.iter_mut().zip(pixels).for_each(|(to, pixel)| *to = numbers[usize::from(*pixel)]);
                }
            }
            Mark::Text { text, x, y, size, align, direction, color } => {
                self.write(text, (*x, *y), *size, *align, *direction, *color);
            }
        }
    }

    /// Blends a color into a pixel by the share of it that is covered.
    fn blend(&mut self, x: usize, y: usize, share: f32, color: Rgb) {
        let share = (share.clamp(0.0, 1.0) * STEPS).round() / STEPS;
        if x < self.width && y < self.height && share > 0.0 {
            let place = y * self.width + x;
            let under = self.colors[usize::from(self.pixels[place])];
            let blended = |i: usize| {
                let (from, to) = (f32::from(under[i]), f32::from(color[i]));
                (from + share * (to - from)).round() as u8
            };
            self.pixels[place] = self.number(std::array::from_fn(blended));
        }
    }

    /// Fills a part of a column of pixels.
    fn column(&mut self, x: usize, (top, bottom): (f64, f64), color: Rgb) {
        let (top, bottom) = (top.max(0.0), bottom.min(self.height as f64));
        for y in top as usize..bottom.ceil().max(0.0) as usize {
            let share = (y as f64 + 1.0).min(bottom) - (y as f64).max(top);
            self.blend(x, y, share as f32, color);
        }
    }

    /// Draws a line with round ends.
    fn stroke(&mut self, (x0, y0): (f64, f64), (x1, y1): (f64, f64), radius: f64, color: Rgb) {
        let reach = radius + 1.0;
        let range = |a: f64, b: f64| (a.min(b) - reach).max(0.0) as usize..(a.max(b) + reach).max(0.0) as usize;
        let (dx, dy) = (x1 - x0, y1 - y0);
        for y in range(y0, y1) {
            for x in range(x0, x1) {
                let (px, py) = (x as f64 + 0.5 - x0, y as f64 + 0.5 - y0);
                let along = ((px * dx + py * dy) / (dx * dx + dy * dy).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
                let distance = (px - along * dx).hypot(py - along * dy);
                self.blend(x, y, (radius + 0.5 - distance) as f32, color);
            }
        }
    }

    fn write(&mut self, text: &str, (x, y): (f64, f64), size: f64, align: Align, direction: Direction, color: Rgb) {
        let back = text::width(text, size)
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
        text::rasterize(text, size, along as f32, &mut |dx, dy, share| {
            let (x, y) = match direction {
                Direction::Right => (i64::from(dx), across as i64 + i64::from(dy)),
                Direction::Up => (across as i64 + i64::from(dy), -1 - i64::from(dx)),
            };
            if let (Ok(x), Ok(y)) = (x.try_into(), y.try_into()) {
                self.blend(x, y, share, color);
            }
        });
    }
}

/// A mark as an element of an SVG.
fn svg_of(mark: &Mark) -> io::Result<String> {
    let hex = |[red, green, blue]: &Rgb| format!("#{red:02x}{green:02x}{blue:02x}");
    let points = |points: &mut dyn Iterator<Item = (f64, f64)>| {
        points.fold(String::new(), |mut text, (x, y)| {
            let _ = write!(text, "{},{} ", short(x), short(y));
            text
        })
    };
    Ok(match mark {
        Mark::Rect { x, y, width, height, color } => {
            let [x, y, width, height] = [*x, *y, *width, *height].map(short);
            format!("<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{}\"/>\n", hex(color))
        }
        Mark::Outline { x, y, width, height, line, color } => {
            let [x, y, width, height] = [x + 0.5 * line, y + 0.5 * line, width - line, height - line].map(short);
            format!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"none\" stroke=\"{}\" \
                 stroke-width=\"{}\"/>\n",
                hex(color),
                short(*line)
            )
        }
        Mark::Curve { points: through, width, color } => format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-linejoin=\"round\"/>\n",
            points(&mut through.iter().copied()).trim_end(),
            hex(color),
            short(*width)
        ),
        Mark::Band { x, spans, color } => {
            let center = |i: usize| f64::from(*x) + i as f64 + 0.5;
            let top = spans.iter().enumerate().map(|(i, (top, _))| (center(i), *top));
            let bottom = spans.iter().enumerate().rev().map(|(i, (_, bottom))| (center(i), *bottom));
            format!("<polygon points=\"{}\" fill=\"{}\"/>\n", points(&mut top.chain(bottom)).trim_end(), hex(color))
        }
        Mark::Image { x, y, width, height, pixels, colors } => format!(
            "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" href=\"data:image/png;base64,{}\"/>\n",
            base64(&png_bytes(*width, *height, colors, pixels)?)
        ),
        Mark::Text { text, x, y, size, align, direction, color } => {
            let anchor = match align {
                Align::Start => "start",
                Align::Middle => "middle",
                Align::End => "end",
            };
            let (x, y) = (short(*x), short(*y));
            let turn = match direction {
                Direction::Right => String::new(),
                Direction::Up => format!(" transform=\"rotate(-90 {x} {y})\""),
            };
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
            format!(
                "<text x=\"{x}\" y=\"{y}\" font-family=\"{}\" font-size=\"{}\" text-anchor=\"{anchor}\" \
                 fill=\"{}\"{turn}>{text}</text>\n",
                text::FAMILY,
                short(*size),
                hex(color)
            )
        }
    })
}

/// A number of pixels to a hundredth.
fn short(pixels: f64) -> f64 {
    (pixels * 100.0).round() / 100.0
}

/// Pixels, each the number of a color, as a PNG file.
fn png_bytes(width: u32, height: u32, colors: &[Rgb], pixels: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(colors.as_flattened());
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
