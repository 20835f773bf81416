//! Files that `partita factorize` reads and writes: every kind of matrix in, factors out that NumPy reads.

mod common;

use std::process::Command;

use common::factorize::{Dir, counting, golden, rank_three};
use common::stderr;
use ndarray::{Array2, ShapeBuilder, array};
use ndarray_npy::WriteNpyExt;
use partita::Error;
use partita::matrix_file::{self, Missing};
use snapbox::{assert_data_eq, str};

#[test]
fn npy_files_of_numpy_are_read_in_every_type_order_and_version() {
    for name in ["f4", "f8_fortran", "f4_big_endian", "i2_big_endian_fortran", "u1", "i8", "f8_version_2"] {
        let v = matrix_file::read::<f32>(&golden(&format!("{name}.npy")), Missing::None);
        let v = v.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(v, counting(), "{name}");
        assert!(v.is_standard_layout(), "{name}");
    }
}

#[test]
fn npy_files_longer_than_one_piece_are_read_whole() {
    let dir = Dir::new();
    // 3 pieces and a rest, in both orders.
    let v = Array2::from_shape_fn((130, 200), |(i, j)| (i * 1000 + j) as f32);
    assert_eq!(matrix_file::read::<f32>(&dir.npy("c.npy", &v), Missing::None).expect("C order"), v);
    let mut fortran = Array2::zeros((130, 200).f());
    fortran.assign(&v);
    assert_eq!(matrix_file::read::<f32>(&dir.npy("f.npy", &fortran), Missing::None).expect("Fortran order"), v);
}

#[test]
fn npy_files_that_are_no_matrix_of_numbers_are_refused() {
    let dir = Dir::new();
    for (name, reason) in [
        ("complex", "its entries are of type `<c8`, expected floating point of 32 or 64 bits, or integers"),
        ("record", "its entries are of type `a record`, expected floating point of 32 or 64 bits, or integers"),
        ("vector", "its array has 1 dimension, expected 2"),
        ("cube", "its array has 3 dimensions, expected 2"),
        ("empty", "it has no entries (0 x 4)"),
    ] {
        let path = golden(&format!("{name}.npy"));
        let message = dir.fails(&[&path.to_string_lossy(), "-o", "out.npz"], 1);
        assert!(message.contains(&format!("{name}.npy`: {reason}\n\nhint: give a matrix")), "{message}");
    }
}

#[test]
fn npy_files_that_are_damaged_are_refused_before_memory_is_spent() {
    let dir = Dir::new();
    let mut whole = Vec::new();
    counting().write_npy(&mut whole).expect("written");
    let header = |text: &str| {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend([0; 64]);
        bytes
    };
    let of_shape = |shape: &str| header(&format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n"));
    let mut version = whole.clone();
    version[6] = 9;
    let mut long = b"\x93NUMPY\x02\x00".to_vec();
    long.extend(u32::MAX.to_le_bytes());
    for (what, bytes, reason) in [
        ("cut off", whole[..whole.len() - 1].to_vec(), "it is too short for the 3 x 4 entries it declares"),
        ("cut in the header", whole[..40].to_vec(), "it is no .npy file, or cut off in its header"),
        ("nothing", Vec::new(), "it is no .npy file, or cut off in its header"),
        ("text", b"1,2,3\n4,5,6\n".to_vec(), "it is no .npy file"),
        ("version", version, "it has version 9, expected 1 to 3"),
        ("long header", long, "its header has 4294967295 bytes, expected at most 10000"),
        ("huge", of_shape("(1000000, 1000000)"), "it is too short for the 1000000 x 1000000 entries it declares"),
        ("overflow", of_shape("(4294967296, 4294967296)"), "it is too short for the 4294967296 x 4294967296 entries"),
        ("beyond numbers", of_shape("(99999999999999999999, 1)"), "its header has no `shape` of whole numbers"),
        ("negative", of_shape("(-1, 1)"), "its header has no `shape` of whole numbers"),
        ("no shape", of_shape("3"), "its header has no `shape` of whole numbers"),
        ("no order", header("{'descr': '<f4', 'shape': (1, 1), }\n"), "its header has no `fortran_order`"),
        ("brackets", header(&"(".repeat(9000)), "its header has no `fortran_order`"),
    ] {
        let error = matrix_file::read::<f32>(&dir.text("v.npy", bytes), Missing::None).expect_err(what);
        assert!(matches!(error, Error::MalformedMatrix { .. }), "{what}: {error:?}");
        assert!(error.to_string().contains(reason), "{what}: {error}");
    }
}

#[test]
fn text_is_read_whatever_parts_the_numbers() {
    let dir = Dir::new();
    let expected = array![[1.0, 2.5, 0.0], [3e-1, 4.0, 50.0]];
    for (what, text) in [
        ("comma", "1,2.5,0\n0.3,4,5e1\n"),
        ("semicolon, Windows", "1;2.5;0\r\n.3;4;50\r\n"),
        ("tab", "1\t2.5\t0\n0.3\t4\t50"),
        ("spaces", "  1 2.5   0\n 0.3 4 50\n"),
        ("heading", "left,right,both\n1,2.5,0\n0.3,4,50\n"),
        ("byte order mark", "\u{feff}1,2.5,0\n0.3,4,50\n"),
        ("comment", "# left right\n1 2.5 0\n\n0.3 4 50\n\n"),
        ("quotes", "\"1\",\"2.5\",\"0\"\n0.3, 4, 50\n"),
    ] {
        let v = matrix_file::read::<f32>(&dir.text("v.csv", text), Missing::None);
        assert_eq!(v.unwrap_or_else(|error| panic!("{what}: {error}")), expected, "{what}");
    }
}

#[test]
fn text_that_is_no_matrix_is_refused_with_its_line() {
    let dir = Dir::new();
    for (text, reason) in [
        (&b"a,b\n1,2\n\n3,4,5\n"[..], "line 4 has 3 entries, expected 2 as in line 2"),
        (b"1 2\n3\n", "line 2 has 1 entry, expected 2 as in line 1"),
        (b"1,x,3\n", "line 1 has `x` in column 1, expected a number"),
        (
            b"1,5;2\n1.5;2\n",
            "line 1 has `1,5` and line 2 `1.5`, expected one decimal mark and nothing between thousands",
        ),
        (b"1;1,234.5\n", "line 1 has `1,234.5` in column 1, expected a number"),
        (b"1,2\n3,1e39\n", "it has 1e39 at row 1, column 1, expected at most 3.4028235e38"),
        (b"1,2\n\xff\xfe,3\n", "line 2 is not text in UTF-8"),
        (b"1\x002\n", "line 1 is not text in UTF-8"),
        (b"", "it has no entries (0 x 0)"),
        (b"a,b\n", "it has no entries (0 x 0)"),
    ] {
        dir.text("v.csv", text);
        let message = dir.fails(&["v.csv", "-o", "out.npz"], 1);
        assert!(message.starts_with(&format!("error: cannot read `v.csv`: {reason}\n")), "{message}");
    }
}

#[test]
fn factors_are_written_as_numpy_reads_them() {
    let dir = Dir::new();
    dir.npy("v.npy", &rank_three());
    dir.succeeds(&["v.npy", "-k", "3", "--max-iter", "500", "--tol", "0", "-o", "new/out.npz"]);
    let (w, h) = dir.factors("new/out.npz");
    assert_eq!((w.dim(), h.dim()), ((12, 3), (3, 15)));
    let error = (w.dot(&h) - rank_three()).iter().fold(0.0f32, |worst, x| worst.max(x.abs()));
    // A matrix of rank 3, up to 98; 500 iterations do not get to its very bottom.
    assert!(error < 2.0, "off by {error}");
    let script = "import json, sys, numpy\n\
        f = numpy.load(sys.argv[1], allow_pickle=False)\n\
        info = json.loads(f['info.json'])\n\
        print(sorted(f.files), f['W'].shape, f['W'].dtype, f['H'].shape, info['n_iter'], info['settings']['solver'])\n";
    let output = Command::new("python3").args(["-c", script]).arg(dir.path("new/out.npz")).output();
    match output {
        Ok(output) if output.status.success() => {
            let expected = "['H', 'W', 'info.json'] (12, 3) float32 (3, 15) 500 mu-extrapolated\n";
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        }
        Ok(output) if !stderr(&output).contains("No module named 'numpy'") => panic!("{}", stderr(&output)),
        _ => println!("skipped: python3 with NumPy is not there"),
    }
}

#[test]
fn existing_files_are_kept_unless_forced() {
    let dir = Dir::new();
    dir.npy("v.npy", &rank_three());
    dir.text("out.npz", "mine");
    dir.text("new-activations.png", "mine");
    assert_data_eq!(
        dir.fails(&["v.npy", "-o", "out.npz"], 2),
        str![[r#"
error: `out.npz` exists already

hint: add `--force` to replace it, or choose another place with `--out`

"#]]
    );
    let message = dir.fails(&["v.npy", "-o", "new.npz", "--plot"], 2);
    assert!(message.starts_with("error: `new-activations.png` exists already"), "{message}");
    dir.succeeds(&["v.npy", "-o", "out.npz", "-f"]);
    assert_eq!(dir.factors("out.npz").0.dim(), (12, 8));
    assert_data_eq!(
        dir.fails(&["v.npy", "-o", "out.txt"], 2),
        str![[r#"
error: `out.txt` is no matrix file by its name, expected one that ends in `.npz`

hint: use `out.npz`

"#]]
    );
    assert_data_eq!(
        dir.fails(&["v.mat", "-o", "a.npz"], 2),
        str![[r#"
error: `v.mat` is no matrix file by its name, expected one that ends in `.npy`, `.csv`, `.tsv`, `.txt` or `.mtx`, with `.gz` or without

hint: in Python, `numpy.save("v.npy", v)` writes one

"#]]
    );
    let message = dir.fails(&["absent.npy", "-o", "a.npz"], 1);
    assert!(message.starts_with("error: cannot read `absent.npy`: "), "{message}");
    assert!(message.contains("\nhint: check the spelling"), "{message}");
}
