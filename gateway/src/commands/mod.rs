//! The subcommands: each has its `Args` and a `run` that returns the exit code.

pub mod bench;
pub mod check;
pub mod device;
pub mod inspect;
pub mod module;
#[cfg(feature = "rules")]
pub mod rules;
pub mod serve;
mod table;

/// An error and its causes in one line. Many an error's text has its cause in it already: that is
/// not said again.
pub fn with_causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow::anyhow!("no such key").context("line 3: no such key").context("a.toml");
        assert_eq!(super::with_causes(&error), "a.toml: line 3: no such key");
    }
}
