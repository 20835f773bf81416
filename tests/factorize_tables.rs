//! Tables as spreadsheets, pandas, R and NumPy write them: what is no data is kept out of it and told, and what cannot be told
//! apart is refused with the flag that says it.

mod common;

use std::io::Write;

use common::factorize::{Dir, counting, events, rank_three};
use common::stderr;
use flate2::Compression;
use flate2::write::GzEncoder;
use ndarray::{Array2, array};
use partita::Error;
use partita::matrix_file::{self, Missing, Note, Presence, ReadConfig};

/// The matrix in a text, and what is told of it.
fn read_with(text: impl AsRef<[u8]>, config: &ReadConfig) -> Result<(Array2<f32>, Vec<String>), Error> {
    let dir = Dir::new();
    let table = matrix_file::read_with(&dir.text("v.csv", text), config)?;
    Ok((table.values, table.notes.iter().map(Note::to_string).collect()))
}

fn read(text: &str) -> (Array2<f32>, Vec<String>) {
    read_with(text, &ReadConfig::default()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// What is wrong with a text, and what to do.
fn refusal(text: &str, config: &ReadConfig) -> String {
    let error = read_with(text, config).expect_err(text);
    let (message, hint) = (error.to_string(), error.hint().unwrap_or_default());
    format!("{}; {hint}", message.split_once("v.csv`: ").map_or(&*message, |(_, reason)| reason))
}

const TWO_BY_TWO: [[f32; 2]; 2] = [[1.5, 2.0], [3.0, 4.25]];

#[test]
fn an_index_is_no_data() {
    let nameless = "the first column is left out: its heading is empty, as that of an index";
    let labels = "the first column is left out: its cells are labels";
    let unnamed = "the first column is left out: the heading does not name it";
    for (what, text, told) in [
        ("pandas, with names", ",a,b\n0,1.5,2\n1,3,4.25\n", nameless),
        ("pandas, without", ",0,1\n0,1.5,2\n1,3,4.25\n", nameless),
        ("pandas, years", ",2001,2002\n7,1.5,2\n8,3,4.25\n", nameless),
        ("read and written twice", "Unnamed: 0,a,b\n0,1.5,2\n1,3,4.25\n", nameless),
        ("labels", "gene,a,b\nBRCA1,1.5,2\nTP53,3,4.25\n", labels),
        ("dates", "date,a,b\n2020-01-01,1.5,2\n2020-01-02,3,4.25\n", labels),
        ("labels, no heading", "BRCA1,1.5,2\nTP53,3,4.25\n", labels),
        ("labels under an empty name", ",1021,9\nBRCA1,1.5,2\nTP53,3,4.25\n", labels),
        ("R, write.csv", "\"\",\"a\",\"b\"\n\"1\",1.5,2\n\"2\",3,4.25\n", nameless),
        ("R, write.table", "\"a\" \"b\"\n\"1\" 1.5 2\n\"2\" 3 4.25\n", unnamed),
        ("R, with a corner", "\"\" \"a\" \"b\"\n\"1\" 1.5 2\n\"2\" 3 4.25\n", nameless),
        ("R, row names", "\"a\"\t\"b\"\n\"x, y\"\t1.5\t2\n\"z\"\t3\t4.25\n", labels),
        ("a trailing separator, too", ",0,1,\n0,1.5,2,\n1,3,4.25,\n", nameless),
        ("numbers among labels", "chromosome,a,b\nX,1.5,2\n1,3,4.25\n", labels),
        ("labels in Latin-1", "\u{fc}ber,a,b\nGr\u{f6}\u{df}e,1.5,2\nZ,3,4.25\n", labels),
    ] {
        let bytes: Vec<u8> =
            if what.contains("Latin") { text.chars().map(|c| c as u8).collect() } else { text.as_bytes().to_vec() };
        for missing in Missing::ALL {
            let config = ReadConfig { missing, ..ReadConfig::default() };
            let (values, notes) = read_with(&bytes, &config).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(values, array![[1.5, 2.0], [3.0, 4.25]], "{what}");
            assert!(notes.iter().any(|note| note == told), "{what}: {notes:?}");
        }
    }
}

#[test]
fn numbers_that_look_like_names_are_data_until_told_otherwise() {
    let text = "2001,2002,2003\n5,1,9\n2,2,7\n";
    let (values, notes) = read(text);
    assert_eq!(values.dim(), (3, 3));
    assert_eq!(notes, ["line 1 (`2001`, `2002`, `2003`) is taken for data and counts as a heading would"]);
    let with = |header, index| ReadConfig { header, index, ..ReadConfig::default() };
    let (values, notes) = read_with(text, &with(Presence::Yes, Presence::Auto)).expect("a heading");
    assert_eq!((values, notes.len()), (array![[5.0, 1.0, 9.0], [2.0, 2.0, 7.0]], 1));
    assert_eq!(read_with(text, &with(Presence::No, Presence::Auto)).expect("data").1, [""; 0]);

    let counted = "id,a\n1,5\n2,3\n3,9\n";
    let (values, notes) = read(counted);
    assert_eq!(values.dim(), (3, 2));
    assert_eq!(notes[1], "the first column is taken for data and counts the rows from 1, as an index would");
    let (values, _) = read_with(counted, &with(Presence::Auto, Presence::Yes)).expect("an index");
    assert_eq!(values, array![[5.0], [3.0], [9.0]]);
    // Rows that all count are data, and so is a gap at the start.
    assert_eq!(read("1,2,3\n4,5,6\n"), (array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], vec![]));
    let gaps = ReadConfig { missing: Missing::Nan, ..ReadConfig::default() };
    let (values, notes) = read_with(",5,3\n4,,6\n", &gaps).expect("gaps");
    assert_eq!((values.dim(), values.iter().filter(|x| x.is_nan()).count(), notes.len()), ((2, 3), 2, 0));
    // Names among them tell a heading.
    let (values, _) = read("id,2001,total\n7,1.5,2\n9,3,4.25\n");
    assert_eq!(values.dim(), (2, 3));
    assert_eq!(read("time,2001,2002\n0.5,1.5,2\n").0, array![[0.5, 1.5, 2.0]]);
}

#[test]
fn what_is_as_likely_a_heading_as_a_row_is_refused_until_told() {
    let auto = ReadConfig::default();
    let nan = ReadConfig { missing: Missing::Nan, ..auto };
    for config in [auto, nan] {
        assert_eq!(
            refusal("country,2001,2002\nFrance,5,1\nSpain,2,2\n", &config),
            "line 1 (`country`, `2001`, `2002`) could be a heading or a row; use `header yes`, or `header no`"
        );
        assert_eq!(
            refusal("country,NA\nFrance,5\n", &config),
            "line 1 (`country`, `NA`) could be a heading or a row; use `header yes`, or `header no`"
        );
        assert_eq!(
            refusal(",10,20,30\n4,1,2,3\n9,4,5,6\n5,1,1,1\n", &config),
            "line 1 (``, `10`, `20`, ...) could be a heading over an index, or a row that begins with a gap; \
             use `header yes`, or `header no`"
        );
    }
    let header = |header| ReadConfig { header, ..auto };
    let text = "country,2001,2002\nFrance,5,1\nSpain,2,2\n";
    assert_eq!(read_with(text, &header(Presence::Yes)).expect("a heading").0, array![[5.0, 1.0], [2.0, 2.0]]);
    assert_eq!(read_with(text, &header(Presence::No)).expect("a row").0.dim(), (3, 2));
    assert_eq!(
        refusal("1,total,3\nx,y,z\n", &auto),
        "line 1 has `total` in column 1, expected a number; use `header yes`, if this line is a heading"
    );
    assert_eq!(
        refusal("a,b\n1,2\nx,3\n", &auto),
        "line 3 has `x` in column 0, expected a number; use `index yes`, if the first column holds labels"
    );
}

#[test]
fn decimal_commas_are_read_where_they_part_nothing() {
    let expected = Array2::from(TWO_BY_TWO.to_vec());
    for (what, text) in [
        ("semicolons", "1,5;2\n3;4,25\n"),
        ("semicolons and a heading", "links;rechts\n1,5;2,0\n3,0;4,25\n"),
        ("semicolons and an index", ";links;rechts\nx;1,5;2\ny;3;4,25\n"),
        ("tabs", "1,5\t2\n3\t4,25\n"),
        ("spaces", "1,5 2,0\n3,0  4,25\n"),
        ("quotes", "\"1,5\";\"2\"\n\"3\";\"4,25\"\n"),
    ] {
        let (values, notes) = read(text);
        assert_eq!(values, expected, "{what}");
        assert!(
            notes.iter().any(|note| note.starts_with("numbers have decimal commas, as `1,5` in line")),
            "{notes:?}"
        );
    }
    assert_eq!(read("1,5\n3,4\n").0, array![[1.0, 5.0], [3.0, 4.0]], "here they part the columns");
}

#[test]
fn what_people_have_around_their_numbers_is_understood() {
    let expected = Array2::from(TWO_BY_TWO.to_vec());
    for (what, text) in [
        ("byte order mark, Windows", "\u{feff}a;b\r\n1.5;2\r\n3;4.25\r\n"),
        ("trailing separators", "a,b,\n1.5,2,\n3,4.25,\n"),
        ("trailing separators but in the heading", "a,b\n1.5,2,\n3,4.25,\n"),
        ("a hint for Excel", "sep=;\n1.5;2\n3;4.25\n"),
        ("comments", "# a\n% b\n1.5,2\n\n# c\n3,4.25\n"),
        ("separators in quoted names", "\"a, left\",\"b\"\n1.5,2\n3,4.25\n"),
        ("empty rows at the end", "1.5;2\n3;4.25\n;\n;\n"),
        ("tabs", "a\tb\n1.5\t2\n3\t4.25\n"),
    ] {
        assert_eq!(read(text).0, expected, "{what}");
    }
    let gaps = ReadConfig { missing: Missing::Nan, ..ReadConfig::default() };
    for word in ["", "NA", "NaN", "nan", "N/A", "#N/A", "null", "NULL", "None", "<NA>"] {
        for text in [format!("a,b\n1,{word}\n2,3\n"), format!("{word},1\n2,3\n")] {
            let values = read_with(&text, &gaps).unwrap_or_else(|error| panic!("{text:?}: {error}")).0;
            let n_gaps = values.iter().filter(|x| x.is_nan()).count();
            assert_eq!((values.dim(), n_gaps), ((2, 2), 1), "{text:?}");
            assert!(refusal(&text, &ReadConfig::default()).contains("the matrix has NaN at row 0"), "{text:?}");
        }
    }
    let empty = read_with("a,b,c\n1,2,\n3,4,\n", &gaps).expect("a column without entries").0;
    assert_eq!(empty.dim(), (2, 3), "it has a name");
    for (text, reason) in [
        ("value\n1,5\n2,5\n", "line 2 has 2 entries, expected 1 as in line 1"),
        ("\"\"\na b\n", "line 2 has `b` in column 1, expected a number"),
        ("a,b\n1,5,2\n", "line 2 has 3 entries, expected 2 as in line 1"),
        ("title\n1\t2\n", "line 2 has 2 entries, expected 1 as in line 1"),
        ("a,b,c\n1,2\n", "line 2 has 2 entries, expected 3 as in line 1"),
        ("a,\"b\n1,2\n", "line 1 has a quote that does not end, expected a row on each line"),
        ("a,b\n1,2\n3,4,5\n", "line 3 has 3 entries, expected 2 as in line 2"),
    ] {
        assert!(refusal(text, &ReadConfig::default()).starts_with(reason), "{text:?}");
    }
    let utf16: Vec<u8> = "\u{feff}1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cut = utf16[..utf16.len() - 1].to_vec();
    assert_eq!(read_with(utf16, &ReadConfig::default()).expect("UTF-16").0, array![[1.0, 2.0]]);
    let error = read_with(cut, &ReadConfig::default()).expect_err("half a letter");
    assert!(error.to_string().contains("it is text in UTF-16, cut off or damaged"), "{error}");
}

#[test]
fn the_command_tells_how_it_read_a_table_and_how_to_say_otherwise() {
    let dir = Dir::new();
    dir.text("v.csv", ";2001;2002;2003\n0;1,5;2;4\n1;3;4;1\n2;5;1;1\n");
    let output = dir.succeeds(&["v.csv", "-k", "1", "-o", "out.npz", "--json"]);
    assert!(
        stderr(&output).starts_with(
            "v.csv: line 1 is a heading: ``, `2001`, `2002`, ...\n\
             v.csv: the first column is left out: its heading is empty, as that of an index\n\
             v.csv: numbers have decimal commas, as `1,5` in line 2\n\
             v.csv: 3 x 3\n"
        ),
        "{}",
        stderr(&output)
    );
    let result = events(&output).pop().expect("a result");
    assert_eq!((&result["n_rows"], &result["n_columns"]), (&3.into(), &3.into()));
    dir.text("years.csv", "2001,2002,2003\n5,1,9\n");
    let output = dir.succeeds(&["years.csv", "-k", "1", "-o", "years.npz"]);
    let warning = "warning: years.csv: line 1 (`2001`, `2002`, `2003`) is taken for data and counts as a heading would; use \
                   `--header yes`, if it is a heading\n";
    assert!(stderr(&output).starts_with(warning), "{}", stderr(&output));
    dir.text("both.csv", "country,2001,2002\nFrance,5,1\n");
    assert_eq!(
        dir.fails(&["both.csv", "-o", "no.npz"], 1),
        "error: cannot read `both.csv`: line 1 (`country`, `2001`, `2002`) could be a heading or a row\n\n\
         hint: use `--header yes`, or `--header no`\n"
    );
    dir.succeeds(&["both.csv", "-k", "1", "-o", "both.npz", "--header", "no"]);
    assert_eq!(dir.factors("both.npz").0.dim(), (2, 1));
    assert_eq!(
        dir.fails(&["v.npy", "-o", "no.npz", "--index", "yes"], 2),
        "error: `--index` does not go with `v.npy`: only text has headings and indices\n\n\
         hint: leave `--index` out\n"
    );
}

// ---- packed ----------------------------------------------------------------------------------------------------------

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

#[test]
fn what_gzip_packed_is_read_in_every_format() {
    let dir = Dir::new();
    let npy = std::fs::read(dir.npy("c.npy", &counting())).expect("a file");
    let text: String = counting()
        .rows()
        .into_iter()
        .map(|row| format!("{}\n", row.iter().map(f32::to_string).collect::<Vec<_>>().join(",")))
        .collect();
    for (name, bytes) in [
        ("v.npy.gz", packed(&npy)),
        ("v.csv.gz", packed(text.as_bytes())),
        ("v.TXT.GZ", packed(text.as_bytes())),
        ("packed-without-a-word.csv", packed(text.as_bytes())),
        ("unpacked-on-the-way.csv.gz", text.clone().into_bytes()),
        // As `cat a.gz b.gz` makes them.
        ("two-members.csv.gz", [packed(&text.as_bytes()[..5]), packed(&text.as_bytes()[5..])].concat()),
    ] {
        let values = matrix_file::read::<f32>(&dir.text(name, bytes), Missing::None);
        assert_eq!(values.unwrap_or_else(|error| panic!("{name}: {error}")), counting(), "{name}");
    }
    let sparse = "%%MatrixMarket matrix coordinate real general\n2 3 2\n1 1 0.5\n2 3 4\n";
    dir.text("v.mtx.gz", packed(sparse.as_bytes()));
    dir.succeeds(&["v.mtx.gz", "-k", "1", "-o", "out.npz"]);
    let (w, h) = dir.factors("out.npz");
    assert_eq!((w.nrows(), h.ncols()), (2, 3));
    let broken = packed(text.as_bytes());
    dir.text("cut.csv.gz", &broken[..broken.len() - 12]);
    let message = dir.fails(&["cut.csv.gz", "-o", "no.npz"], 1);
    assert!(message.starts_with("error: cannot read `cut.csv.gz`"), "{message}");
    let large = std::fs::read(dir.npy("large.npy", &rank_three())).expect("a file");
    dir.text("large.npy.gz", packed(&large));
    let message = dir.fails(&["large.npy.gz", "-o", "no.npz", "--by-blocks"], 1);
    assert!(message.contains("it is packed by gzip, and cannot be read from the middle: unpack it first"), "{message}");
}

#[test]
fn files_of_other_programs_are_refused_with_the_way_out() {
    let dir = Dir::new();
    for (name, hint) in [
        ("v.xlsx", "hint: save it as CSV\n"),
        ("v.npz", "hint: give one of its arrays: in Python, `numpy.save("),
        ("v.csv.zst", "hint: unpack it first; of packed files, those of gzip are read\n"),
    ] {
        let message = dir.fails(&[name, "-o", "out.npz"], 2);
        assert!(message.contains(hint), "{message}");
    }
    dir.npy("v.npy", &rank_three());
    dir.text("w.mtx", "%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 1\n");
    let message = dir.fails(&["v.npy", "--weights", "w.mtx", "-o", "out.npz"], 1);
    assert!(message.starts_with("error: cannot read `w.mtx`: it is sparse, expected a dense matrix\n"), "{message}");
}
