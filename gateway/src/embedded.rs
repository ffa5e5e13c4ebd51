//! The built-in modules: embedded where the build named them, else files that `cargo xtask build`
//! leaves in the target folder.

use std::borrow::Cow;
use std::path::Path;
use std::{fmt, fs, io};

/// A module that comes with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// `builtin:waf`: the firewall with its own rules.
    Waf,
    /// `builtin:seclang`: the engine for rules in ModSecurity's language; needs a ruleset.
    SecLang,
}

impl Builtin {
    /// All of them.
    pub const ALL: [Builtin; 2] = [Builtin::Waf, Builtin::SecLang];

    /// Its name in configuration and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Builtin::Waf => "builtin:waf",
            Builtin::SecLang => "builtin:seclang",
        }
    }

    /// Where `cargo xtask build` puts the module, from the workspace's root.
    pub const fn path(self) -> &'static str {
        match self {
            Builtin::Waf => "target/guests/picket_waf_guest.wasm",
            Builtin::SecLang => "target/guests/picket_seclang_guest.wasm",
        }
    }

    /// The module, if it was embedded: `PICKET_WAF_MODULE` and `PICKET_SECLANG_MODULE` name the files
    /// at build time.
    pub fn embedded(self) -> Option<&'static [u8]> {
        let [waf, seclang]: [Option<&'static [u8]>; 2] = include!(concat!(env!("OUT_DIR"), "/modules.rs"));
        match self {
            Builtin::Waf => waf,
            Builtin::SecLang => seclang,
        }
    }

    /// The embedded module, else the file at [`Builtin::path`] in the working directory.
    ///
    /// # Errors
    /// [`NoBuiltin`] if there is neither.
    pub fn module(self) -> Result<Cow<'static, [u8]>, NoBuiltin> {
        if let Some(module) = self.embedded() {
            return Ok(Cow::Borrowed(module));
        }
        fs::read(self.path()).map(Cow::Owned).map_err(|source| NoBuiltin { module: self, source })
    }

    /// The file that a running gateway is to watch: none for an embedded module.
    pub(crate) fn file(self) -> Option<&'static Path> {
        self.embedded().is_none().then(|| Path::new(self.path()))
    }
}

/// There is no such built-in module: it was not embedded, and the file is not there.
#[derive(Debug)]
pub struct NoBuiltin {
    module: Builtin,
    source: io::Error,
}

impl fmt::Display for NoBuiltin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this build holds no module {}, and {} cannot be read: run `cargo xtask build`, or name a module",
            self.module.name(),
            self.module.path()
        )
    }
}

impl std::error::Error for NoBuiltin {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
