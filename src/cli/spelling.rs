//! The library's settings, spelled as the flags that set them.

/// The flag of each setting: an option's field is named as the library names the setting.
#[derive(Debug)]
pub(super) struct Flags(Vec<(String, String)>);

impl Flags {
    /// Those of all commands.
    pub(super) fn of(command: &clap::Command) -> Self {
        let arguments = command.get_subcommands().flat_map(clap::Command::get_arguments);
        Self(arguments.filter_map(|flag| Some((flag.get_id().to_string(), flag.get_long()?.to_owned()))).collect())
    }

    /// The flag that gives a setting a value.
    pub(super) fn setting(&self, name: &str, value: &str) -> String {
        match name {
            // Each format of samples is a flag of its own.
            "sample_format" => format!("--{value}"),
            "file_format" => format!("--format {value}"),
            _ => match self.0.iter().find(|(id, _)| id == name) {
                Some((_, long)) => format!("--{long} {value}").trim_end().to_owned(),
                None => format!("{name} {value}").trim_end().to_owned(),
            },
        }
    }

    /// Spells the settings in a text as flags: `` `hop_length 512` `` becomes `` `--hop-length 512` ``.
    pub(super) fn in_text(&self, text: &str) -> String {
        let spelled = text.split('`').enumerate().map(|(i, part)| {
            let (name, value) = part.split_once(' ').unwrap_or((part, ""));
            // Every second part stands between backticks.
            if i % 2 == 1 && self.0.iter().any(|(id, _)| id == name) {
                self.setting(name, value)
            } else {
                part.to_owned()
            }
        });
        spelled.collect::<Vec<_>>().join("`")
    }
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    #[test]
    fn settings_are_shown_as_the_flags_that_set_them() {
        let arguments = [Arg::new("hop_length").long("hop-length"), Arg::new("n_sources").long("sources")];
        let flags = Flags::of(&Command::new("partita").subcommand(Command::new("separate").args(arguments)));
        assert_eq!(flags.in_text("`hop_length` is 0, `n_sources 3`"), "`--hop-length` is 0, `--sources 3`");
        assert_eq!(flags.in_text("hop_length and `my file`"), "hop_length and `my file`");
    }
}
