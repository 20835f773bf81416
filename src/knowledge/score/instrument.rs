//! How an instrument sounds, from its General MIDI program or its name: the one table of it.
//! It gives nothing but a class (and, where a track has no name, the name of its stem).

/// How the sound of an instrument behaves, as far as a model of it cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Has a pitch and lasts as long as the note: winds, bowed strings, voices, organs.
    Sustained,
    /// Has a pitch, starts with a noise and dies away: piano, guitar, harp, mallets.
    Struck,
    /// Has no pitch that the score gives: drums and cymbals.
    Percussion,
}

impl Class {
    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sustained => "sustained",
            Self::Struck => "struck",
            Self::Percussion => "percussion",
        }
    }
}

use Class::{Percussion, Struck, Sustained};

/// Instruments of General MIDI level 1, by program from 0: the name of a stem, and the class.
const PROGRAMS: [(&str, Class); 128] = [
    // Keyboards.
    ("piano", Struck),
    ("bright-piano", Struck),
    ("electric-grand", Struck),
    ("honky-tonk-piano", Struck),
    ("electric-piano", Struck),
    ("electric-piano-2", Struck),
    ("harpsichord", Struck),
    ("clavinet", Struck),
    // Mallets and bells.
    ("celesta", Struck),
    ("glockenspiel", Struck),
    ("music-box", Struck),
    ("vibraphone", Struck),
    ("marimba", Struck),
    ("xylophone", Struck),
    ("tubular-bells", Struck),
    ("dulcimer", Struck),
    // Organs and reeds with bellows.
    ("drawbar-organ", Sustained),
    ("percussive-organ", Sustained),
    ("rock-organ", Sustained),
    ("church-organ", Sustained),
    ("reed-organ", Sustained),
    ("accordion", Sustained),
    ("harmonica", Sustained),
    ("bandoneon", Sustained),
    // Guitars.
    ("nylon-guitar", Struck),
    ("steel-guitar", Struck),
    ("jazz-guitar", Struck),
    ("clean-guitar", Struck),
    ("muted-guitar", Struck),
    ("overdriven-guitar", Struck),
    ("distorted-guitar", Struck),
    ("guitar-harmonics", Struck),
    // Basses.
    ("acoustic-bass", Struck),
    ("bass", Struck),
    ("picked-bass", Struck),
    ("fretless-bass", Struck),
    ("slap-bass", Struck),
    ("slap-bass-2", Struck),
    ("synth-bass", Struck),
    ("synth-bass-2", Struck),
    // Strings and what stands with them.
    ("violin", Sustained),
    ("viola", Sustained),
    ("cello", Sustained),
    ("contrabass", Sustained),
    ("tremolo-strings", Sustained),
    ("pizzicato-strings", Struck),
    ("harp", Struck),
    ("timpani", Struck),
    // Ensembles.
    ("strings", Sustained),
    ("slow-strings", Sustained),
    ("synth-strings", Sustained),
    ("synth-strings-2", Sustained),
    ("choir", Sustained),
    ("voice", Sustained),
    ("synth-voice", Sustained),
    ("orchestra-hit", Struck),
    // Brass.
    ("trumpet", Sustained),
    ("trombone", Sustained),
    ("tuba", Sustained),
    ("muted-trumpet", Sustained),
    ("horn", Sustained),
    ("brass", Sustained),
    ("synth-brass", Sustained),
    ("synth-brass-2", Sustained),
    // Reeds.
    ("soprano-saxophone", Sustained),
    ("alto-saxophone", Sustained),
    ("tenor-saxophone", Sustained),
    ("baritone-saxophone", Sustained),
    ("oboe", Sustained),
    ("english-horn", Sustained),
    ("bassoon", Sustained),
    ("clarinet", Sustained),
    // Pipes.
    ("piccolo", Sustained),
    ("flute", Sustained),
    ("recorder", Sustained),
    ("pan-flute", Sustained),
    ("blown-bottle", Sustained),
    ("shakuhachi", Sustained),
    ("whistle", Sustained),
    ("ocarina", Sustained),
    // Synthesizers: leads, pads, effects.
    ("square-lead", Sustained),
    ("sawtooth-lead", Sustained),
    ("calliope-lead", Sustained),
    ("chiff-lead", Sustained),
    ("charang-lead", Sustained),
    ("voice-lead", Sustained),
    ("fifths-lead", Sustained),
    ("bass-lead", Sustained),
    ("new-age-pad", Sustained),
    ("warm-pad", Sustained),
    ("polysynth-pad", Sustained),
    ("choir-pad", Sustained),
    ("bowed-pad", Sustained),
    ("metallic-pad", Sustained),
    ("halo-pad", Sustained),
    ("sweep-pad", Sustained),
    ("rain", Sustained),
    ("soundtrack", Sustained),
    ("crystal", Struck),
    ("atmosphere", Sustained),
    ("brightness", Sustained),
    ("goblins", Sustained),
    ("echoes", Sustained),
    ("sci-fi", Sustained),
    // Of many countries.
    ("sitar", Struck),
    ("banjo", Struck),
    ("shamisen", Struck),
    ("koto", Struck),
    ("kalimba", Struck),
    ("bagpipe", Sustained),
    ("fiddle", Sustained),
    ("shanai", Sustained),
    // Percussion outside channel 10.
    ("tinkle-bell", Struck),
    ("agogo", Percussion),
    ("steel-drums", Struck),
    ("woodblock", Percussion),
    ("taiko", Percussion),
    ("melodic-tom", Percussion),
    ("synth-drum", Percussion),
    ("reverse-cymbal", Percussion),
    // Noises.
    ("fret-noise", Percussion),
    ("breath-noise", Percussion),
    ("seashore", Percussion),
    ("bird", Percussion),
    ("telephone", Percussion),
    ("helicopter", Percussion),
    ("applause", Percussion),
    ("gunshot", Percussion),
];

/// Classes of instruments by words of their names. The first row whose words all stand in a name decides, so that
/// `bass drum` is not a `bass`, and `steel drums` are not `drums`. A word also stands for its plural.
const NAMES: &[(&[&str], Class)] = &[
    // Names of several words, where one of them alone would mislead.
    (&["bass", "drum"], Percussion),
    (&["steel", "drum"], Struck),
    (&["steel", "pan"], Struck),
    (&["hi", "hat"], Percussion),
    (&["drum", "kit"], Percussion),
    (&["bass", "clarinet"], Sustained),
    (&["bass", "trombone"], Sustained),
    (&["bass", "flute"], Sustained),
    (&["bass", "saxophone"], Sustained),
    (&["bass", "sax"], Sustained),
    (&["bass", "voice"], Sustained),
    (&["bass", "vocal"], Sustained),
    (&["double", "bass"], Sustained),
    (&["string", "bass"], Sustained),
    (&["bell", "tree"], Percussion),
    (&["tubular", "bell"], Struck),
    (&["piano", "pad"], Struck),
    (&["pizzicato"], Struck),
    (&["pizz"], Struck),
    // Drums and cymbals.
    (&["kick"], Percussion),
    (&["snare"], Percussion),
    (&["hihat"], Percussion),
    (&["ride"], Percussion),
    (&["crash"], Percussion),
    (&["splash"], Percussion),
    (&["china"], Percussion),
    (&["cymbal"], Percussion),
    (&["tom"], Percussion),
    (&["drum"], Percussion),
    (&["drumkit"], Percussion),
    (&["drumset"], Percussion),
    (&["percussion"], Percussion),
    (&["perc"], Percussion),
    (&["clap"], Percussion),
    (&["rimshot"], Percussion),
    (&["sidestick"], Percussion),
    (&["tambourine"], Percussion),
    (&["cowbell"], Percussion),
    (&["shaker"], Percussion),
    (&["maracas"], Percussion),
    (&["cabasa"], Percussion),
    (&["claves"], Percussion),
    (&["woodblock"], Percussion),
    (&["triangle"], Percussion),
    (&["bongo"], Percussion),
    (&["conga"], Percussion),
    (&["timbale"], Percussion),
    (&["agogo"], Percussion),
    (&["guiro"], Percussion),
    (&["cajon"], Percussion),
    (&["djembe"], Percussion),
    (&["tabla"], Percussion),
    (&["taiko"], Percussion),
    (&["gong"], Percussion),
    // Struck and plucked.
    (&["piano"], Struck),
    (&["pianoforte"], Struck),
    (&["keyboard"], Struck),
    (&["keys"], Struck),
    (&["rhodes"], Struck),
    (&["wurlitzer"], Struck),
    (&["harpsichord"], Struck),
    (&["clavinet"], Struck),
    (&["clavichord"], Struck),
    (&["cembalo"], Struck),
    (&["celesta"], Struck),
    (&["glockenspiel"], Struck),
    (&["vibraphone"], Struck),
    (&["vibes"], Struck),
    (&["marimba"], Struck),
    (&["xylophone"], Struck),
    (&["bell"], Struck),
    (&["chime"], Struck),
    (&["dulcimer"], Struck),
    (&["guitar"], Struck),
    (&["ukulele"], Struck),
    (&["mandolin"], Struck),
    (&["banjo"], Struck),
    (&["lute"], Struck),
    (&["harp"], Struck),
    (&["zither"], Struck),
    (&["sitar"], Struck),
    (&["koto"], Struck),
    (&["shamisen"], Struck),
    (&["kalimba"], Struck),
    (&["timpani"], Struck),
    // Bowed, blown and sung.
    (&["violin"], Sustained),
    (&["fiddle"], Sustained),
    (&["viola"], Sustained),
    (&["cello"], Sustained),
    (&["violoncello"], Sustained),
    (&["contrabass"], Sustained),
    (&["string"], Sustained),
    (&["flute"], Sustained),
    (&["piccolo"], Sustained),
    (&["recorder"], Sustained),
    (&["oboe"], Sustained),
    (&["clarinet"], Sustained),
    (&["bassoon"], Sustained),
    (&["fagott"], Sustained),
    (&["contrabassoon"], Sustained),
    (&["saxophone"], Sustained),
    (&["sax"], Sustained),
    (&["trumpet"], Sustained),
    (&["cornet"], Sustained),
    (&["flugelhorn"], Sustained),
    (&["trombone"], Sustained),
    (&["euphonium"], Sustained),
    (&["tuba"], Sustained),
    (&["horn"], Sustained),
    (&["brass"], Sustained),
    (&["organ"], Sustained),
    (&["accordion"], Sustained),
    (&["bandoneon"], Sustained),
    (&["harmonica"], Sustained),
    (&["bagpipe"], Sustained),
    (&["choir"], Sustained),
    (&["voice"], Sustained),
    (&["vocal"], Sustained),
    (&["soprano"], Sustained),
    (&["alto"], Sustained),
    (&["tenor"], Sustained),
    (&["baritone"], Sustained),
    (&["pad"], Sustained),
    // Plucked where nothing else is said, as in a band.
    (&["bass"], Struck),
];

/// Names of drum parts that say no more than "several drums".
const KITS: &[&str] = &[
    "drum",
    "drums",
    "drumkit",
    "drumset",
    "kit",
    "perc",
    "percs",
    "percussion",
    "percussions",
    "schlagzeug",
    "schlagwerk",
    "perkussion",
    "batterie",
    "batteria",
    "bateria",
    "bater\u{ed}a",
    "percussioni",
    "percusi\u{f3}n",
    "slagverk",
    "trommer",
    "perkusja",
    "\u{443}\u{434}\u{430}\u{440}\u{43d}\u{44b}\u{435}",
];

/// The same in writings without spaces, where they may stand anywhere in a name: Japanese, Chinese, Korean.
const KITS_WITHIN: [&str; 6] = ["ドラム", "パーカッション", "打楽器", "鼓组", "爵士鼓", "드럼"];

/// Drums of channel 10, by key: the name of the part that the key belongs to. Where tables differ, the wider one holds:
///
/// - 35 to 81: General MIDI 1 (MIDI Manufacturers Association, 1991).
/// - 27 to 34 and 82 to 87: General MIDI 2 (1999), as Roland's GS before it.
/// - 22 and 26: closed and open edge of the hi-hat on Roland's V-Drums (default notes of TD-11 to TD-50); with 24 and 25 also
///   hi-hats of Toontrack's `EZdrummer`; 21 and 23 splash and half open on Alesis' Nitro and Strike.
///
/// What those instruments play on keys that General MIDI gives another drum is called by General MIDI: V-Drums have the
/// edges of both crashes on 55 and 52, and the rim of a tom on 58.
const DRUMS: [(u8, u8, &str); 47] = [
    (21, 26, "hihat"),
    (27, 27, "high-q"),
    (28, 28, "slap"),
    (29, 30, "scratch"),
    (31, 31, "sticks"),
    (32, 32, "click"),
    (33, 34, "metronome"),
    (35, 36, "kick"),
    (37, 37, "sidestick"),
    (38, 38, "snare"),
    (39, 39, "clap"),
    (40, 40, "snare"),
    (41, 41, "tom"),
    (42, 42, "hihat"),
    (43, 43, "tom"),
    (44, 44, "hihat"),
    (45, 45, "tom"),
    (46, 46, "hihat"),
    (47, 48, "tom"),
    (49, 49, "crash"),
    (50, 50, "tom"),
    (51, 51, "ride"),
    (52, 52, "china"),
    (53, 53, "ride"),
    (54, 54, "tambourine"),
    (55, 55, "splash"),
    (56, 56, "cowbell"),
    (57, 57, "crash"),
    (58, 58, "vibraslap"),
    (59, 59, "ride"),
    (60, 61, "bongos"),
    (62, 64, "congas"),
    (65, 66, "timbales"),
    (67, 68, "agogo"),
    (69, 69, "cabasa"),
    (70, 70, "maracas"),
    (71, 72, "whistle"),
    (73, 74, "guiro"),
    (75, 75, "claves"),
    (76, 77, "woodblocks"),
    (78, 79, "cuica"),
    (80, 81, "triangle"),
    (82, 82, "shaker"),
    (83, 83, "jingle-bells"),
    (84, 84, "bell-tree"),
    (85, 85, "castanets"),
    (86, 87, "surdo"),
];

/// Stem name and class of a General MIDI program, from 0; programs beyond 127 do not exist.
pub fn program(program: u8) -> Option<(&'static str, Class)> {
    PROGRAMS.get(usize::from(program)).copied()
}

/// Name of the drum that a key of channel 10 plays: `kick` for 35 and 36. Keys that no table has are `drum-NN`.
pub fn drum(pitch: u8) -> String {
    let row = DRUMS.iter().find(|(first, last, _)| (*first..=*last).contains(&pitch));
    row.map_or_else(|| format!("drum-{pitch}"), |(_, _, name)| (*name).to_owned())
}

/// The class that the words of a name give away, in any case: `1st Violins` is sustained. `None` where none is known.
pub fn class_of_name(name: &str) -> Option<Class> {
    let words = words(name);
    let has = |word: &&str| {
        words.iter().any(|w| w == word || w.strip_suffix('s') == Some(word) || w.strip_suffix("es") == Some(word))
    };
    let known = NAMES.iter().find(|(row, _)| row.iter().all(&has)).map(|(_, class)| *class);
    known.or_else(|| is_kit(name).then_some(Percussion))
}

/// Whether a name says only that there are drums, not which.
pub(crate) fn is_kit(name: &str) -> bool {
    words(name).iter().any(|word| KITS.contains(&word.as_str())) || KITS_WITHIN.iter().any(|kit| name.contains(kit))
}

/// Runs of letters, in lower case: a number ends a word, so that `clarinet1` is a clarinet.
fn words(name: &str) -> Vec<String> {
    name.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_class() {
        for (name, class) in [
            ("kick", Percussion),
            ("Bass Drum", Percussion),
            ("hi-hat", Percussion),
            ("ride", Percussion),
            ("Toms", Percussion),
            ("Schlagzeug 1", Percussion),
            ("生ドラム", Percussion),
            ("Piano (left hand)", Struck),
            ("E-Guitar 2", Struck),
            ("bass", Struck),
            ("Steel Drums", Struck),
            ("1st Violins", Sustained),
            ("clarinet1", Sustained),
            ("Bass Clarinet", Sustained),
            ("bassoon", Sustained),
            ("Tenor Sax", Sustained),
            ("saxophone", Sustained),
        ] {
            assert_eq!(class_of_name(name), Some(class), "{name}");
        }
        for name in ["", "Track 1", "Untitled", "bridesmaid", "tomorrow"] {
            assert_eq!(class_of_name(name), None, "{name}");
        }
    }

    #[test]
    fn programs_and_names_agree() {
        // A stem that is named after its program is read back with the same class, where its name is known at all.
        for (number, (name, class)) in PROGRAMS.iter().enumerate() {
            if let Some(by_name) = class_of_name(name) {
                let plucked_for_its_name = ["bass-lead", "whistle"].contains(name);
                assert!(
                    by_name == *class || plucked_for_its_name,
                    "program {number} {name}: {class:?} and {by_name:?}"
                );
            }
        }
    }

    #[test]
    fn every_key_of_channel_10_is_a_drum() {
        assert_eq!(
            [35, 36, 38, 40, 42, 44, 46, 51].map(drum),
            ["kick", "kick", "snare", "snare", "hihat", "hihat", "hihat", "ride"]
        );
        assert_eq!(drum(127), "drum-127");
        assert_eq!([22, 26].map(drum), ["hihat", "hihat"], "V-Drums");
        for pitch in 21..=87 {
            assert!(!drum(pitch).starts_with("drum-"), "{pitch}");
        }
    }
}
