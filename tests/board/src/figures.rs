//! What the firmware takes, and what it took when that was last looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// Growth that is no reason to look, in percent.
const TOLERANCE: u64 = 1;

/// Named numbers.
#[derive(Debug, Default)]
pub struct Figures(BTreeMap<String, u64>);

impl Figures {
    /// Notes one.
    pub fn set(&mut self, name: &str, value: u64) {
        self.0.insert(name.to_owned(), value);
    }

    /// One of them; 0 if there is none of that name.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Prints them.
    pub fn show(&self) -> Result<()> {
        for (name, value) in &self.0 {
            println!("{name:<52} {value:>10}");
        }
        Ok(())
    }

    /// Writes them down, to be compared with later.
    pub fn record(&self, root: &Path) -> Result<()> {
        self.show()?;
        let mut text = String::from(
            "# What the firmware takes, as `cargo xtask firmware record` found it. `cargo xtask firmware test`\n\
             # fails where a figure has grown by more than 1 %.\n\n",
        );
        for (name, value) in &self.0 {
            text.push_str(&format!("\"{name}\" = {value}\n"));
        }
        let path = file(root);
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    }
}

fn file(root: &Path) -> PathBuf {
    root.join("firmware/figures.toml")
}

/// How a figure compares with what was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    Grown,
    Shrunk,
    /// It was not written down.
    New,
}

impl Change {
    fn of(value: u64, before: Option<u64>) -> Self {
        match before {
            None => Change::New,
            Some(before) if value * 100 > before * (100 + TOLERANCE) => Change::Grown,
            Some(before) if value * 100 < before * (100 - TOLERANCE) => Change::Shrunk,
            Some(_) => Change::None,
        }
    }

    const fn note(self) -> &'static str {
        match self {
            Change::None => "",
            Change::Grown => "has grown",
            Change::Shrunk => "has shrunk",
            Change::New => "is new: record it",
        }
    }
}

/// Compares with what was written down.
pub fn compare(figures: &Figures, root: &Path) -> Result<()> {
    let path = file(root);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let recorded: BTreeMap<String, u64> =
        toml::from_str(&text).with_context(|| path.display().to_string())?;
    let (mut grown, mut shrunk) = (0, 0);
    println!("{:<52} {:>10} {:>10}", "figure", "now", "recorded");
    for (name, &value) in &figures.0 {
        let before = recorded.get(name).copied();
        let change = Change::of(value, before);
        grown += usize::from(matches!(change, Change::Grown | Change::New));
        shrunk += usize::from(change == Change::Shrunk);
        let before = before.map_or("-".to_owned(), |before| before.to_string());
        println!("{name:<52} {value:>10} {before:>10} {}", change.note());
    }
    for name in recorded.keys().filter(|name| !figures.0.contains_key(*name)) {
        println!("{name} was recorded and is not measured any more");
        grown += 1;
    }
    if shrunk > 0 {
        println!("{shrunk} figures have shrunk: `cargo xtask firmware record` keeps them there");
    }
    ensure!(
        grown == 0,
        "{grown} figures have grown by more than {TOLERANCE} %: make them smaller, or record them with \
         `cargo xtask firmware record` and say why"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(values: &[(&str, u64)]) -> Figures {
        let mut figures = Figures::default();
        values.iter().for_each(|&(name, value)| figures.set(name, value));
        figures
    }

    #[test]
    fn what_has_grown_is_refused() {
        let root = std::env::temp_dir().join(format!("picket-figures-{}", std::process::id()));
        std::fs::create_dir_all(root.join("firmware")).unwrap();
        figures(&[("flash bytes", 600_000), ("allocations", 0)]).record(&root).unwrap();
        for (now, passes) in [
            (&[("flash bytes", 600_000), ("allocations", 0)][..], true),
            (&[("flash bytes", 606_000), ("allocations", 0)], true),
            (&[("flash bytes", 500_000), ("allocations", 0)], true),
            // Two percent more, and one where there was none.
            (&[("flash bytes", 612_000), ("allocations", 0)], false),
            (&[("flash bytes", 600_000), ("allocations", 1)], false),
            // One that was not recorded, and one that is gone.
            (&[("flash bytes", 600_000), ("allocations", 0), ("RAM bytes", 1)], false),
            (&[("flash bytes", 600_000)], false),
        ] {
            assert_eq!(compare(&figures(now), &root).is_ok(), passes, "{now:?}");
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
}
