//! Dictionaries as `.safetensors` files. The only file that knows the format.
//! No byte is trusted: limits hold before memory is spent.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use ndarray::Array2;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{Dictionary, normalize, shortened};
use crate::atomic::{self, Existing};
use crate::error::shown;
use crate::stft::StftConfig;
use crate::stft::window::Window;
use crate::{Error, Result, names};

/// Longest header of a file, in bytes: a hundred times that of any dictionary. The format allows 100 MB.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// Longest file, in bytes: 40 sources of 40 templates of 3 x 4097 entries take 79 MB.
const MAX_FILE_BYTES: u64 = 1 << 31;

/// The metadata key that marks a dictionary, and its value; a later, other form has another one.
const FORMAT_KEY: &str = "partita";
const FORMAT: &str = "dictionary 1";

/// The one divergence that templates are learned with.
const DIVERGENCE: &str = "kl";

impl Dictionary {
    /// The bytes of a `.safetensors` file: for each source a tensor of its name, `n_context` x `n_bins` x
    /// `n_components`, and the settings as metadata.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (n_context, n_bins) = (self.n_context, self.stft.n_bins());
        let data: Vec<(&str, Vec<usize>, Vec<u8>)> = self
            .sources
            .iter()
            .map(|source| {
                let shape = vec![n_context, n_bins, source.templates.ncols()];
                (source.name.as_str(), shape, source.templates.iter().flat_map(|x| x.to_le_bytes()).collect())
            })
            .collect();
        let views = data.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            (*name, view.expect("four bytes for each entry"))
        });
        let names: Vec<_> = self.sources.iter().map(|source| source.name.as_str()).collect();
        let settings = [
            (FORMAT_KEY, FORMAT.to_owned()),
            ("sample_rate", self.sample_rate.to_string()),
            ("n_fft", self.stft.n_fft.to_string()),
            ("win_length", self.stft.win_length.to_string()),
            ("hop_length", self.stft.hop_length.to_string()),
            ("window", self.stft.window.name().to_owned()),
            ("divergence", DIVERGENCE.to_owned()),
            ("n_context", n_context.to_string()),
            // A name has no line breaks.
            ("names", names.join("\n")),
        ];
        let metadata: HashMap<_, _> = settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let bytes = safetensors::serialize(views, Some(metadata)).expect("the header is far below 100 MB");
        with_sorted_header(bytes)
    }

    /// Reads what [`Dictionary::to_bytes`] wrote, or any file of that form. Messages call it by `path`.
    ///
    /// # Errors
    /// [`Error::MalformedDictionary`] where the bytes are anything else.
    ///
    /// # Cost
    /// Memory for the templates, which the length of `bytes` bounds; the header may have a megabyte.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let malformed = |reason: String| Error::MalformedDictionary { path: path.into(), reason };
        if header_bytes(bytes).is_none_or(|length| length > MAX_HEADER_BYTES) {
            return Err(malformed("it is no safetensors file".into()));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|error| malformed(format!("{error}")))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| malformed(format!("{error}")))?;
        let metadata = header.metadata().as_ref();
        let text = |key: &'static str| {
            let value = metadata.and_then(|metadata| metadata.get(key));
            value.ok_or_else(|| malformed(format!("its metadata have no `{key}`")))
        };
        let number = |key: &'static str| {
            let value = text(key)?;
            let refused = || malformed(format!("its `{key}` is `{}`, expected a whole number", shortened(value)));
            value.parse::<u32>().map_err(|_| refused())
        };
        let format = text(FORMAT_KEY)?;
        if format != FORMAT {
            let reason = format!("its `{FORMAT_KEY}` is `{}`, expected `{FORMAT}`", shortened(format));
            return Err(malformed(reason));
        }
        let divergence = text("divergence")?;
        if divergence != DIVERGENCE {
            let reason = format!("its `divergence` is `{}`, expected `{DIVERGENCE}`", shortened(divergence));
            return Err(malformed(reason));
        }
        let n_fft = number("n_fft")? as usize;
        // Checking a transform takes time and memory as its length does.
        if n_fft / 2 >= bytes.len() / size_of::<f32>() {
            return Err(malformed(format!("it is too short for a template with an `n_fft` of {n_fft}")));
        }
        let window = text("window")?;
        let window = Window::ALL.into_iter().find(|known| known.name() == window);
        let stft = StftConfig {
            n_fft,
            win_length: number("win_length")? as usize,
            hop_length: number("hop_length")? as usize,
            window: window.ok_or_else(|| malformed("its `window` is not known".into()))?,
        };
        let mut dictionary = Self::new(number("sample_rate")?, stft, number("n_context")? as usize)
            .map_err(|error| malformed(format!("{error}")))?;
        dictionary.label = format!("`{}`", shown(path));
        let names: Vec<_> = text("names")?.split('\n').collect();
        if names.len() != file.len() {
            return Err(malformed(format!("it has {} tensors, expected {}, one per name", file.len(), names.len())));
        }
        for name in names {
            names::check(name).map_err(|error| malformed(format!("{error}")))?;
            if dictionary.sources.iter().any(|source| source.name == name) {
                return Err(malformed(format!("it names the source `{name}` twice")));
            }
            let tensor = file.tensor(name).map_err(|_| malformed(format!("it has no tensor `{name}`")))?;
            let templates = dictionary
                .templates(&tensor)
                .map_err(|reason| malformed(format!("the templates of `{name}` {reason}")))?;
            dictionary.add(name, templates);
        }
        Ok(dictionary)
    }

    /// The templates of one tensor, normalized; else what is wrong with it.
    fn templates(&self, tensor: &TensorView<'_>) -> std::result::Result<Array2<f32>, String> {
        let (n_context, n_bins) = (self.n_context, self.stft.n_bins());
        let n_components = match tensor.shape() {
            [context, bins, components] if (*context, *bins) == (n_context, n_bins) && *components > 0 => *components,
            shape => {
                let shape = shortened(&format!("{shape:?}"));
                return Err(format!("have the shape {shape}, expected {n_context} x {n_bins} x any number"));
            }
        };
        if tensor.dtype() != Dtype::F32 {
            return Err(format!("are of type {:?}, expected F32", tensor.dtype()));
        }
        let values = tensor.data().as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
        let templates = Array2::from_shape_vec((n_context * n_bins, n_components), values);
        let mut templates = templates.map_err(|_| "have another length than their shape says".to_owned())?;
        if let Some(x) = templates.iter().find(|x| !(x.is_finite() && **x >= 0.0)) {
            return Err(format!("have the entry {x}, expected finite numbers of at least 0"));
        }
        normalize(&mut templates);
        Ok(templates)
    }

    /// Writes a `.safetensors` file, whole or not at all.
    ///
    /// # Errors
    /// Those of [`atomic::write`].
    pub fn save(&self, path: &Path, existing: Existing) -> Result<()> {
        atomic::write(path, &self.to_bytes(), existing)
    }

    /// Reads a `.safetensors` file.
    ///
    /// # Errors
    /// [`Error::ReadDictionary`] where the system does not give the file, and those of [`Dictionary::from_bytes`].
    pub fn load(path: &Path) -> Result<Self> {
        let refused = |source| Error::ReadDictionary { path: path.into(), source };
        let malformed = |reason: &str| Error::MalformedDictionary { path: path.into(), reason: reason.into() };
        let mut file = File::open(path).map_err(refused)?;
        let mut bytes = Vec::new();
        // The header says how long it is: what is no dictionary is not read as a whole.
        (&mut file).take(8).read_to_end(&mut bytes).map_err(refused)?;
        if header_bytes(&bytes).is_none_or(|length| length > MAX_HEADER_BYTES) {
            return Err(malformed("it is no safetensors file"));
        }
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(refused)?;
        if bytes.len() as u64 >= MAX_FILE_BYTES {
            return Err(malformed("it is longer than 2 GiB"));
        }
        Self::from_bytes(path, &bytes)
    }
}

/// Length of the header, from the first eight bytes of a file.
fn header_bytes(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk::<8>().map(|length| u64::from_le_bytes(*length))
}

/// The same file with its header in the order of the keys: the library takes metadata from a hash map, and the same
/// dictionary is to give the same bytes.
fn with_sorted_header(mut bytes: Vec<u8>) -> Vec<u8> {
    type Header = BTreeMap<String, BTreeMap<String, serde_json::Value>>;
    let length = header_bytes(&bytes).map_or(0, |length| length as usize);
    let Some(header) = bytes.get_mut(8..8 + length) else { return bytes };
    let sorted: Option<Header> = serde_json::from_slice(header).ok();
    let text = sorted.and_then(|sorted| serde_json::to_vec(&sorted).ok()).filter(|text| text.len() <= header.len());
    if let Some(text) = text {
        header.fill(b' ');
        header[..text.len()].copy_from_slice(&text);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::dictionary;
    use super::*;

    fn load(bytes: &[u8]) -> Result<Dictionary> {
        Dictionary::from_bytes(Path::new("x.safetensors"), bytes)
    }

    #[test]
    fn a_file_gives_the_same_dictionary_back_and_the_same_bytes() {
        let dictionary = dictionary();
        let bytes = dictionary.to_bytes();
        let loaded = load(&bytes).expect("loaded");
        // Templates are normalized anew, which moves a value by a rounding at the most.
        for (one, other) in dictionary.sources().iter().zip(loaded.sources()) {
            assert_eq!((&one.name, one.templates.dim()), (&other.name, other.templates.dim()));
            assert!((&one.templates - &other.templates).iter().all(|gap| gap.abs() < 1e-7));
        }
        assert_eq!((loaded.sample_rate(), loaded.stft(), loaded.n_context()), (8000, dictionary.stft(), 2));
        for _ in 0..8 {
            assert_eq!(dictionary.to_bytes(), bytes);
        }
    }

    #[test]
    fn a_file_on_disk_is_found_again_and_others_are_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("band.safetensors");
        dictionary().save(&path, Existing::Refuse).expect("saved");
        assert_eq!(Dictionary::load(&path).expect("loaded").sources().len(), 2);
        assert!(matches!(dictionary().save(&path, Existing::Refuse), Err(Error::FileExists { .. })));
        let missing = Dictionary::load(&folder.path().join("none")).expect_err("no file");
        assert!(matches!(missing, Error::ReadDictionary { .. }), "{missing}");
        std::fs::write(&path, b"RIFF----WAVEfmt ").expect("written");
        let other = Dictionary::load(&path).expect_err("another file");
        assert!(matches!(other, Error::MalformedDictionary { .. }) && other.hint().is_some(), "{other}");
    }

    /// A header of our own making before the data.
    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn a_header_that_lies_is_refused_before_it_costs_anything() {
        let settings = r#""partita":"dictionary 1","sample_rate":"8000","n_fft":"4","win_length":"4","hop_length":"1",
            "window":"hann","divergence":"kl","n_context":"1","names":"a""#;
        let good =
            format!(r#"{{"__metadata__":{{{settings}}},"a":{{"dtype":"F32","shape":[1,3,1],"data_offsets":[0,12]}}}}"#);
        let data: Vec<u8> = [1.0f32, 2.0, 1.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(load(&file(&good, &data)).expect("a good file").sources()[0].templates[(1, 0)], 0.5);
        for (from, to, expected) in [
            ("[1,3,1]", "[18446744073709551615,3,1]", "no dictionary"),
            ("[1,3,1]", "[3,1,1]", "shape"),
            ("[0,12]", "[0,13]", "no dictionary"),
            ("\"n_fft\":\"4\"", "\"n_fft\":\"4294967295\"", "n_fft"),
            ("\"n_fft\":\"4\"", "\"n_fft\":\"-4\"", "whole number"),
            ("\"n_context\":\"1\"", "\"n_context\":\"99\"", "n_context"),
            ("\"sample_rate\":\"8000\"", "\"sample_rate\":\"0\"", "sample_rate"),
            ("hann", "other", "window"),
            ("\"kl\"", "\"is\"", "divergence"),
            ("dictionary 1", "dictionary 9", "expected `dictionary 1`"),
            ("\"names\":\"a\"", "\"names\":\"b\"", "no tensor"),
            ("\"names\":\"a\"", "\"names\":\"a\\na\"", "tensors"),
            ("\"names\":\"a\"", "\"name\":\"a\"", "no `names`"),
            ("F32", "I32", "type"),
        ] {
            let header = good.replacen(from, to, 1);
            assert_ne!(header, good, "{from}");
            let error = load(&file(&header, &data)).expect_err(to);
            assert!(error.to_string().contains(expected), "{to}: {error}");
        }
        for value in [f32::NAN, f32::INFINITY, -1.0] {
            let data: Vec<u8> = [1.0f32, value, 1.0].iter().flat_map(|x| x.to_le_bytes()).collect();
            let error = load(&file(&good, &data)).expect_err("no template").to_string();
            assert!(error.contains(&format!("have the entry {value}")), "{error}");
        }
        for length in [u64::MAX, 2 << 20] {
            let error = load(&length.to_le_bytes()).expect_err("a header that is too long").to_string();
            assert!(error.contains("no safetensors file"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let is_refused = matches!(load(&bytes), Err(Error::MalformedDictionary { .. }));
            prop_assert!(is_refused);
        }

        #[test]
        fn a_changed_byte_never_panics(at in 0usize..2000, to in any::<u8>()) {
            let mut bytes = dictionary().to_bytes();
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(loaded) = load(&bytes) {
                prop_assert!(loaded.sources().iter().all(|source| source.templates.iter().all(|x| x.is_finite())));
            }
        }
    }
}
