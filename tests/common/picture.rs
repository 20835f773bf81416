//! Pictures, read back as a viewer would.
#![allow(dead_code, unreachable_pub, reason = "each test file is a crate that uses what it needs")]

use std::collections::BTreeSet;
use std::io::BufReader;
use std::path::Path;

use ndarray::Array3;

/// Pixels, height x width x 3.
pub fn read_png(path: &Path) -> Array3<u8> {
    let file = BufReader::new(std::fs::File::open(path).expect("file"));
    let mut decoder = png::Decoder::new(file);
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().expect("png");
    let mut rgb = vec![0; reader.output_buffer_size().expect("size")];
    let info = reader.next_frame(&mut rgb).expect("frame");
    Array3::from_shape_vec((info.height as usize, info.width as usize, 3), rgb).expect("pixels")
}

/// The colors of a picture.
pub fn colors(pixels: &Array3<u8>) -> BTreeSet<[u8; 3]> {
    let pixels = pixels.as_slice().expect("in order");
    pixels.as_chunks().0.iter().copied().collect()
}
