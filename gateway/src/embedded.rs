//! The built-in WAF module: embedded where the build named one, else a file that `cargo xtask
//! build` leaves in the target folder.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

/// Where `cargo xtask build` puts the module, from the workspace's root.
pub const WAF_PATH: &str = "target/guests/picket_waf_guest.wasm";

/// The WAF module that `PICKET_WAF_MODULE` named at build time.
pub fn waf() -> Option<&'static [u8]> {
    let module: Option<&'static [u8]> = include!(concat!(env!("OUT_DIR"), "/waf.rs"));
    module
}

/// The module behind `builtin:waf`: the embedded one, else [`WAF_PATH`] in the working directory.
///
/// # Errors
/// [`NoBuiltin`] if there is neither.
pub fn builtin_waf() -> Result<Cow<'static, [u8]>, NoBuiltin> {
    if let Some(module) = waf() {
        return Ok(Cow::Borrowed(module));
    }
    let path = Path::new(WAF_PATH);
    fs::read(path).map(Cow::Owned).map_err(|source| NoBuiltin { path: path.to_owned(), source })
}

/// There is no built-in WAF module: none was embedded, and the file is not there.
#[derive(Debug)]
pub struct NoBuiltin {
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for NoBuiltin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this build holds no WAF module, and {} cannot be read: run `cargo xtask build`, or name a module",
            self.path.display()
        )
    }
}

impl std::error::Error for NoBuiltin {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
