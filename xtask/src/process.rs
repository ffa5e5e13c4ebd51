//! Running cargo and its friends.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Why a task could not be done, for people.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    pub fn new(text: impl Into<String>) -> Self {
        Failure(text.into())
    }

    /// The same failure with a line on what it means.
    pub fn explained(self, text: &str) -> Self {
        Failure(format!("{}\n{text}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// A call of cargo, in the root of the workspace.
pub struct Cargo {
    command: Command,
}

impl Cargo {
    pub fn new<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Self {
        // The cargo that runs this task, so that the toolchain stays the same.
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(workspace()).args(args);
        // What `cargo run` has set for this process is about xtask, not about what it builds.
        for (name, _) in std::env::vars_os() {
            let of_xtask = name.to_str().is_some_and(|name| {
                name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "OUT_DIR"
            });
            if of_xtask {
                command.env_remove(name);
            }
        }
        Cargo { command }
    }

    pub fn args<I: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = I>) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    pub fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs it; its output goes to the terminal.
    pub fn run(mut self) -> Result<(), Failure> {
        let status = self.command.status().map_err(|error| self.no_start(&error))?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!("`{}` failed ({status})", self.line())))
        }
    }

    /// Runs it and returns what it prints.
    pub fn output(mut self) -> Result<String, Failure> {
        self.command.stderr(Stdio::inherit());
        let output = self.command.output().map_err(|error| self.no_start(&error))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(Failure::new(format!("`{}` failed ({})", self.line(), output.status)))
        }
    }

    /// Replaces this process by it. Returns only if that fails.
    #[cfg(unix)]
    pub fn become_it(mut self) -> Result<(), Failure> {
        use std::os::unix::process::CommandExt;
        let error = self.command.exec();
        Err(self.no_start(&error))
    }

    /// There is no `exec` here, so it runs as a child.
    #[cfg(not(unix))]
    pub fn become_it(self) -> Result<(), Failure> {
        self.run()
    }

    fn no_start(&self, error: &std::io::Error) -> Failure {
        Failure::new(format!("`{}` did not start: {error}", self.line()))
    }

    fn line(&self) -> String {
        let mut line = String::from("cargo");
        for arg in self.command.get_args() {
            line.push(' ');
            line.push_str(&arg.to_string_lossy());
        }
        line
    }
}
