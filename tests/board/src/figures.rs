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

/// Compares with what was written down.
pub fn compare(figures: &Figures, root: &Path) -> Result<()> {
    let path = file(root);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let recorded: BTreeMap<String, u64> =
        toml::from_str(&text).with_context(|| path.display().to_string())?;
    let (mut grown, mut shrunk) = (0, 0);
    println!("{:<52} {:>10} {:>10}", "figure", "now", "recorded");
    for (name, &value) in &figures.0 {
        let Some(&before) = recorded.get(name) else {
            println!("{name:<52} {value:>10}          - is new: record it");
            grown += 1;
            continue;
        };
        let note = if value * 100 > before * (100 + TOLERANCE) {
            grown += 1;
            "has grown"
        } else if value * 100 < before * (100 - TOLERANCE) {
            shrunk += 1;
            "has shrunk"
        } else {
            ""
        };
        println!("{name:<52} {value:>10} {before:>10} {note}");
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
