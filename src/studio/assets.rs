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
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JS: &str = "text/javascript; charset=utf-8";

macro_rules! assets {
    ($($name:literal: $content_type:expr,)*) => {
        &[$(Asset { name: $name, content_type: $content_type, bytes: include_bytes!(concat!("page/", $name)) },)*]
    };
}

/// All of them; the first is the page.
pub(super) const ASSETS: &[Asset] = assets! {
    "index.html": HTML,
    "studio.css": CSS,
    "icon.svg": SVG,
    "api.js": JS,
    "dialogs.js": JS,
    "dom.js": JS,
    "drawer.js": JS,
    "drop.js": JS,
    "keys.js": JS,
    "look.js": JS,
    "main.js": JS,
    "marks.js": JS,
    "mixer.js": JS,
    "paint.js": JS,
    "player.js": JS,
    "reach.js": JS,
    "session.js": JS,
    "state.js": JS,
    "strips.js": JS,
    "tiles.js": JS,
    "view.js": JS,
};
