//! `partita separate`: recordings in, one file per source out.

use std::ops::ControlFlow;
use std::path::PathBuf;

use partita::audio::encode::{self, ClipMode, EncodeConfig, SampleFormat, Writer};
use partita::nmf::{NmfConfig, Progress};
use partita::separate::{Stems, separate_with};
use partita::{Audio, Error, SeparateConfig, Separation, StftOptions, plot};
use serde_json::json;

use super::args::{Method, Output, Separate};
use super::failure::{DONE, Failure};
use super::inputs::{self, Input};
use super::outputs::{Template, existing};
use super::terminal::Terminal;
use super::{is_interrupted, sound};

/// What is the same for every input.
struct Job<'a> {
    output: &'a Output,
    template: Template<'a>,
    encode: EncodeConfig,
    stems: Stems,
    config: SeparateConfig,
    excerpt: sound::Excerpt,
    terminal: &'a Terminal,
}

pub(super) fn run(args: &Separate, seed: u64, terminal: &Terminal) -> Result<u8, Failure> {
    let job = Job {
        output: &args.output,
        template: Template::new(&args.output)?,
        encode: encode_config(&args.output, seed)?,
        stems: stems(&args.output),
        config: config(args, seed),
        excerpt: sound::Excerpt::new(&args.excerpt),
        terminal,
    };
    let inputs = inputs::list(&args.inputs)?;
    for input in &inputs {
        job.refuse_existing(input, &job.expected_names())?;
    }
    sound::each(&inputs, terminal, "separated", |input| job.run(input))
}

impl Job<'_> {
    fn run(&self, input: &Input) -> Result<(), Failure> {
        let name = input.path.display();
        if self.output.skip_existing && self.find_existing(input, &self.expected_names()).is_some() {
            self.terminal.say(&format!("{name}: skipped, its stems exist"));
            self.terminal.event(json!({ "event": "skipped", "input": name.to_string() }));
            return Ok(());
        }
        if self.output.dry_run {
            return self.announce(input);
        }
        let audio = sound::read(input, &self.excerpt, self.terminal)?;
        let separation = self.separate(&audio).map_err(Failure::at(&name))?;
        let names = separation.stem_names(&self.stems).map_err(Failure::at(&name))?;
        self.refuse_existing(input, &names)?;
        let mut paths = self.write(input, &audio, &separation, &self.stems)?;
        if self.output.components_out {
            paths.append(&mut self.write(input, &audio, &separation, &Stems::Components)?);
        }
        if self.output.plot {
            paths.append(&mut self.plot(input, &audio, &separation)?);
        }
        self.report(input, &audio, &separation, &names, &paths);
        Ok(())
    }

    fn separate(&self, audio: &Audio) -> Result<Separation, Error> {
        let bar = self.terminal.bar(self.config.nmf.max_iter as u64, "separating");
        separate_with(audio, &self.config, &mut |progress: Progress| {
            bar.set(progress.iteration as u64);
            if let Some(divergence) = progress.divergence {
                bar.message(format!("iteration {} of {}", progress.iteration, progress.max_iter));
                self.terminal.event(json!({
                    "event": "progress", "iteration": progress.iteration, "max_iter": progress.max_iter,
                    "divergence": divergence,
                }));
            }
            if is_interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }
}
