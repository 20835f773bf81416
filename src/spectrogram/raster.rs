//! Overviews as pictures of any size.
//! Says how bright each place is; what color that is, others know.

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::bands::VerticalAxis;
use super::cell::{Cell, Level};
use super::overview::Overview;

impl Overview {
    /// Resamples to a picture of exactly `n_columns` x `n_rows` of brightness, 0 to 1, highest frequency first.
    ///
    /// Where a cell of the picture covers several frames, they are averaged; where it covers several bins, the loudest
    /// counts (for [`Level::Linear`], the mean); where it covers a part of one, the brightness is interpolated. Where the
    /// axis reaches beyond the bands, all is dark.
    ///
    /// # Shapes and units
    /// The result is `n_rows` x `n_columns`, over all of [`Overview::span_s`] and of `axis`.
    pub fn raster(&self, axis: &VerticalAxis, level: Level, n_columns: usize, n_rows: usize) -> Array2<f32> {
        let rows = self.bands.rows(axis, self.sample_rate, n_rows);
        let (start_s, end_s) = self.span_s();
        let frames_per_s = f64::from(self.sample_rate) / self.bands.hop_length() as f64;
        // Frame 0 is centered on time 0, half a frame behind the start of its column.
        let place = |s: f64| (s * frames_per_s + 0.5 - self.first_frame as f64) / self.frames_per_column as f64;
        let columns = Cell::evenly(place(start_s), place(end_s), n_columns);

        let resample =
            |bins: &[f32]| -> Vec<f32> { rows.iter().map(|row| row.brightness_within(bins, level)).collect() };
        // Time-major, `n_columns` x `n_rows`, turned at the end.
        let brightness: Vec<Vec<f32>> = if columns.first().is_some_and(Cell::is_wide) {
            columns.par_iter().map(|column| resample(&column.mean_row(self.values.view()))).collect()
        } else {
            let each: Vec<Vec<f32>> = self.values.axis_iter(Axis(0)).map(|bins| resample(&bins.to_vec())).collect();
            columns.iter().map(|column| column.between(&each)).collect()
        };
        Array2::from_shape_fn((n_rows, n_columns), |(row, column)| brightness[column][row])
    }
}

#[cfg(test)]
mod tests {
    use super::super::overview::made::{frames, overview_of};
    use super::super::scale::{FrequencyAxis, FrequencyScale};
    use super::*;
    use crate::stft::StftConfig;

    #[test]
    fn a_raster_of_any_size_is_between_dark_and_bright() {
        for n_fft in [2, 4, 16, 64] {
            let config = StftConfig::new(n_fft);
            for n_frames in [1, 2, 50] {
                let overview = overview_of(&frames(n_frames, config.n_bins()), &config, 20);
                let level = Level::Decibel { peak: overview.peak(), range_db: 60.0 };
                for (scale, sample_rate) in FrequencyScale::ALL.into_iter().zip([8000, 44_100, 192_000]) {
                    let axis = FrequencyAxis::new(scale, &config, sample_rate, None, None).expect("axis");
                    for (n_columns, n_rows) in [(1, 1), (3, 7), (100, 40)] {
                        let raster = overview.raster(&axis.into(), level, n_columns, n_rows);
                        assert_eq!(raster.dim(), (n_rows, n_columns));
                        assert!(raster.iter().all(|b| (0.0..=1.0).contains(b)), "n_fft {n_fft}, {n_frames} frames");
                    }
                }
            }
        }
    }

    #[test]
    fn a_raster_as_fine_as_the_frames_shows_them_as_they_are() {
        let config = StftConfig { hop_length: 4, ..StftConfig::new(16) };
        let overview = overview_of(&frames(12, 9), &config, 12);
        let axis = FrequencyAxis::new(FrequencyScale::Linear, &config, 8000, Some(250.0), Some(3750.0)).expect("axis");
        // 12 hops of time in 12 columns: each reaches from the center of one frame to that of the next; 7 rows of 500 Hz.
        let raster = overview.raster(&axis.into(), Level::Decibel { peak: 100.0, range_db: 1000.0 }, 12, 7);
        for row in 0..7 {
            for column in 0..11 {
                let bin = 7 - row;
                let mean = 0.5 * (overview.values()[[column, bin]] + overview.values()[[column + 1, bin]]);
                let expected = Level::Decibel { peak: 100.0, range_db: 1000.0 }.brightness(mean);
                let got = raster[[row, column]];
                assert!((got - expected).abs() < 1e-5, "row {row}, column {column}: {got}, expected {expected}");
            }
        }
    }
}
