//! Finds the limbs of swimmers: 256 pictures of a torso with four limbs, each limb in one of four positions, are taken
//! apart without being told what a limb is. Writes some of the pictures, and below them the learned parts, as a PNG.
//!
//! ```text
//! cargo run --release --example parts_of_images [PICTURE.png]
//! ```
//!
//! After D. Donoho and V. Stodden, "When does non-negative matrix factorization give a correct decomposition into
//! parts?", NIPS 2003.

use std::path::Path;

use ndarray::{Array2, Axis, concatenate, s};
use partita::nmf::{NmfConfig, fit};

/// Pixels along a picture.
const SIDE: usize = 32;
/// Pictures in a row of the sheet, and pixels of the sheet for one of theirs.
const PER_ROW: usize = 8;
const ZOOM: usize = 4;
/// Where each limb begins, as (x, y), and the way it goes in each of its positions.
const LIMBS: [((i32, i32), [(i32, i32); 4]); 4] = [
    ((14, 10), [(0, -1), (-1, -1), (-1, 0), (-1, 1)]),
    ((17, 10), [(0, -1), (1, -1), (1, 0), (1, 1)]),
    ((14, 21), [(0, 1), (-1, 1), (-1, 0), (-1, -1)]),
    ((17, 21), [(0, 1), (1, 1), (1, 0), (1, -1)]),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "swimmers.png".into());
    let v = swimmers();
    // 16 limbs and the torso.
    let parts = fit(v.view(), &NmfConfig { n_components: 17, max_iter: 2000, tol: 0.0, ..NmfConfig::default() })?;
    println!("KL divergence: {:.0} at first, {:.2} at the end", parts.divergence_curve[0].1, parts.divergence);
    // Some swimmers, from all over the set; two rows of them.
    let some = v.select(Axis(1), &(0..2 * PER_ROW).map(|i| i * 89 % 256).collect::<Vec<_>>());
    draw(concatenate![Axis(1), some, parts.dictionary], path.as_ref())?;
    println!("{path}: swimmers in the first two rows, their parts below");
    Ok(())
}

/// Pixels x pictures, 1 where something is drawn.
fn swimmers() -> Array2<f32> {
    let mut v = Array2::zeros((SIDE * SIDE, 256));
    for (picture, mut pixels) in v.columns_mut().into_iter().enumerate() {
        let mut dot = |x: i32, y: i32| pixels[y as usize * SIDE + x as usize] = 1.0;
        (10..=21).for_each(|y| (15..=16).for_each(|x| dot(x, y)));
        for (limb, ((x, y), ways)) in LIMBS.iter().enumerate() {
            let (dx, dy) = ways[picture >> (2 * limb) & 3];
            (1..=7).for_each(|step| dot(x + dx * step, y + dy * step));
        }
    }
    v
}

/// Each column a picture, black where it is largest.
fn draw(pictures: Array2<f32>, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let cell = (SIDE + 1) * ZOOM;
    let mut sheet = Array2::from_elem((pictures.ncols().div_ceil(PER_ROW) * cell, PER_ROW * cell), 200u8);
    for (i, picture) in pictures.columns().into_iter().enumerate() {
        let largest = picture.fold(f32::MIN_POSITIVE, |a, &b| a.max(b));
        let (top, left) = (i / PER_ROW * cell, i % PER_ROW * cell);
        let tone = |(y, x): (usize, usize)| 255 - (255.0 * picture[y / ZOOM * SIDE + x / ZOOM] / largest) as u8;
        let tile = Array2::from_shape_fn((SIDE * ZOOM, SIDE * ZOOM), tone);
        sheet.slice_mut(s![top..top + SIDE * ZOOM, left..left + SIDE * ZOOM]).assign(&tile);
    }
    let file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut encoder = png::Encoder::new(file, sheet.ncols() as u32, sheet.nrows() as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&sheet.into_iter().collect::<Vec<_>>())?;
    Ok(())
}
