//! What every method is made of, each piece usable without the others: an [`Analysis`] of a recording, a [`Model`] that
//! splits any block of its frames, masks, places among several channels, and a [`Renderer`] that makes sound of it.
//! Knows no method.

mod analysis;
mod blocks;
mod filtered;
mod fingerprint;
mod kept;
pub mod mask;
mod model;
mod pan;
mod range;
mod renderer;
mod rest;
mod spatial;

pub use self::analysis::{Analysis, AnalysisConfig, DRUMS_WINDOW_S, Detail, MUSIC_WINDOW_S, SPEECH_WINDOW_S};
pub(super) use self::blocks::{BLOCK_FRAMES, each_span};
pub(super) use self::kept::RUN;
pub(super) use self::model::Stage;
pub use self::model::{Block, Margin, Model, Split};
pub use self::pan::Place;
pub(super) use self::pan::{Covariance, N_PLACES, Row, center_of, check_pans, locate_between, step_by_levels};
pub(super) use self::range::{block_masks, count_samples, masks_of_stems, render_range};
pub(super) use self::renderer::{Form, Output, check_channels};
pub use self::renderer::{Rendered, Renderer};
pub(super) use self::rest::Rest;
pub(super) use self::spatial::locate;
