//! Does the score belong to the recording?

use super::grid::Grid;
use super::template::Template;
use crate::knowledge::score::align::Chroma;
use crate::knowledge::score::{Note, Score, transposition};
use crate::separate::pipeline::Analysis;
use crate::{Error, Result};

/// Refuses a score that lies outside the recording, and warns of one that lies partly outside.
pub(super) fn check_times(score: &Score, grid: &Grid, warnings: &mut Vec<String>) -> Result<()> {
    /// Longer silences before the first note and after the last are odd, in seconds.
    const TAIL_S: f64 = 10.0;
    let Some((start_s, end_s)) = score.span_s() else { return Err(Error::EmptyScore) };
    let (first_s, last_s) = (grid.span_s.start, grid.span_s.end);
    let is_excerpt = first_s > 0.0;
    let place = match is_excerpt {
        true => format!("the part of the recording that is read, {first_s:.1} to {last_s:.1} s"),
        false => format!("the recording, which lasts {last_s:.1} s"),
    };
    let notes = || score.parts.iter().flat_map(|part| &part.notes);
    let is_inside = |note: &Note| note.onset_s < last_s && note.offset_s >= first_s;
    if !notes().any(is_inside) {
        let reason = format!("its notes lie at {start_s:.1} to {end_s:.1} s, outside of {place}");
        return Err(Error::ScoreMismatch { reason });
    }
    // What was played before an excerpt is not to be heard in it.
    let is_before = |note: &Note| is_excerpt && note.offset_s < first_s;
    let n_outside = notes().filter(|note| !is_inside(note) && !is_before(note)).count();
    if n_outside > 0 {
        warnings.push(format!(
            "{n_outside} of {} notes of the score lie outside of {place}; is it of the same performance? `--align` moves a \
             score to a recording",
            score.n_notes()
        ));
    } else if end_s > last_s + 1.0 {
        warnings.push(format!(
            "the score ends at {end_s:.1} s, the recording at {last_s:.1} s; `--align` moves a score to a recording"
        ));
    }
    if last_s - end_s > TAIL_S.max(0.25 * (last_s - first_s)) {
        warnings.push(format!(
            "the recording ends at {last_s:.1} s, and the score at {end_s:.1} s: what follows goes to no part"
        ));
    }
    for part in &score.parts {
        if !part.notes.iter().any(is_inside) {
            let place = if is_excerpt { "in what is read of the recording" } else { "in the recording" };
            warnings.push(format!("no note of `{}` lies {place}: its stem is silent", part.name));
        }
    }
    Ok(())
}

/// By how many semitones the recording sounds higher than the score, and a word about it where that was to be found.
pub(super) fn find_transposition(score: &Score, analysis: &Analysis, grid: &Grid, warnings: &mut Vec<String>) -> f64 {
    /// Instruments are out of tune by less, in semitones: that is found for each of them.
    const LEAST: f64 = 0.3;
    if let Some(semitones) = score.transposition {
        return semitones;
    }
    let frame_s = |row| analysis.frame_s(analysis.frame_idx(row));
    let found = transposition::find(score, &grid.transform, grid.sample_rate, analysis.magnitude(), frame_s);
    let Some(semitones) = found.filter(|semitones| semitones.abs() > LEAST) else { return 0.0 };
    warnings.push(format!(
        "the recording sounds {} than the score, and is taken apart so, as with `--score-transpose {semitones}`; if that is \
         wrong, use `--score-transpose 0`",
        transposition::in_words(semitones)
    ));
    semitones
}

/// Warns where little is heard under the notes, or something else than they say.
pub(super) fn check_sound(
    score: &Score,
    templates: &[Template],
    analysis: &Analysis,
    grid: &Grid,
    warnings: &mut Vec<String>,
) {
    /// Less of the energy under the notes than this is odd.
    const LEAST_SHARE: f64 = 0.5;
    let mut heard = (0.0, 0.0);
    for (row, frame) in analysis.magnitude().outer_iter().enumerate() {
        let energy: f64 = frame.iter().map(|x| f64::from(*x).powi(2)).sum();
        let frame_idx = analysis.frame_idx(row);
        heard.1 += energy;
        if templates.iter().any(|template| template.is_active(frame_idx)) {
            heard.0 += energy;
        }
    }
    if heard.0 < LEAST_SHARE * heard.1 {
        warnings.push(format!(
            "only {:.0} % of the sound lies under the notes of the score; `--score-offset`, `--score-stretch` and \
             `--align` move it",
            100.0 * heard.0 / heard.1
        ));
        return;
    }
    let frame_s = |row| analysis.frame_s(analysis.frame_idx(row));
    let chroma = Chroma::new(&grid.transform, grid.sample_rate, grid.transposition);
    if let Some(better) = transposition::better(score, &chroma, analysis.magnitude(), frame_s) {
        warnings.push(format!(
            "the notes of the score fit the recording no better than others do, best {}: is it of the same piece, in \
             the same key, and in time? `--align` moves a score to a recording, `--score-transpose` says how high it sounds",
            transposition::in_words(f64::from(better))
        ));
    }
}
