//! Finds the limbs of swimmers: 256 pictures of a torso with four limbs, each limb in one of four positions, are taken
//! apart without being told what a limb is. Writes some of the pictures, and below them the learned parts, as a PNG.
//!
//! ```text
//! cargo run --release --features plot --example parts_of_images [PICTURE.png]
//! ```
//!
//! After D. Donoho and V. Stodden, "When does non-negative matrix factorization give a correct decomposition into
//! parts?", NIPS 2003.

use ndarray::{Array2, Axis, concatenate, s};
use partita::nmf::{NmfConfig, fit};

/// Pixels along a picture.
const SIDE: usize = 32;
/// Pictures in a row of the sheet, and pixels of the sheet for one of theirs.
const PER_ROW: usize = 8;
const ZOOM: usize = 4;
/// x and y.
type Point = (i32, i32);

/// Where each limb begins, and the way it goes in each of its positions.
const LIMBS: [(Point, [Point; 4]); 4] = [
    ((14, 10), [(0, -1), (-1, -1), (-1, 0), (-1, 1)]),
    ((17, 10), [(0, -1), (1, -1), (1, 0), (1, 1)]),
    ((14, 21), [(0, 1), (-1, 1), (-1, 0), (-1, -1)]),
    ((17, 21), [(0, 1), (1, 1), (1, 0), (1, -1)]),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "swimmers.png".into());
    let mut v = Array2::zeros((SIDE * SIDE, 256));
    for (picture, mut pixels) in v.columns_mut().into_iter().enumerate() {
        let mut dot = |x: i32, y: i32| pixels[y as usize * SIDE + x as usize] = 1.0;
        (10..=21).for_each(|y| (15..=16).for_each(|x| dot(x, y)));
        for (limb, ((x, y), ways)) in LIMBS.iter().enumerate() {
            let (dx, dy) = ways[picture >> (2 * limb) & 3];
            (1..=6).for_each(|step| dot(x + dx * step, y + dy * step));
        }
    }
    // A part for each position of each limb; the torso, in every picture, is shared out among them. A start can end up
    // with two limbs in one part, and its divergence shows it.
    let tried = [0, 1, 2, 3, 4].map(|seed| {
        fit(v.view(), &NmfConfig { n_components: 16, seed, max_iter: 1000, tol: 0.0, ..NmfConfig::default() })
    });
    let tried = tried.into_iter().collect::<Result<Vec<_>, _>>()?;
    let divergences: Vec<_> = tried.iter().map(|parts| parts.divergence.round()).collect();
    println!("Kullback-Leibler divergence from each of the starts: {divergences:?}");
    let best = tried.into_iter().min_by(|a, b| a.divergence.total_cmp(&b.divergence)).ok_or("no start")?;
    let swimmers = v.select(Axis(1), &(0..16).map(|i| i * 89 % 256).collect::<Vec<_>>());
    let pictures = concatenate![Axis(1), swimmers, best.dictionary];

    let cell = (SIDE + 1) * ZOOM;
    let mut sheet = Array2::from_elem((pictures.ncols().div_ceil(PER_ROW) * cell, PER_ROW * cell), 200u8);
    for (i, picture) in pictures.columns().into_iter().enumerate() {
        let largest = picture.fold(f32::MIN_POSITIVE, |a, &b| a.max(b));
        let tone = |(y, x)| 255 - (255.0 * picture[y / ZOOM * SIDE + x / ZOOM] / largest) as u8;
        let (top, left) = (i / PER_ROW * cell, i % PER_ROW * cell);
        let tile = Array2::from_shape_fn((SIDE * ZOOM, SIDE * ZOOM), tone);
        sheet.slice_mut(s![top..top + SIDE * ZOOM, left..left + SIDE * ZOOM]).assign(&tile);
    }
    let file = std::fs::File::create(&path)?;
    let mut encoder = png::Encoder::new(file, sheet.ncols() as u32, sheet.nrows() as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header()?.write_image_data(&sheet.into_iter().collect::<Vec<_>>())?;
    println!("{path}: swimmers in the first two rows, their parts in the others");
    Ok(())
}
