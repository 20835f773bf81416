//! Two channels: where sources stand between left and right, found in the sound, and what tells them apart by it.
//! Knows no method.

mod covariance;
mod histogram;
mod placed;

pub(in crate::separate) use self::covariance::{Covariance, Row};
pub use self::histogram::Place;
pub(in crate::separate) use self::histogram::{N_PLACES, PlaceHistogram, center_of, step_by_levels};
pub(in crate::separate) use self::placed::locate_between;

use crate::{Error, Result};

/// Refuses places that are none, and those of sources of what is not stereo.
pub(in crate::separate) fn check_pans(said: &[(String, f64)], n_channels: usize) -> Result<()> {
    let refuse =
        |got: String, expected: &str| Err(Error::Setting { name: "pan", got, expected: expected.into(), advice: None });
    if let Some((name, place)) = said.iter().find(|(_, place)| !(-1.0..=1.0).contains(place)) {
        return refuse(format!("{place} for `{name}`"), "-1 (left) to 1 (right)");
    }
    if !said.is_empty() && n_channels != 2 {
        let channels = if n_channels == 1 { "channel" } else { "channels" };
        return refuse(format!("given for {n_channels} {channels}"), "a recording of 2 channels");
    }
    Ok(())
}
