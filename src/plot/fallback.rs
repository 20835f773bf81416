//! Fonts of the system, for letters that the program's own font lacks. The only file that knows fontdb.
//! They are looked for when such a letter first comes, so that no other picture depends on a system.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use ab_glyph::{Font, FontArc, FontRef, FontVec};
use fontdb::{Database, ID, Style};

/// The fonts of this system, and what was found in them so far.
static FONTS: LazyLock<Mutex<Fallback>> = LazyLock::new(|| {
    let mut database = Database::new();
    database.load_system_fonts();
    Mutex::new(Fallback::new(database))
});

/// A font that has a letter, if one is installed; the same one each time.
pub(super) fn font(letter: char) -> Option<FontArc> {
    if needs_shaping(letter) {
        return None;
    }
    FONTS.lock().unwrap_or_else(PoisonError::into_inner).font(letter)
}

/// Whether letters like this one join, change places or run from the right, for which one after the other is not enough:
/// accents on their own, Hebrew, Arabic and their neighbors, and the writings of South and South-East Asia.
fn needs_shaping(letter: char) -> bool {
    matches!(letter,
        '\u{300}'..='\u{36f}' | '\u{590}'..='\u{109f}' | '\u{1780}'..='\u{18af}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}')
}

struct Fallback {
    database: Database,
    /// The order in which they are asked: upright ones of usual weight first.
    faces: Vec<ID>,
    /// Fonts that had a letter.
    fonts: Vec<(ID, FontArc)>,
    of_letter: BTreeMap<char, Option<FontArc>>,
}

impl Fallback {
    fn new(database: Database) -> Self {
        let oddity = |face: &fontdb::FaceInfo| {
            let path = match &face.source {
                fontdb::Source::File(path) | fontdb::Source::SharedFile(path, _) => Some(path.clone()),
                fontdb::Source::Binary(_) => None,
            };
            let weight = face.weight.0.abs_diff(fontdb::Weight::NORMAL.0);
            (face.style != Style::Normal, weight, face.stretch != fontdb::Stretch::Normal, path, face.index)
        };
        // Some fonts have a box for everything.
        let is_last_resort = |face: &fontdb::FaceInfo| {
            let name = face.post_script_name.to_lowercase();
            ["lastresort", "adobeblank"].iter().any(|box_font| name.contains(box_font))
        };
        let mut faces: Vec<_> =
            database.faces().filter(|face| !is_last_resort(face)).map(|face| (oddity(face), face.id)).collect();
        faces.sort_by(|(a, _), (b, _)| a.cmp(b));
        let faces = faces.into_iter().map(|(_, id)| id).collect();
        Self { database, faces, fonts: Vec::new(), of_letter: BTreeMap::new() }
    }

    fn font(&mut self, letter: char) -> Option<FontArc> {
        if let Some(known) = self.of_letter.get(&letter) {
            return known.clone();
        }
        // In the order of the faces, whichever letters came before.
        let found = self.faces.iter().find_map(|id| match self.fonts.iter().find(|(loaded, _)| loaded == id) {
            Some((_, font)) => draws(font, letter).then(|| (*id, font.clone())),
            None => Some((*id, load(&self.database, *id, letter)?)),
        });
        if let Some((id, font)) = found.clone().filter(|(id, _)| self.fonts.iter().all(|(loaded, _)| loaded != id)) {
            self.fonts.push((id, font));
        }
        let font = found.map(|(_, font)| font);
        self.of_letter.insert(letter, font.clone());
        font
    }
}

/// Whether a font has an outline for a letter; those of bitmaps, such as colored ones, have none.
fn draws(font: &impl Font, letter: char) -> bool {
    let glyph = font.glyph_id(letter);
    glyph.0 != 0 && font.outline(glyph).is_some_and(|outline| !outline.curves.is_empty())
}

/// The font, where it draws a letter.
fn load(database: &Database, id: ID, letter: char) -> Option<FontArc> {
    let load = |data: &[u8], index: u32| {
        let is_there = FontRef::try_from_slice_and_index(data, index).is_ok_and(|font| draws(&font, letter));
        is_there.then(|| FontVec::try_from_vec_and_index(data.to_vec(), index).ok()).flatten().map(FontArc::new)
    };
    database.with_face_data(id, load).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_found_in_the_first_font_that_draws_it() {
        let mut database = Database::new();
        database.load_font_data(include_bytes!("font/DejaVuSans-subset.ttf").to_vec());
        database.load_font_data(include_bytes!("font/two-letters.ttf").to_vec());
        let mut fonts = Fallback::new(database);
        for _ in 0..2 {
            assert!(fonts.font('音').is_some_and(|font| draws(&font, '楽')));
            assert!(fonts.font('a').is_some_and(|font| !draws(&font, '音')));
            assert!(fonts.font('曲').is_none(), "no font has it");
        }
        assert!(font('\u{5d0}').is_none(), "Hebrew runs from the right");
    }
}
