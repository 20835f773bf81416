//! The library's advice, worded as flags.

use partita::error::Advice;

use super::spelling::Flags;

/// What to type, or to do.
pub(super) fn words(advice: &Advice, flags: &Flags) -> String {
    let text = match advice {
        Advice::Use { settings, note } => {
            return Advice::spelled(settings, note.as_deref(), |name, value| flags.setting(name, value));
        }
        Advice::CompareToShortest { n_samples } => {
            return format!(
                "add `--trim` to cut all to the shortest, at their ends; these differ by {n_samples} \
                 {}",
                if *n_samples == 1 { "sample" } else { "samples" }
            );
        }
        Advice::HideMissing => "where entries are missing, give them a weight of 0, as `--missing nan` does",
        Advice::MoveScore => {
            "move it with `--score-offset SECONDS`, or let `--align` find where it belongs; check that it is of the \
             same piece"
        }
        Advice::GiveNoise => {
            "give a recording of the noise alone with `--noise FILE`, or its place with `--noise-range A-B`"
        }
        Advice::Learn => "make one: `partita learn NAME=SOLO -o FILE.safetensors`",
        Advice::LearnAgain { name, value, instead } => {
            let flag = flags.setting(name, value);
            let command = format!("`partita learn NAME=SOLO {flag} -o FILE.safetensors`");
            return match instead {
                Some(instead) => format!("add `{}`, or learn it again: {command}", flags.setting(name, instead)),
                None if *name == "sample_rate" => format!("learn it from the same examples for this rate: {command}"),
                None => format!("learn it again: {command}"),
            };
        }
        Advice::Overwrite => "add `--force` to replace it, or choose another place with `--out`",
        Advice::ChooseFolder => "choose a folder that you may write to: `--out FOLDER`",
        Advice::ChooseOtherFolder => "a file is where a folder is needed; choose another: `--out FOLDER`",
        Advice::FreeSpace => "free some space, or write to another disk: `--out FOLDER`",
        Advice::ShortenName => "shorten the name: `--filename \"{stem}.{ext}\"`",
        // What is worded alike but for the names of settings.
        _ => return flags.in_text(&advice.to_string()),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};
    use partita::Error;

    use super::*;

    fn flags() -> Flags {
        let arguments = [Arg::new("n_context").long("context"), Arg::new("duration").long("duration")];
        Flags::of(&Command::new("partita").subcommand(Command::new("separate").args(arguments)))
    }

    #[test]
    fn advice_is_worded_as_what_can_be_typed() {
        let words = |advice: &Advice| super::words(advice, &flags());
        let levels = Advice::set("sample_format", "int24").or("file_format", "wav").note("which is larger");
        assert_eq!(words(&levels), "use `--int24`, or `--format wav`, which is larger");
        let error = Error::FileExists { path: "a.wav".into() };
        assert!(words(&error.advice().expect("advice")).starts_with("add `--force`"));
        let cut = Error::AudioCutOff { path: "a.wav".into(), time_s: Some(1.2345), declared_s: None };
        assert!(words(&cut.advice().expect("advice")).ends_with("take the whole part with `--duration 1.234`"));
        let again = Advice::LearnAgain { name: "n_context", value: "5".into(), instead: None };
        assert_eq!(words(&again), "learn it again: `partita learn NAME=SOLO --context 5 -o FILE.safetensors`");
    }
}
