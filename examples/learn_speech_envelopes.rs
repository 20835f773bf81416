//! Learns the envelopes of speech that `partita denoise` ships, and prints them as Rust code.
//!
//! ```text
//! tools/make_speech_envelopes.sh
//! ```

use std::env;
use std::error::Error;
use std::path::Path;

use partita::audio::decode;
use partita::separate::denoise::learn_envelopes;

/// Envelopes, and coefficients of each: what separates the development recordings best.
const SIZE: (usize, usize) = (30, 24);

fn main() -> Result<(), Box<dyn Error>> {
    let voices: Vec<_> = env::args().skip(1).map(|path| decode::read(Path::new(&path))).collect::<Result<_, _>>()?;
    let seed = env::var("SEED").ok().and_then(|x| x.parse().ok()).unwrap_or(0);
    let size=env::var("SIZE").ok().map(|x|{let (a,b)=x.split_once('x').unwrap();(a.parse().unwrap(),b.parse().unwrap())}).unwrap_or(SIZE);
    let envelopes = learn_envelopes(&voices, size.0, size.1, seed)?;
    println!("//! Envelopes of speech, made by `tools/make_speech_envelopes.sh`: do not edit.");
    println!("//! Learned from the voices kal, awb, rms and slt of Flite 2.2 (Carnegie Mellon University, free for any use");
    println!("//! with its notice kept) reading `tools/speech_text.txt`, which is in the public domain.");
    println!();
    println!("/// Filters of speech, one per row, as heights of triangles on the mel scale from 0 to 8 kHz.");
    println!("#[rustfmt::skip]");
    println!("pub(crate) const ENVELOPES: [[f32; {}]; {}] = [", envelopes.ncols(), envelopes.nrows());
    for row in envelopes.outer_iter() {
        let row: Vec<_> = row.iter().map(|x| format!("{x:.3e}")).collect();
        println!("    [{}],", row.join(", "));
    }
    println!("];");
    Ok(())
}
