//! The measures against museval and `fast_bss_eval`, truths that hold for any signals, and the command.

#[path = "../common/mod.rs"]
mod common;

mod command;
mod golden;
mod made;
mod streams;
mod truths;
