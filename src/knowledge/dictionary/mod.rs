//! What sources sound like, learned from recordings of each alone: [`Dictionary`], and its file.
//! Templates only: finding them in a mixture is the business of `separate`.

mod bands;
mod file;
mod learn;

use ndarray::{Array2, Axis, concatenate};

pub(crate) use bands::{Bands, stack};
pub use learn::DictionaryConfig;
pub(crate) use learn::MAX_STACKS;

use crate::stft::StftConfig;
use crate::{Error, Result};

/// More frames in one template than any use has; 16 of 23 ms are a third of a second.
const MAX_CONTEXT: usize = 16;

/// Templates of named sources, for one sample rate and one transform.
#[derive(Debug, Clone, PartialEq)]
pub struct Dictionary {
    /// How messages call it.
    label: String,
    sample_rate: u32,
    stft: StftConfig,
    n_context: usize,
    sources: Vec<Source>,
}

/// One source of a [`Dictionary`].
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its name, and that of its stem.
    pub name: String,
    /// Its templates, `n_context * n_bins` x `n_components`; each column sums to one. The first `n_bins` rows are the
    /// earliest frame.
    pub templates: Array2<f32>,
}

impl Dictionary {
    /// A dictionary without sources, for recordings of this sample rate (Hz) and this transform.
    ///
    /// # Errors
    /// [`Error::Setting`] for a transform that cannot be inverted, a rate of 0, or an `n_context` outside of 1 to 16.
    pub fn new(sample_rate: u32, stft: StftConfig, n_context: usize) -> Result<Self> {
        stft.check()?;
        check_range("n_context", n_context, 1..=MAX_CONTEXT)?;
        if sample_rate == 0 {
            let (got, expected) = ("0 Hz".into(), "at least 1 Hz".into());
            return Err(Error::Setting { name: "sample_rate", got, expected, advice: None });
        }
        Ok(Self { label: "the dictionary".into(), sample_rate, stft, n_context, sources: Vec::new() })
    }

    /// Sample rate of the recordings it is for, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// The transform whose magnitudes its templates are.
    pub fn stft(&self) -> &StftConfig {
        &self.stft
    }

    /// Consecutive frames in one template.
    pub fn n_context(&self) -> usize {
        self.n_context
    }

    /// The sources, in the order in which they were learned.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Takes the sources of another dictionary in; those of the same name become one.
    ///
    /// # Errors
    /// [`Error::DictionaryMismatch`] where it is for another sample rate or transform, or has another context.
    pub fn join(&mut self, other: Self) -> Result<()> {
        other.check_fits(self.sample_rate, &self.stft)?;
        if other.n_context != self.n_context {
            return Err(other.mismatch("n_context", other.n_context, self.n_context));
        }
        other.sources.into_iter().for_each(|source| self.add(&source.name, source.templates));
        Ok(())
    }

    /// Refuses a recording of another sample rate, and another transform.
    ///
    /// # Errors
    /// [`Error::DictionaryMismatch`].
    pub fn check_fits(&self, sample_rate: u32, stft: &StftConfig) -> Result<()> {
        let ours = &self.stft;
        if self.sample_rate != sample_rate {
            return Err(self.mismatch("sample_rate", self.sample_rate, sample_rate));
        }
        for (name, ours, theirs) in
            [("n_fft", ours.n_fft, stft.n_fft), ("win_length", ours.win_length, stft.win_length)]
        {
            if ours != theirs {
                return Err(self.mismatch(name, ours, theirs));
            }
        }
        if self.n_context > 1 && ours.hop_length != stft.hop_length {
            return Err(self.mismatch("hop_length", ours.hop_length, stft.hop_length));
        }
        if ours.window != stft.window {
            return Err(self.mismatch("window", ours.window.name(), stft.window.name()));
        }
        Ok(())
    }

    fn mismatch(&self, name: &'static str, dictionary: impl ToString, wanted: impl ToString) -> Error {
        let (dictionary, wanted) = (dictionary.to_string(), wanted.to_string());
        Error::DictionaryMismatch { label: self.label.clone(), name, dictionary, wanted }
    }

    fn add(&mut self, name: &str, templates: Array2<f32>) {
        match self.sources.iter_mut().find(|source| source.name == name) {
            Some(source) => {
                let both = concatenate(Axis(1), &[source.templates.view(), templates.view()]);
                source.templates = both.expect("templates of one dictionary have the same rows");
            }
            None => self.sources.push(Source { name: name.into(), templates }),
        }
    }
}

fn check_range(name: &'static str, got: usize, range: std::ops::RangeInclusive<usize>) -> Result<()> {
    if range.contains(&got) {
        return Ok(());
    }
    let expected = format!("{} to {}", range.start(), range.end());
    Err(Error::Setting { name, got: got.to_string(), expected, advice: None })
}

/// What a message quotes of a text of any length.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Makes every column sum to one, but for columns of zeros.
pub(crate) fn normalize(templates: &mut Array2<f32>) {
    for mut template in templates.columns_mut() {
        let sum: f64 = template.iter().map(|&x| f64::from(x)).sum();
        if sum > 0.0 {
            template.mapv_inplace(|x| (f64::from(x) / sum) as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stft::window::Window;

    const N_FFT: usize = 30;

    /// Two sources of 4 templates each, that no one learned.
    pub(super) fn dictionary() -> Dictionary {
        let mut dictionary = Dictionary::new(8000, StftConfig::new(N_FFT), 2).expect("dictionary");
        for (name, step) in [("violin", 7), ("caf\u{e9} \"solo\"", 11)] {
            let mut templates = Array2::from_shape_fn((32, 4), |(row, k)| (row * step % (k + 5)) as f32);
            normalize(&mut templates);
            dictionary.add(name, templates);
        }
        dictionary
    }

    #[test]
    fn joined_dictionaries_have_the_sources_of_both() {
        let mut one = Dictionary::new(8000, StftConfig::new(N_FFT), 2).expect("dictionary");
        one.add("violin", Array2::ones((32, 4)));
        one.join(dictionary()).expect("joined");
        let shapes: Vec<_> = one.sources().iter().map(|source| source.templates.ncols()).collect();
        assert_eq!(shapes, [8, 4], "the violins are one");
    }

    #[test]
    fn another_rate_transform_or_context_is_refused_with_the_command_that_helps() {
        let dictionary = dictionary();
        let stft = StftConfig::new(N_FFT);
        dictionary.check_fits(8000, &stft).expect("fits");
        let rate = dictionary.check_fits(44_100, &stft).expect_err("another rate");
        assert_eq!(rate.to_string(), "the dictionary is for `sample_rate 8000`, expected 44100");
        assert!(rate.hint().is_some_and(|hint| hint.contains("`sample_rate 44100`")), "{:?}", rate.hint());
        let size = dictionary.check_fits(8000, &StftConfig::new(64)).expect_err("another n_fft");
        let hint = size.hint().unwrap_or_default();
        assert!(hint.contains("use `n_fft 30`") && hint.contains("with `n_fft 64`"), "{hint}");
        let hop = dictionary.check_fits(8000, &StftConfig { hop_length: 5, ..stft }).expect_err("another hop");
        assert!(hop.to_string().contains("hop_length"), "{hop}");
        let window = StftConfig { window: Window::Sine, ..stft };
        let window = dictionary.check_fits(8000, &window).expect_err("another window");
        assert_eq!(window.to_string(), "the dictionary is for `window hann`, expected sine");
        let mut other = Dictionary::new(8000, stft, 1).expect("dictionary");
        let context = other.join(dictionary).expect_err("another context");
        assert!(context.hint().is_some_and(|hint| hint.contains("with `n_context ")), "{context}");
    }

    #[test]
    fn a_rate_of_zero_and_contexts_out_of_range_are_refused() {
        let name = |sample_rate, n_context| match Dictionary::new(sample_rate, StftConfig::new(N_FFT), n_context) {
            Err(Error::Setting { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!([name(0, 2), name(8000, 0), name(8000, 17)], ["sample_rate", "n_context", "n_context"]);
    }
}
