//! Matrices as text, dense and sparse: the values are what a matrix may hold, and the same when they are written and
//! read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use partita::matrix_file::{self, Missing};
use partita::matrix_file::market;
use partita_fuzz::{are_same, file};

fuzz_target!(init: partita_fuzz::forgive_guarded_panics(), |bytes: &[u8]| {
    if bytes.starts_with(b"%%") { sparse(bytes) } else { dense(bytes) }
});

fn dense(bytes: &[u8]) {
    let Ok(values) = matrix_file::read::<f32>(&file("v.csv", bytes), Missing::Nan) else { return };
    // What gzip packed may be larger than the file.
    let is_packed = bytes.starts_with(b"\x1f\x8b");
    assert!(!values.is_empty() && (is_packed || values.len() <= bytes.len() + 1), "{:?} of {} bytes", values.dim(), bytes.len());
    assert!(values.iter().all(|x| x.is_nan() || (x.is_finite() && *x >= 0.0)));
    let mut text = String::new();
    for row in values.outer_iter() {
        text += &row.iter().map(|x| format!("{x:?}")).collect::<Vec<_>>().join("\t");
        text += "\n";
    }
    let again = matrix_file::read(&file("again.csv", text.as_bytes()), Missing::Nan).expect("read again");
    assert!(are_same(again.view(), values.view()), "written and read again");
}

fn sparse(bytes: &[u8]) {
    let Ok(values) = market::read::<f32>(bytes) else { return };
    let (n_rows, n_columns) = values.dim();
    // Two for each line of a symmetric matrix.
    assert!(values.n_entries() <= bytes.len());
    let mut text =
        format!("%%MatrixMarket matrix coordinate real general\n{n_rows} {n_columns} {}\n", values.n_entries());
    let mut last = None;
    for (row, column, value) in values.entries() {
        assert!(row < n_rows && column < n_columns && value > 0.0 && value.is_finite());
        assert!(last < Some((row, column)), "entries in order, each place once");
        last = Some((row, column));
        text += &format!("{} {} {value:?}\n", row + 1, column + 1);
    }
    assert!(market::read(text.as_bytes()).expect("read again") == values, "written and read again");
}
