//! `.npy` and `.npz`: the values are what a matrix may hold, the same whole and block by block, and the same when they
//! are written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ndarray::Array2;
use partita::Error;
use partita::atomic::Existing;
use partita::matrix_file::{self, Missing, NpzWriter};
use partita::nmf::ColumnBlocks;
use partita::matrix_file::blocks::NpyBlocks;
use partita_fuzz::{are_same, file};

fuzz_target!(init: partita_fuzz::forgive_guarded_panics(), |bytes: &[u8]| {
    if bytes.starts_with(b"PK") { archive(bytes) } else { array(bytes) }
});

fn array(bytes: &[u8]) {
    let path = file("v.npy", bytes);
    let whole = matrix_file::read(&path, Missing::Nan);
    let blocks = NpyBlocks::open(&path);
    let Ok(whole) = whole else { return };
    // What gzip packed is read whole only, and may be larger than the file.
    if bytes.starts_with(b"\x1f\x8b") {
        return;
    }
    check(&whole, bytes);
    let mut blocks = blocks.expect("a matrix that can be read whole can be read in blocks");
    assert_eq!(blocks.shape(), whole.dim());
    let (n_rows, n_columns) = blocks.dim();
    let mut found = Array2::zeros((n_columns, n_rows));
    for column in 0..n_columns {
        let block = found.slice_mut(ndarray::s![column..column + 1, ..]).reversed_axes();
        blocks.read(column..column + 1, block).expect("a whole file");
    }
    let found = if blocks.is_transposed() { found } else { found.reversed_axes() };
    assert!(are_same(found.view(), whole.view()), "whole and in blocks");
}

fn archive(bytes: &[u8]) {
    let path = file("v.npz", bytes);
    for name in ["W", "H"] {
        match matrix_file::read_member(&path, name) {
            Ok(values) => {
                check(&values, bytes);
                let copy = file("copy.npz", b"");
                let mut writer = NpzWriter::create(&copy, Existing::Replace).expect("create");
                writer.array("other", values.view()).expect("write");
                writer.array(name, values.view()).expect("write");
                writer.finish().expect("finish");
                assert_eq!(matrix_file::read_member(&copy, name).expect("read again"), values);
            }
            Err(Error::ReadMatrix { source, .. }) => panic!("the system reads every file here: {source}"),
            Err(_) => {}
        }
    }
}

fn check(values: &Array2<f32>, bytes: &[u8]) {
    assert!(!values.is_empty() && values.len() <= bytes.len(), "{:?} of {} bytes", values.dim(), bytes.len());
    assert!(values.iter().all(|x| x.is_nan() || (x.is_finite() && *x >= 0.0)));
}
