//! The frames of a recording that an analysis keeps: all of them or, of a long one, runs spread evenly over its length.
//! Takes spectra as they come; what they are for is not known.

use std::ops::Range;

use ndarray::{ArrayView2, s};
use realfft::num_complex::Complex32;

use super::blocks::SpectraBuffer;
use super::pan::PlaceHistogram;
use crate::audio::Recording;
use crate::stft::Stft;

/// Frames of a long recording are kept in runs of this many: long enough for what looks at neighbors (1.5 s at 44.1 kHz
/// with a hop of 1024).
pub(in crate::separate) const RUN: usize = 64;

/// The frames that are kept, in runs, thinned out by half whenever there are too many.
pub(super) struct Kept {
    pub(super) n_bins: usize,
    max_runs: usize,
    pub(super) runs: Vec<usize>,
    pub(super) magnitude: Vec<f32>,
    pub(super) spectra: Vec<Vec<Complex32>>,
    /// Of two channels.
    pub(super) places: Option<PlaceHistogram>,
    has_spectra: bool,
    /// Frames seen.
    n_frames: usize,
    /// One run of this many is kept.
    stride: usize,
    /// Runs that are kept in any case, in order.
    always: Vec<Range<usize>>,
}

impl Kept {
    /// At the most so many frames, beside those of the times `keep_s`.
    pub(super) fn new(
        stft: &Stft,
        recording: &dyn Recording,
        max_frames: usize,
        keep_s: &[Range<f64>],
        has_spectra: bool,
    ) -> Self {
        // Even, so that runs go in pairs of which one stays.
        let max_runs = (max_frames / RUN / 2 * 2).max(2);
        let run = |time_s: f64| {
            let sample = (time_s - recording.start_s()) * f64::from(recording.sample_rate());
            let frame = sample / stft.config().hop_length as f64;
            frame.max(0.0) as usize / RUN
        };
        let mut always: Vec<_> = keep_s.iter().map(|range| run(range.start)..run(range.end) + 1).collect();
        always.sort_by_key(|range| range.start);
        Self {
            n_bins: stft.config().n_bins(),
            max_runs,
            runs: Vec::new(),
            magnitude: Vec::new(),
            spectra: vec![Vec::new(); recording.n_channels()],
            places: (recording.n_channels() == 2).then(PlaceHistogram::new),
            has_spectra,
            n_frames: 0,
            stride: 1,
            always,
        }
    }

    /// Takes all frames out of `buffer`.
    pub(super) fn take(&mut self, buffer: &mut SpectraBuffer<'_>) {
        let magnitude = buffer.magnitude();
        // Frames of one run stand together.
        let mut row = 0;
        while row < magnitude.nrows() {
            let run = self.n_frames / RUN;
            let rows = row..magnitude.nrows().min(row + RUN - self.n_frames % RUN);
            if self.n_frames.is_multiple_of(RUN) {
                self.begin(run);
            }
            if self.runs.last() == Some(&run) {
                append(&mut self.magnitude, magnitude.slice(s![rows.clone(), ..]));
                if let Some(places) = &mut self.places {
                    let spectra: Vec<_> = buffer.spectra().collect();
                    for row in rows.clone() {
                        let frame =
                            |channel: usize| spectra[channel].row(row).to_slice().expect("a row of whole frames");
                        places.add(frame(0), frame(1));
                    }
                }
                if self.has_spectra {
                    for (kept, spectrum) in self.spectra.iter_mut().zip(buffer.spectra()) {
                        append(kept, spectrum.slice(s![rows.clone(), ..]));
                    }
                }
            } else if let Some(places) = &mut self.places {
                places.skip();
            }
            self.n_frames += rows.len();
            row = rows.end;
        }
        let n_frames = buffer.n_frames();
        buffer.let_go(n_frames);
    }

    /// Decides whether a run that begins is to be kept.
    fn begin(&mut self, run: usize) {
        let is_regular = |run: usize, stride: usize| run.is_multiple_of(stride);
        if is_regular(run, self.stride) {
            let n_regular = self.runs.iter().filter(|run| is_regular(**run, self.stride)).count();
            if n_regular == self.max_runs {
                self.thin_out();
            }
        }
        // What was kept until now may be one to leave out from now on.
        if is_regular(run, self.stride) || self.is_always(run) {
            self.runs.push(run);
        }
    }

    fn is_always(&self, run: usize) -> bool {
        self.always.iter().any(|range| range.contains(&run))
    }

    fn thin_out(&mut self) {
        self.stride *= 2;
        let stays: Vec<_> =
            self.runs.iter().map(|run| run.is_multiple_of(self.stride) || self.is_always(*run)).collect();
        let length = RUN * self.n_bins;
        compact(&mut self.magnitude, &stays, length);
        if self.has_spectra {
            self.spectra.iter_mut().for_each(|spectrum| compact(spectrum, &stays, length));
        }
        compact(&mut self.runs, &stays, 1);
    }
}

pub(super) fn append<T: Copy>(kept: &mut Vec<T>, rows: ArrayView2<'_, T>) {
    kept.extend_from_slice(rows.to_slice().expect("rows stand one after the other"));
}

/// Leaves out the pieces of one length that are not to stay.
fn compact<T: Copy>(values: &mut Vec<T>, stays: &[bool], length: usize) {
    let mut to = 0;
    for (from, _) in stays.iter().enumerate().filter(|(_, stays)| **stays) {
        values.copy_within(from * length..(from + 1) * length, to * length);
        to += 1;
    }
    values.truncate(to * length);
}
