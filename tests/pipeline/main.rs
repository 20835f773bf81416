//! What every method's separation can do, and what nobody can do with it: any range of it has the bits of the whole,
//! pushed or pulled, early or late; and what does not fit is told.

#[path = "../common/mod.rs"]
mod common;

mod cases;
mod excerpts;
mod levels;
mod live;
mod misuse;
mod ranges;
mod silence;
mod warm;
mod watching;
