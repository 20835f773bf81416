//! What was learned from mini-batches, as plain numbers.
//! Only holds them: `mini_batch` goes on from them.

use ndarray::Array2;

use super::Real;

/// What a [`MiniBatch`](super::MiniBatch) has learned: enough to go on elsewhere, or later.
#[derive(Debug, Clone, PartialEq)]
pub struct MiniBatchState<T: Real = f32> {
    /// W, `n_rows` x `n_components`.
    pub dictionary: Array2<T>,
    /// The running sum of the numerators of W's updates, of the shape of W, on the input's scale.
    pub numerator: Array2<T>,
    /// The running sum of their denominators.
    pub denominator: Array2<T>,
    /// Share of these sums that one batch leaves.
    pub keeps: f64,
    /// What the matrix is multiplied by while it is worked on.
    pub scale: f64,
    /// Batches that were learned from.
    pub n_steps: usize,
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use crate::nmf::{Divergence, MiniBatch, MiniBatchConfig, NmfConfig};

    #[test]
    fn a_learner_that_was_taken_up_again_goes_on_as_it_would_have() {
        let v = Array2::from_shape_fn((6, 40), |(i, j)| (1 + i * j % 7) as f64 * 3e5);
        for divergence in [Divergence::KullbackLeibler, Divergence::Euclidean, Divergence::Beta(0.5)] {
            let config = MiniBatchConfig {
                nmf: NmfConfig { n_components: 3, divergence, ..NmfConfig::default() },
                batch_size: 20,
                ..MiniBatchConfig::default()
            };
            let mut learner = MiniBatch::new(config.clone()).expect("settings in range");
            learner.partial_fit(v.slice(s![.., ..20])).expect("a batch");
            let state = learner.state().expect("a batch was learned from");
            assert_eq!(state.n_steps, 1);
            let mut again = MiniBatch::resumed(config.clone(), state.clone()).expect("a state of the same shape");
            for learner in [&mut learner, &mut again] {
                learner.partial_fit(v.slice(s![.., 20..])).expect("another batch");
            }
            // With a beta of 0.5 the powers of the scales are rounded.
            let gap = (learner.dictionary().expect("W") - again.dictionary().expect("W")).mapv(f64::abs).sum();
            assert!(gap <= 1e-9, "{divergence:?}: {gap}");
            let narrow = Array2::zeros((6, 2));
            let wrong = crate::nmf::MiniBatchState { numerator: narrow, ..state };
            assert!(MiniBatch::resumed(config, wrong).is_err(), "sums of another shape");
        }
    }
}
