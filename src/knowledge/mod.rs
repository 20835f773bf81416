//! What a user can give beside the recording: a score, sounds of the sources, names of components.
//! Finding any of it in a mixture is the business of `separate`.

pub mod dictionary;
pub mod labels;
pub mod marks;
pub mod painting;
pub mod score;
