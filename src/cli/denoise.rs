//! `partita denoise`: recordings in, what is clean and what is noise out.

use std::ops::ControlFlow;

use partita::Error;
use partita::audio::{Recording, decode};
use partita::error::shown;
use partita::separate::Progress;
use partita::separate::denoise::{Content, DenoiseConfig, Denoised, Noise, denoise};

use super::args::Denoise;
use super::failure::Failure;
use super::stems::{self, Method, Outcome};
use super::terminal::Terminal;

/// Pauses that are listed at the most.
const MAX_LISTED: usize = 6;

pub(super) fn run(args: &Denoise, seed: u64, terminal: &Terminal) -> Result<u8, Failure> {
    let method = KnownNoise { config: config(args, seed)? };
    stems::run(&args.inputs, &args.output, &args.excerpt, seed, terminal, &method)
}

struct KnownNoise {
    config: DenoiseConfig,
}

impl Method for KnownNoise {
    fn names(&self) -> Vec<String> {
        vec!["clean".into(), "noise".into()]
    }

    fn separate(
        &self,
        recording: &dyn Recording,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, Error> {
        let denoised = denoise(recording, &self.config, progress)?;
        let remarks = remarks(&denoised, &self.config);
        Ok(Outcome { remarks, ..denoised.separation.into() })
    }
}

/// What the noise was learned from, and what the recording was taken for.
fn remarks(denoised: &Denoised, config: &DenoiseConfig) -> Vec<String> {
    let mut remarks = Vec::new();
    let parts = &denoised.noise_parts_s;
    if config.noise == Noise::Quietest {
        let mut listed: Vec<_> =
            parts.iter().take(MAX_LISTED).map(|part| format!("{:.2}-{:.2}", part.start, part.end)).collect();
        if parts.len() > MAX_LISTED {
            listed.push(format!("{} more", parts.len() - MAX_LISTED));
        }
        let total_s: f64 = parts.iter().map(|part| part.end - part.start).sum();
        remarks.push(format!(
            "noise learned from the quietest {total_s:.1} s ({} s); `--noise-range A-B` says where it is alone",
            listed.join(", ")
        ));
    }
    if config.content == Content::Auto {
        remarks.push(match denoised.content {
            Content::Speech => "taken for speech; `--content any` where it is not".into(),
            _ => "not taken for speech; `--content speech` where it is".into(),
        });
    }
    remarks
}

fn config(args: &Denoise, seed: u64) -> Result<DenoiseConfig, Failure> {
    let noise = match (&args.noise, args.noise_range) {
        (Some(path), _) => {
            let audio = decode::read(path).map_err(Failure::at(shown(path)))?;
            Noise::Example { name: shown(path), audio }
        }
        (None, Some((start, end))) => Noise::Range { start_s: start.as_secs_f64(), end_s: end.as_secs_f64() },
        (None, None) => Noise::Quietest,
    };
    Ok(DenoiseConfig {
        noise,
        content: args.content,
        strength: args.strength,
        stft: args.transform.options(),
        mask_exponent: args.mask_exponent,
        seed,
    })
}
