//! `separate` without any knowledge: components, grouped into sources.

use partita::audio::Recording;
use partita::nmf::NmfConfig;
use partita::separate::blind::{self, BlindConfig};
use partita::separate::group::Kind;
use partita::separate::panned::{self, PannedConfig};
use partita::separate::{Analysis, AnalysisConfig, HowPlaced, Places};
use partita::watch::Watch;
use partita::{Error, names};

use super::args::SeparateArgs;
use super::labels;
use crate::cli::failure::Failure;
use crate::cli::stems::{Method, Outcome};
use crate::cli::terminal::counted;

pub(super) struct Blind {
    analysis: AnalysisConfig,
    places: Places,
    config: BlindConfig,
    labels: Option<labels::Output>,
}

impl Blind {
    pub(super) fn new(args: &SeparateArgs, seed: u64) -> Result<Self, Failure> {
        Ok(Self {
            analysis: args.method.analysis(),
            places: args.places.or_pan(&args.pan, HowPlaced::Pan)?,
            config: config(args, seed),
            labels: labels::Output::new(args)?,
        })
    }
}

impl Method for Blind {
    fn names(&self) -> Vec<String> {
        let said = self.places.said.iter().map(|(name, _)| name.clone());
        said.chain((self.places.said.len() + 1..=self.config.n_sources.unwrap_or(1)).map(names::source)).collect()
    }

    fn has_more_names(&self) -> bool {
        self.config.n_sources.is_none()
    }

    fn analysis(&self) -> AnalysisConfig {
        self.analysis.clone()
    }

    fn places(&self) -> Places {
        // What is told apart by where it stands is so by its method.
        if self.places.is_pan() { Places::default() } else { self.places.clone() }
    }

    fn more_bytes(&self, n_channels: usize) -> u64 {
        if self.places.is_pan() && n_channels == 2 { panned::MAX_BYTES as u64 * 3 / 2 } else { 0 }
    }

    fn fit(&self, recording: &dyn Recording, analysis: &Analysis, watch: &mut Watch<'_>) -> Result<Outcome, Error> {
        let separation = match self.places.is_pan() {
            true => {
                let config = PannedConfig { blind: self.config.clone(), said: self.places.said.clone() };
                panned::fit(recording, analysis, &config, watch)?
            }
            false => blind::fit(analysis, &self.config, None, watch)?,
        };
        let n_sources = separation.names().len();
        let mut remarks = Vec::new();
        if let Some(factors) = separation.factorization() {
            remarks.push(format!(
                "{}{} from {} after {} ({})",
                counted(n_sources, "source"),
                if self.config.n_sources.is_none() { ", a number suggested by the grouping," } else { "" },
                counted(factors.n_components(), "component"),
                counted(factors.n_iter, "iteration"),
                factors.stop_reason.name(),
            ));
        }
        if n_sources > 1 {
            let kinds = blind::kinds(&separation);
            let guess = |(name, kind): (&String, Option<Kind>)| Some(format!("{name}: {}?", kind?.name()));
            let guesses: Vec<_> = separation.names().iter().zip(kinds).filter_map(guess).collect();
            if !guesses.is_empty() {
                remarks.push(guesses.join(", "));
            }
            remarks.push(
                "Grouping without knowledge is a suggestion: listen, and try another `-n` or `-k`, or `--components-out`."
                    .into(),
            );
        }
        if let Some(output) = &self.labels {
            remarks.push(output.write(analysis, &separation)?);
        }
        Ok(Outcome { remarks, ..separation.into() })
    }
}

fn config(args: &SeparateArgs, seed: u64) -> BlindConfig {
    let method = &args.method;
    let defaults = BlindConfig::default();
    BlindConfig {
        n_sources: args.n_sources,
        nmf: NmfConfig {
            n_components: args.n_components.unwrap_or(defaults.nmf.n_components),
            divergence: method.divergence,
            max_iter: method.max_iter.unwrap_or(defaults.nmf.max_iter),
            tol: method.tol,
            seed,
            ..defaults.nmf
        },
        mask_exponent: method.mask_exponent,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use partita::StftConfig;

    use super::*;
    use crate::cli::stems::Extent;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SeparateArgs,
    }

    fn extent(options: &[&str]) -> Extent {
        let line = Line::parse_from(["separate", "song.wav"].iter().chain(options));
        Extent::new(&Blind::new(&line.args, 0).expect("method").analysis(), 44_100)
    }

    #[test]
    fn memory_is_counted_with_the_options_that_were_given() {
        assert_eq!(extent(&[]), Extent { stft: StftConfig::new(4096), max_frames: 20_000, has_spectra: false });
        let options = ["--n-fft", "1024", "--hop-length", "128", "--max-frames", "500"];
        let stft = StftConfig { hop_length: 128, ..StftConfig::new(1024) };
        assert_eq!(extent(&options), Extent { stft, max_frames: 500, has_spectra: false });
    }
}
