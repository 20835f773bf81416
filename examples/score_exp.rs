//! exp
fn main() {
    let a: Vec<String> = std::env::args().collect();
    // separate MIX --score MID -o OUT ...
    let pos = |f: &str| a.iter().position(|x| x == f).map(|i| a[i + 1].clone());
    let mix = &a[2];
    let audio = partita::audio::decode::read(std::path::Path::new(mix)).expect("audio");
    let score = partita::Score::from_midi(&std::fs::read(pos("--score").expect("score")).expect("read")).expect("midi");
    let s = partita::separate::score::separate(&audio, &score).expect("separate");
    let out = std::path::PathBuf::from(pos("-o").expect("out")).join("mixture");
    std::fs::create_dir_all(&out).expect("dir");
    for (n, stem) in s.names().iter().zip(s.stems(&audio).expect("stems")) {
        let config = partita::audio::encode::EncodeConfig { sample_format: partita::audio::encode::SampleFormat::Float32, clip_mode: partita::audio::encode::ClipMode::None, ..Default::default() };
        partita::audio::encode::write(&out.join(format!("{n}.wav")), &stem, &config).expect("write");
    }
}
