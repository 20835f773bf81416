//! What is told of one recording.

use std::path::PathBuf;

use partita::batch::text;
use partita::error::shown;
use serde_json::{Value, json};

use super::method::Outcome;
use super::write::{Stem, WrittenStems};
use crate::cli::inputs::Input;
use crate::cli::sound::Sound;
use crate::cli::terminal::{Terminal, counted};

/// Says what was found, and where it went.
pub(super) fn report(
    input: &Input,
    recording: &dyn Sound,
    outcome: &Outcome,
    written: &WrittenStems,
    extras: &[PathBuf],
    terminal: &Terminal,
) {
    let name = input.label();
    let (n_channels, sample_rate) = (recording.n_channels(), recording.sample_rate());
    let n_samples = written.rendered.n_samples;
    let mut lines = vec![format!(
        "{name}: {:.1} s, {sample_rate} Hz, {}",
        n_samples as f64 / f64::from(sample_rate),
        counted(n_channels, "channel"),
    )];
    lines.extend_from_slice(&outcome.remarks);
    lines.extend(written.stems.iter().map(|Stem { name, path, energy_share, .. }| {
        format!("  {name:<14} {:5.1} % of the energy  {}", 100.0 * energy_share, shown(path))
    }));
    lines.extend(extras.iter().map(|path| format!("  {}", shown(path))));
    terminal.say(&lines.join("\n"));
    let (gain, n_clamped) = written
        .stems
        .iter()
        .fold((1.0f32, 0), |(gain, n_clamped), stem| (gain.min(stem.written.gain), n_clamped + stem.written.n_clamped));
    if gain < 1.0 {
        terminal.warning(&format!(
            "{name}: all stems were made quieter by one gain of {:.2} dB, so that none clips; `--float32` needs none",
            20.0 * gain.log10()
        ));
    }
    if n_clamped > 0 {
        terminal.warning(&format!("{name}: {n_clamped} samples were cut off at full scale"));
    }
    let stems: Vec<_> = written
        .stems
        .iter()
        .map(|Stem { name, path, energy_share, written }| {
            let loudness = written.loudness;
            json!({ "name": name, "path": text(path), "energy_share": energy_share, "loudness": loudness })
        })
        .collect();
    let warnings = [&recording.notes(), outcome.separation.warnings()].concat();
    let mut event = json!({
        "event": "separated", "input": text(&input.path), "sample_rate": sample_rate, "n_channels": n_channels,
        "start_s": recording.start_s(), "n_samples": n_samples, "n_sources": outcome.separation.names().len(), "gain": gain,
        "n_clamped": n_clamped, "stems": stems, "warnings": warnings,
    });
    if let Some(factors) = outcome.separation.factorization() {
        event["n_components"] = factors.n_components().into();
        event["n_iter"] = factors.n_iter.into();
        event["divergence"] = factors.divergence.into();
        event["stop_reason"] = factors.stop_reason.name().into();
    }
    terminal.event(event);
}

/// `--dry-run`: says what would be written, and with which parameters where there is a manifest to hold them.
pub(super) fn announce(
    input: &Input,
    recording: &dyn Sound,
    paths: &[PathBuf],
    has_more: bool,
    parameters: &Value,
    terminal: &Terminal,
) {
    let mut lines = vec![format!("{}: would be separated to", input.label())];
    lines.extend(paths.iter().map(|path| format!("  {}", shown(path))));
    if has_more {
        lines.push("  ... (how many there are is not known beforehand)".into());
    }
    terminal.say(&lines.join("\n"));
    let paths: Vec<_> = paths.iter().map(|path| text(path)).collect();
    terminal.event(json!({
        "event": "dry_run", "input": text(&input.path), "sample_rate": recording.sample_rate(),
        "n_channels": recording.n_channels(), "paths": paths, "parameters": parameters,
    }));
}
