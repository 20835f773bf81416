//! Windows of signals that come in blocks.
//! Knows nothing of what is done with them.

use ndarray::{Array2, ArrayView2, Axis, s};

use crate::Result;

/// Cuts signals that come in blocks into windows.
pub(super) struct Windows {
    length: usize,
    hop: usize,
    /// The first samples of the next window, `n_waiting` of each signal, and room for more.
    waiting: Array2<f32>,
    n_waiting: usize,
    /// Samples to leave out before it.
    n_skipped: usize,
}

impl Windows {
    pub(super) fn new(length: usize, hop: usize) -> Self {
        Self { length, hop, waiting: Array2::default((0, 0)), n_waiting: 0, n_skipped: 0 }
    }

    pub(super) fn push(
        &mut self,
        mut block: ArrayView2<'_, f32>,
        sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>,
    ) -> Result<()> {
        while block.ncols() > 0 {
            let n_skipped = self.n_skipped.min(block.ncols());
            self.n_skipped -= n_skipped;
            let n_new = (block.ncols() - n_skipped).min(self.length - self.n_waiting);
            self.make_room(block.nrows(), self.n_waiting + n_new);
            let new = block.slice(s![.., n_skipped..n_skipped + n_new]);
            self.waiting.slice_mut(s![.., self.n_waiting..self.n_waiting + n_new]).assign(&new);
            self.n_waiting += n_new;
            block.slice_axis_inplace(Axis(1), (n_skipped + n_new..).into());
            if self.n_waiting == self.length {
                sink(self.waiting.slice(s![.., ..self.length]))?;
                self.go_on();
            }
        }
        Ok(())
    }

    /// Goes to the start of the next window.
    fn go_on(&mut self) {
        self.n_waiting = self.length.saturating_sub(self.hop);
        self.n_skipped = self.hop.saturating_sub(self.length);
        for mut row in self.waiting.outer_iter_mut() {
            let row = row.as_slice_mut().expect("a row of an array that is owned");
            row.copy_within(self.length - self.n_waiting..self.length, 0);
        }
    }

    /// Room for `n` samples, and never for much more than came: windows may be longer than any signal.
    fn make_room(&mut self, n_signals: usize, n: usize) {
        if n > self.waiting.ncols() {
            let mut larger = Array2::zeros((n_signals, (2 * n).min(self.length)));
            let kept = s![.., ..self.n_waiting];
            if self.n_waiting > 0 {
                larger.slice_mut(kept).assign(&self.waiting.slice(kept));
            }
            self.waiting = larger;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_those_that_fit_whatever_the_blocks() {
        let signal = Array2::from_shape_fn((1, 23), |(_, i)| i as f32);
        for (length, hop, expected) in [(5, 5, 4), (5, 3, 7), (4, 6, 4), (23, 1, 1), (24, 1, 0)] {
            for size in [1, 4, 23] {
                let mut windows = Windows::new(length, hop);
                let mut starts = Vec::new();
                for block in signal.axis_chunks_iter(Axis(1), size) {
                    windows
                        .push(block, &mut |window| {
                            assert_eq!(window.ncols(), length);
                            starts.push(window[[0, 0]] as usize);
                            Ok(())
                        })
                        .expect("nothing fails");
                }
                let wanted: Vec<_> = (0..expected).map(|k| k * hop).collect();
                assert_eq!(starts, wanted, "windows of {length} each {hop}, in blocks of {size}");
            }
        }
    }
}
