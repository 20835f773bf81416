//! `partita hpss`: harmonic and percussive sound, told apart.

use std::ops::ControlFlow;

use partita::Error;
use partita::audio::Recording;
use partita::separate::{HpssConfig, Progress, RESIDUAL, hpss};

use super::args::Hpss;
use super::failure::Failure;
use super::stems::{self, Method, Outcome};
use super::terminal::Terminal;

pub(super) fn run(args: &Hpss, seed: u64, terminal: &Terminal) -> Result<u8, Failure> {
    let config = HpssConfig {
        stft: args.transform.options(),
        harmonic_s: args.harmonic_s,
        percussive_hz: args.percussive_hz,
        margin: args.margin,
        mask_exponent: args.mask_exponent,
    };
    stems::run(&args.inputs, &args.output, &args.excerpt, seed, terminal, &Medians { config })
}

struct Medians {
    config: HpssConfig,
}

impl Method for Medians {
    fn names(&self) -> Vec<String> {
        let names = ["harmonic", "percussive", RESIDUAL];
        let n_names = if self.config.margin > 1.0 { 3 } else { 2 };
        names[..n_names].iter().map(|name| (*name).to_owned()).collect()
    }

    fn separate(
        &self,
        recording: &dyn Recording,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, Error> {
        Ok(hpss(recording, &self.config, progress)?.into())
    }
}
