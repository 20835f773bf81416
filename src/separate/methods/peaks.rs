//! Where something rises above what is near.

/// Indices of values that none within `distance` exceeds, and that are at least this share of the largest of all.
pub(super) fn peaks(values: &[f32], distance: usize, threshold: f32) -> Vec<usize> {
    let largest = values.iter().fold(0.0f32, |most, x| most.max(*x));
    let mut found: Vec<usize> = Vec::new();
    for (i, &x) in values.iter().enumerate() {
        let around = &values[i.saturating_sub(distance)..(i + distance + 1).min(values.len())];
        let is_first = found.last().is_none_or(|last| i - last > distance);
        if x > 0.0 && x >= threshold * largest && is_first && around.iter().all(|y| *y <= x) {
            found.push(i);
        }
    }
    found
}
