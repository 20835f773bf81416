//! Recognizes the kinds of AAC that cannot be decoded in full, so that they are refused and not read at half rate.

/// Packets that must agree before a stream counts as HE-AAC. A fill element is mistaken for one with SBR data with a
/// probability below 1/50, so eight chance hits in a row do not happen.
const N_WITNESSES: u32 = 8;

/// Watches the first packets of an AAC stream for spectral band replication, which HE-AAC hides from plain decoders.
///
/// Such a stream calls itself AAC-LC of half the sample rate; each packet carries the upper half of the spectrum in a
/// fill element (ISO/IEC 14496-3, section 4.5.2.8.2).
#[derive(Debug)]
pub(super) struct SbrWatch {
    /// Packets still to be seen with SBR; 0: the question is settled.
    n_left: u32,
}

impl SbrWatch {
    /// Watches only if `is_aac`.
    pub(super) fn new(is_aac: bool) -> Self {
        Self { n_left: if is_aac { N_WITNESSES } else { 0 } }
    }

    /// Takes the next packet; `true` once it is sure that the stream is HE-AAC.
    pub(super) fn finds(&mut self, packet: &[u8]) -> bool {
        if self.n_left == 0 {
            return false;
        }
        self.n_left = if ends_with_sbr(packet) { self.n_left - 1 } else { 0 };
        // The first packet without ends the watch, so 0 means "found" only if this one had it.
        self.n_left == 0 && ends_with_sbr(packet)
    }
}

/// What an AAC stream is called that the decoder refuses, from its `AudioSpecificConfig`.
pub(super) fn name(config: Option<&[u8]>, n_channels: usize) -> String {
    let object_type = config.and_then(|bytes| bytes.first()).map(|byte| byte >> 3);
    match object_type {
        Some(1) => "AAC Main".into(),
        Some(3) => "AAC-SSR".into(),
        Some(4) => "AAC-LTP".into(),
        Some(5 | 29) => "HE-AAC".into(),
        Some(23) => "AAC-LD".into(),
        Some(31) => "AAC-ELD or xHE-AAC".into(),
        // Channel configurations from 3 on.
        _ if n_channels > 2 => format!("AAC with {n_channels} channels"),
        _ if config.is_some_and(|bytes| n_config_channels(bytes) > 2) => "AAC with more than 2 channels".into(),
        // AAC-LC with a backward-compatible sign of SBR after it.
        Some(2) if config.is_some_and(|bytes| bytes.len() > 2) => "HE-AAC".into(),
        _ => "this kind of AAC".into(),
    }
}

/// The four bits after a 5-bit object type and a 4-bit sample rate.
fn n_config_channels(config: &[u8]) -> u8 {
    config.get(1).map_or(0, |byte| (byte >> 3) & 0xf)
}

/// Whether the last elements of a raw data block can be read as fill elements of which one holds SBR data.
///
/// The block ends with the END element `111` and zero bits to the byte. Fill elements are looked for backwards from
/// there: `110`, a 4-bit count of bytes (15: 8 more bits follow, and one is taken off), then the bytes.
fn ends_with_sbr(packet: &[u8]) -> bool {
    let n_bits = packet.len() * 8;
    let bits = |at: usize, n: usize| {
        (at..at + n).fold(0u32, |value, i| {
            let byte = packet.get(i / 8).copied().unwrap_or(0);
            value << 1 | u32::from(byte >> (7 - i % 8) & 1)
        })
    };
    let n_zeros = packet.last().map_or(0, |byte| byte.trailing_zeros() as usize);
    let Some(end) = n_bits.checked_sub(n_zeros + 3).filter(|&end| n_zeros < 8 && bits(end, 3) == 0b111) else {
        return false;
    };
    // Padding may follow the SBR element: a few fill elements at most.
    let mut ends = vec![end];
    for _ in 0..3 {
        let mut starts = Vec::new();
        for &end in &ends {
            for count in 1..=269 {
                let (header_len, nibble) = if count < 15 { (7, count) } else { (15, 15) };
                let Some(start) = end.checked_sub(header_len + 8 * count) else { break };
                let is_fill = bits(start, 3) == 0b110
                    && bits(start + 3, 4) == nibble as u32
                    && (count < 15 || bits(start + 7, 8) as usize + 14 == count);
                if !is_fill {
                    continue;
                }
                // EXT_SBR_DATA and EXT_SBR_DATA_CRC
                if matches!(bits(start + header_len, 4), 0xd | 0xe) {
                    return true;
                }
                starts.push(start);
            }
        }
        ends = starts;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet that ends with the given bits, an END element and zeros to the byte.
    fn packet(bits: &str) -> Vec<u8> {
        let mut bits = format!("{bits}111");
        while bits.len() % 8 != 0 {
            bits.push('0');
        }
        (0..bits.len()).step_by(8).map(|i| u8::from_str_radix(&bits[i..i + 8], 2).expect("bits")).collect()
    }

    #[test]
    fn sbr_data_is_found_in_short_long_and_padded_packets() {
        let body = "0101".repeat(20);
        let short = format!("{body}110{:04b}1101{}", 3, "0".repeat(20));
        assert!(ends_with_sbr(&packet(&short)));
        let long = format!("{body}110{:04b}{:08b}1110{}", 15, 40 - 14, "01".repeat(158));
        assert!(ends_with_sbr(&packet(&long)));
        let padded = format!("{short}110{:04b}0000{}", 2, "0".repeat(12));
        assert!(ends_with_sbr(&packet(&padded)));
    }

    #[test]
    fn plain_padding_is_not_sbr_data() {
        assert!(!ends_with_sbr(&packet(&format!("{}110{:04b}0000{}", "0101".repeat(20), 3, "0".repeat(20)))));
        assert!(!ends_with_sbr(&[]));
        assert!(!ends_with_sbr(&[0, 0]));
    }

    #[test]
    fn one_packet_is_no_proof() {
        let sbr = packet(&format!("{}110{:04b}1101{}", "0101".repeat(20), 3, "0".repeat(20)));
        let mut watch = SbrWatch::new(true);
        assert_eq!((0..8).map(|_| watch.finds(&sbr)).collect::<Vec<_>>(), [vec![false; 7], vec![true]].concat());
        let mut watch = SbrWatch::new(true);
        assert!(!watch.finds(&sbr) && !watch.finds(&[0x07]) && (0..20).all(|_| !watch.finds(&sbr)));
    }
}
