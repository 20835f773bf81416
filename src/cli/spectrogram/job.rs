//! What is done with each recording, or with all of them together: from their files to pictures.

use std::path::{Path, PathBuf};

use partita::audio::Recording;
use partita::batch::{Budget, text};
use partita::error::shown;
use partita::watch::Watch;
use serde_json::json;

use super::args::SpectrogramArgs;
use super::look::{Drawn, Look};
use crate::cli::batch::default_memory;
use crate::cli::context::Context;
use crate::cli::exit::DONE;
use crate::cli::failure::Failure;
use crate::cli::inputs::Input;
use crate::cli::ledger::{Done, Ledger};
use crate::cli::outputs::{self, Template};
use crate::cli::sound;
use crate::cli::terminal::{Terminal, counted};

/// What is the same for every input.
pub(super) struct Job<'a> {
    args: &'a SpectrogramArgs,
    look: &'a Look,
    place: Place<'a>,
    excerpt: sound::Excerpt,
    budget: Budget,
    ledger: Ledger,
}

/// Where pictures go.
enum Place<'a> {
    File(&'a Path),
    Folder(Template<'a>),
}

impl<'a> Job<'a> {
    /// Refuses names that are none of pictures, and one picture for several recordings.
    pub(super) fn new(
        args: &'a SpectrogramArgs,
        look: &'a Look,
        inputs: &[Input],
        context: &Context,
    ) -> Result<Self, Failure> {
        let place = place(args, look, inputs)?;
        Ok(Self {
            args,
            look,
            place,
            excerpt: sound::Excerpt::new(&args.excerpt),
            budget: Budget::new(args.batch.memory.unwrap_or_else(default_memory)),
            ledger: Ledger::open(&args.batch, context)?,
        })
    }

    /// Refuses pictures that would take the place of another file, before any work.
    pub(super) fn check(&self, inputs: &[Input]) -> Result<(), Failure> {
        let expected: Vec<_> = inputs.iter().map(|input| self.expected_paths(input)).collect();
        outputs::refuse_shared(inputs, &expected)?;
        if !self.args.skip_existing {
            expected.iter().try_for_each(|paths| outputs::refuse_existing(paths, self.may_replace()))?;
            let mut further = inputs.iter().map(|input| self.look.further_tiles(&self.path(input)));
            further.try_for_each(|paths| outputs::refuse_existing(&paths, self.may_replace()))?;
        }
        if !self.args.dry_run {
            let folder = match &self.place {
                Place::File(path) => path.parent().unwrap_or(Path::new("")),
                Place::Folder(_) => &self.args.out,
            };
            outputs::check_writable(folder)?;
        }
        Ok(())
    }

    /// Does one recording.
    pub(super) fn run(&self, input: &Input, terminal: &Terminal) -> Result<(), Failure> {
        let (name, expected) = (input.label(), self.expected_paths(input));
        if self.args.skip_existing && outputs::existing(&expected).is_some() {
            terminal.say(&format!("{name}: skipped, its picture exists"));
            terminal.event(json!({ "event": "skipped", "input": text(&input.path) }));
            return Ok(());
        }
        if self.args.dry_run {
            let recording = sound::open(input, &self.excerpt, terminal)?;
            terminal.say(&format!("{name}: would be drawn to {}", shown(&self.path(input))));
            terminal.event(json!({
                "event": "dry_run", "input": text(&input.path), "sample_rate": recording.sample_rate(),
                "n_channels": recording.n_channels(), "paths": [text(&self.path(input))],
            }));
            return Ok(());
        }
        self.ledger.run(input, terminal, || self.draw(input, terminal))
    }

    /// From a recording to its picture, or its pictures.
    fn draw(&self, input: &Input, terminal: &Terminal) -> Result<Done, Failure> {
        let name = input.label();
        let recording = sound::open(input, &self.excerpt, terminal)?;
        let drawn = self.budget.with(self.look.bytes(&recording), || {
            let mut steps = terminal.steps();
            let mut tell = |progress| steps.tell(progress);
            self.look.draw(&file_name(&input.path), &recording, &self.path(input), &mut Watch::new(&mut tell))
        });
        let Drawn { paths, n_samples } = drawn.map_err(Failure::at(&name))?;
        self.look.check_letters(std::iter::once(&*file_name(&input.path)), &self.path(input), terminal);
        if let Place::File(path) = self.place {
            let mut others = self.look.further_tiles(path).into_iter().chain(self.look.expected_paths(path));
            if let Some(other) = others.find(|other| !paths.contains(other) && other.exists()) {
                let other = shown(&other);
                terminal
                    .warning(&format!("{name}: `{other}` is still there from an earlier run, and not a part of this"));
            }
        }
        let last = paths.last().filter(|_| paths.len() > 1);
        let to_last = last.map_or(String::new(), |last| format!(" to {} ({} pictures)", shown(last), paths.len()));
        terminal.say(&format!("{name} -> {}{to_last}", paths.first().map(|path| shown(path)).unwrap_or_default()));
        let texts: Vec<_> = paths.iter().map(|path| text(path)).collect();
        terminal.event(json!({
            "event": "drawn", "input": text(&input.path), "path": texts.first(), "paths": texts,
            "n_samples": n_samples, "start_s": recording.start_s(), "warnings": recording.notes(),
        }));
        let duration_s = n_samples as f64 / f64::from(recording.sample_rate());
        Ok(Done { files: paths, duration_s, warnings: recording.notes().to_vec(), ..Done::default() })
    }

    fn path(&self, input: &Input) -> PathBuf {
        match &self.place {
            Place::File(path) => path.to_path_buf(),
            Place::Folder(template) => template.picture(input),
        }
    }

    fn expected_paths(&self, input: &Input) -> Vec<PathBuf> {
        self.look.expected_paths(&self.path(input))
    }

    fn may_replace(&self) -> bool {
        self.args.force || self.args.batch.resume
    }

    /// Ends the work on all inputs.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.ledger.finish()
    }
}

/// Whether `--out` is a picture or a folder of them.
fn place<'a>(args: &'a SpectrogramArgs, look: &Look, inputs: &[Input]) -> Result<Place<'a>, Failure> {
    let out = args.out.as_path();
    let is_folder = out.is_dir() || out.as_os_str().as_encoded_bytes().ends_with(b"/");
    let is_picture = !is_folder && look.check(out).is_ok();
    if is_picture {
        if inputs.len() > 1 {
            return Err(Failure::usage(
                format!("`{}` is one picture, and there are {} recordings", shown(out), inputs.len()),
                "choose a folder, `--out pictures`, or compare them in one picture with `--together`",
            ));
        }
        if args.filename.is_some() {
            return Err(Failure::usage(
                format!("`--filename` names pictures in a folder, and `{}` is a picture", shown(out)),
                "choose a folder, `--out pictures`, or leave `--filename` out",
            ));
        }
        return Ok(Place::File(out));
    }
    let is_one_file = matches!(inputs, [input] if args.inputs.paths == std::slice::from_ref(&input.path));
    if is_one_file && !is_folder && out.extension().is_some() {
        // A folder is not what is meant by `picture.jpg`.
        look.check(out)?;
    }
    let template = Template::of_pictures(out, args.filename.as_deref().unwrap_or("{track}.png"))?;
    look.check(&out.join(args.filename.as_deref().unwrap_or("x.png")))?;
    Ok(Place::Folder(template))
}

/// Draws all recordings in one picture.
pub(super) fn together(
    args: &SpectrogramArgs,
    look: &Look,
    inputs: &[Input],
    terminal: &Terminal,
) -> Result<u8, Failure> {
    look.check(&args.out)?;
    outputs::refuse_existing(std::slice::from_ref(&args.out), args.force)?;
    outputs::check_writable(args.out.parent().unwrap_or(Path::new("")))?;
    let excerpt = sound::Excerpt::new(&args.excerpt);
    let names: Vec<_> = inputs.iter().map(|input| file_name(&input.path)).collect();
    let (mut named, mut start_s) = (Vec::new(), 0.0);
    for (input, name) in inputs.iter().zip(&names) {
        // Files of one name are told apart by their folders.
        let is_unique = names.iter().filter(|other| *other == name).count() == 1;
        let recording = sound::open(input, &excerpt, terminal)?;
        let mut steps = terminal.steps();
        let mut tell = |progress| steps.tell(progress);
        let views = look.views(&recording, &mut Watch::new(&mut tell)).map_err(Failure::at(input.label()))?;
        start_s = recording.start_s();
        named.push((if is_unique { name.clone() } else { input.label() }, views));
    }
    look.draw_together(&named, start_s, &args.out)?;
    look.check_letters(named.iter().map(|(name, _)| &**name), &args.out, terminal);
    let texts: Vec<_> = inputs.iter().map(|input| text(&input.path)).collect();
    terminal.say(&format!("{} -> {}", counted(inputs.len(), "recording"), shown(&args.out)));
    terminal.event(json!({ "event": "drawn_together", "inputs": texts, "path": text(&args.out) }));
    Ok(DONE)
}

fn file_name(path: &Path) -> String {
    shown(Path::new(path.file_name().unwrap_or(path.as_os_str())))
}
