//! One pitch at a time: the likeliest path over pitches.

use ndarray::{Array2, ArrayView2};

/// A move to a neighbor on the grid costs this much, by logarithms of likelihoods: vibrato and glides.
const MOVE: f32 = 0.7;

/// A jump costs this much, and so much more for each step of the grid.
const JUMP: f32 = 6.0;
const JUMP_STEP: f32 = 0.05;

/// The path of the greatest sum of `likelihoods` (frames x pitches, logarithms), less what its moves and jumps cost.
///
/// # References
/// G. D. Forney, "The Viterbi algorithm", Proceedings of the IEEE 61(3), 1973.
pub(super) fn best(likelihoods: ArrayView2<'_, f32>) -> Vec<usize> {
    let (n_frames, n_pitches) = likelihoods.dim();
    if n_frames == 0 || n_pitches == 0 {
        return vec![0; n_frames];
    }
    let mut score: Vec<f32> = likelihoods.row(0).to_vec();
    let mut from = Array2::<u16>::zeros((n_frames, n_pitches));
    let mut next = vec![0.0f32; n_pitches];
    let mut best_from: Vec<(f32, usize)> = vec![(0.0, 0); n_pitches];
    for t in 1..n_frames {
        // A jump costs the more the farther it goes: the best origin below and above, in two sweeps.
        let mut below = (f32::NEG_INFINITY, 0);
        for (p, best) in best_from.iter_mut().enumerate() {
            below = better((below.0 - JUMP_STEP, below.1), (score[p] - JUMP, p));
            *best = below;
        }
        let mut above = (f32::NEG_INFINITY, 0);
        for (p, best) in best_from.iter_mut().enumerate().rev() {
            above = better((above.0 - JUMP_STEP, above.1), (score[p] - JUMP, p));
            *best = better(*best, above);
        }
        for p in 0..n_pitches {
            let mut best = better(best_from[p], (score[p], p));
            if p > 0 {
                best = better(best, (score[p - 1] - MOVE, p - 1));
            }
            if p + 1 < n_pitches {
                best = better(best, (score[p + 1] - MOVE, p + 1));
            }
            next[p] = best.0 + likelihoods[(t, p)];
            from[(t, p)] = best.1 as u16;
        }
        std::mem::swap(&mut score, &mut next);
    }
    let mut at = (0..n_pitches).fold(0, |best, p| if score[p] > score[best] { p } else { best });
    let mut path = vec![0; n_frames];
    for t in (0..n_frames).rev() {
        path[t] = at;
        at = usize::from(from[(t, at)]);
    }
    path
}

/// What it costs to go from one pitch to another.
pub(super) fn cost(from: usize, to: usize) -> f32 {
    match from.abs_diff(to) {
        0 => 0.0,
        1 => MOVE,
        n => JUMP + JUMP_STEP * n as f32,
    }
}

fn better(one: (f32, usize), other: (f32, usize)) -> (f32, usize) {
    if other.0 > one.0 { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_where_a_single_frame_is_in_doubt_and_goes_where_many_say_so() {
        let mut likelihoods = Array2::zeros((40, 50));
        for t in 0..40 {
            likelihoods[(t, if t < 20 { 10 } else { 33 })] = 5.0;
        }
        // A frame that says something else is not worth two jumps.
        likelihoods[(7, 10)] = 0.0;
        likelihoods[(7, 40)] = 5.0;
        let expected: Vec<_> = (0..40).map(|t| if t < 20 { 10 } else { 33 }).collect();
        assert_eq!(best(likelihoods.view()), expected);
        assert_eq!(best(Array2::zeros((0, 3)).view()), Vec::<usize>::new());
    }
}
