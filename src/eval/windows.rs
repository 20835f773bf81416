//! Windows of signals that come in blocks.
//! Knows nothing of what is done with them.

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use crate::Result;

/// Cuts signals that come in blocks into windows.
pub(super) struct Windows {
    length: usize,
    hop: usize,
    /// Samples from the start of the next window on.
    waiting: Option<Array2<f32>>,
    /// Samples to leave out before it.
    n_skipped: usize,
}

impl Windows {
    pub(super) fn new(length: usize, hop: usize) -> Self {
        Self { length, hop, waiting: None, n_skipped: 0 }
    }

    pub(super) fn push(
        &mut self,
        block: ArrayView2<'_, f32>,
        sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>,
    ) -> Result<()> {
        let n_skipped = self.n_skipped.min(block.ncols());
        self.n_skipped -= n_skipped;
        let block = block.slice(s![.., n_skipped..]);
        let waiting = match self.waiting.take() {
            None => block.to_owned(),
            Some(waiting) => concatenate(Axis(1), &[waiting.view(), block]).expect("as many signals as before"),
        };
        let mut start = 0;
        while start + self.length <= waiting.ncols() {
            sink(waiting.slice(s![.., start..start + self.length]))?;
            start += self.hop;
        }
        self.n_skipped += start.saturating_sub(waiting.ncols());
        self.waiting = Some(waiting.slice(s![.., start.min(waiting.ncols())..]).to_owned());
        Ok(())
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
