//! What a file says of its sound beside the sound: title and artist, places in time, where it was recorded.
//! Knows neither how files are read nor how they are written.

/// What a file says of its sound.
///
/// # Examples
/// ```
/// use partita::audio::tags::Tags;
/// let tags = Tags { fields: vec![("TITLE".into(), "Song".into())], ..Tags::default() };
/// assert_eq!(tags.of_stem("bass").field("TITLE"), Some("Song (bass)"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags {
    /// Names and values; the names are those of Vorbis comments, in capitals: `TITLE`, `ARTIST`, `TRACKNUMBER`. One may
    /// stand several times.
    pub fields: Vec<(String, String)>,
    /// Where and when the sound was recorded.
    pub broadcast: Option<Broadcast>,
    /// Marked places, in order of time.
    pub cues: Vec<Cue>,
}

/// The `bext` chunk of a Broadcast Wave file, as it stands there.
///
/// # References
/// EBU Tech 3285, "Specification of the Broadcast Wave Format (BWF)", version 2, 2011.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broadcast(Vec<u8>);

/// A marked place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// Samples per channel before it.
    pub at: u64,
    /// What it is called.
    pub label: String,
}

impl Tags {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Those of a part of the recording: times count from its start, and cues outside of it are gone. `n_samples`, counted
    /// per channel like `start`: to the end where it is `None`.
    pub fn of_excerpt(mut self, start: u64, n_samples: Option<u64>) -> Self {
        self.cues.retain_mut(|cue| {
            let at = cue.at.checked_sub(start).filter(|at| n_samples.is_none_or(|n_samples| *at < n_samples));
            cue.at = at.unwrap_or_default();
            at.is_some()
        });
        if let Some(broadcast) = &mut self.broadcast {
            broadcast.set_time_reference(broadcast.time_reference().saturating_add(start));
        }
        self
    }

    /// Those of one stem: its name is added to the title, and what was measured of the whole is gone.
    pub fn of_stem(&self, name: &str) -> Self {
        let mut tags = self.clone();
        for (field, value) in &mut tags.fields {
            if field == "TITLE" {
                *value = format!("{value} ({name})");
            }
        }
        if let Some(broadcast) = &mut tags.broadcast {
            broadcast.forget_measures();
        }
        tags
    }
}

impl Broadcast {
    /// Bytes before the coding history.
    const LEN: usize = 602;
    const TIME_REFERENCE_AT: usize = 338;
    const VERSION_AT: usize = 346;
    /// The identity of the material (UMID), and after it its loudness.
    const UMID: std::ops::Range<usize> = 348..412;
    const LOUDNESS: std::ops::Range<usize> = 412..422;

    /// The content of a `bext` chunk; `None` where it is too short to be one.
    pub fn new(content: Vec<u8>) -> Option<Self> {
        (content.len() >= Self::LEN).then_some(Self(content))
    }

    /// The content of the chunk.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Samples between midnight and the start of the sound.
    pub fn time_reference(&self) -> u64 {
        let bytes = self.0.get(Self::TIME_REFERENCE_AT..).and_then(|bytes| bytes.first_chunk());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    fn set_time_reference(&mut self, time_reference: u64) {
        self.0[Self::TIME_REFERENCE_AT..][..8].copy_from_slice(&time_reference.to_le_bytes());
    }

    /// A stem is other material, of a loudness of its own, which is not known before it is written.
    fn forget_measures(&mut self) {
        self.0[Self::UMID].fill(0);
        if self.0[Self::VERSION_AT] >= 2 {
            // "Not known", five times.
            self.0[Self::LOUDNESS].copy_from_slice(&[0xFF, 0x7F].repeat(5));
        }
    }

    /// Its texts and its time as fields, by the names that FFmpeg gives them, for files that have no such chunk.
    pub fn fields(&self) -> Vec<(String, String)> {
        let texts = [
            ("DESCRIPTION", 0..256),
            ("ORIGINATOR", 256..288),
            ("ORIGINATOR_REFERENCE", 288..320),
            ("ORIGINATION_DATE", 320..330),
            ("ORIGINATION_TIME", 330..338),
        ];
        let text = |bytes: &[u8]| {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        };
        let mut fields: Vec<_> =
            texts.into_iter().map(|(name, range)| (name.to_owned(), text(&self.0[range]))).collect();
        fields.retain(|(_, text)| !text.is_empty());
        fields.push(("TIME_REFERENCE".into(), self.time_reference().to_string()));
        fields
    }
}
