//! The files of the page, as they are built in. Nothing else is ever served by its name.

/// A file of the page.
#[derive(Debug)]
pub(super) struct Asset {
    /// Its name behind `/studio/`.
    pub(super) name: &'static str,
    pub(super) content_type: &'static str,
    pub(super) bytes: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";

macro_rules! assets {
    ($($name:literal: $content_type:expr,)*) => {
        &[$(Asset { name: $name, content_type: $content_type, bytes: include_bytes!(concat!("page/", $name)) },)*]
    };
}

/// All of them; the first is the page.
pub(super) const ASSETS: &[Asset] = assets! {
    "index.html": HTML,
};
