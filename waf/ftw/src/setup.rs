//! The SecLang configuration that the tests are run with.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::Error;

/// Whether rules may interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Rules are logged, nothing is interrupted.
    DetectionOnly,
    /// Rules interrupt.
    On,
}

/// What a run is configured with. [`Setup::text`] says the rest: the limits on arguments and files that
/// tests count on, body processors for XML and JSON, bodies of requests and of text responses read.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The paranoia level, 1 to 4, for detection as for blocking.
    pub paranoia: u8,
    /// Whether rules may interrupt.
    pub mode: Mode,
    /// The folder of the Core Rule Set, which has the folder `rules`.
    pub crs_dir: PathBuf,
}

impl Setup {
    /// The configuration in which the regression tests are meant to be run: level 4, detection only.
    pub fn regression(crs_dir: &Path) -> Self {
        Setup { paranoia: 4, mode: Mode::DetectionOnly, crs_dir: crs_dir.to_owned() }
    }

    /// The directives and actions that stand before the rule set.
    pub fn preamble(&self) -> String {
        let mode = match self.mode {
            Mode::DetectionOnly => "DetectionOnly",
            Mode::On => "On",
        };
        let mut text = format!(
            "SecRuleEngine {mode}\n\
             SecRequestBodyAccess On\n\
             SecRequestBodyLimit 13107200\n\
             SecRequestBodyNoFilesLimit 1048576\n\
             SecRequestBodyLimitAction Reject\n\
             SecResponseBodyAccess On\n\
             SecResponseBodyMimeType text/plain text/html text/xml\n\
             SecResponseBodyLimit 524288\n\
             SecResponseBodyLimitAction ProcessPartial\n\
             SecAuditEngine Off\n"
        );
        for phase in 1..=5 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "SecDefaultAction \"phase:{phase},log,auditlog,pass\"");
        }
        text.push_str(
            "SecRule REQUEST_HEADERS:Content-Type \"@rx ^(?:text|application)/(?:soap\\+)?xml\" \
             \"id:1001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"\n\
             SecRule REQUEST_HEADERS:Content-Type \"@rx ^application/(?:[a-z0-9.-]+\\+)?json\" \
             \"id:1002,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n",
        );
        let settings = [
            ("blocking_paranoia_level", u32::from(self.paranoia)),
            ("detection_paranoia_level", u32::from(self.paranoia)),
            ("arg_name_length", 100),
            ("arg_length", 400),
            ("total_arg_length", 64_000),
            ("max_num_args", 255),
            ("max_file_size", 64_100),
            ("combined_file_sizes", 65_535),
            ("crs_validate_utf8_encoding", 1),
            // Any version will do: the rule set only refuses to run without one.
            ("crs_setup_version", 4000),
        ];
        text.push_str("SecAction \"id:1003,phase:1,t:none,pass,nolog");
        for (name, value) in settings {
            let _ = write!(text, ",setvar:tx.{name}={value}");
        }
        text.push_str("\"\n");
        text
    }

    /// The files of the rule set, in the order of their names, which is the order to include them in.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the folder cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let folder = self.crs_dir.join("rules");
        let fail = |source| Error::Io { path: folder.clone(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if path.extension().is_some_and(|extension| extension == "conf") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// The whole configuration: [`Setup::preamble`], then an `Include` for each of [`Setup::files`].
    ///
    /// # Errors
    ///
    /// As [`Setup::files`].
    pub fn text(&self) -> Result<String, Error> {
        let mut text = self.preamble();
        for file in self.files()? {
            let _ = writeln!(text, "Include {}", file.display());
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_stand_before_the_rules() {
        let folder = std::env::temp_dir().join(format!("picket-ftw-setup-{}", std::process::id()));
        fs::create_dir_all(folder.join("rules")).unwrap();
        for name in ["B.conf", "A.conf", "words.data", "C.conf.example"] {
            fs::write(folder.join("rules").join(name), "").unwrap();
        }
        let text = Setup { paranoia: 2, mode: Mode::On, crs_dir: folder.clone() }.text().unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert!(text.starts_with("SecRuleEngine On\n"));
        assert!(text.contains(",setvar:tx.blocking_paranoia_level=2,"));
        let includes: Vec<&str> =
            text.lines().filter_map(|line| line.rsplit_once("/rules/")).map(|l| l.1).collect();
        assert_eq!(includes, ["A.conf", "B.conf"]);
        assert!(matches!(Setup::regression(&folder).text(), Err(Error::Io { .. })));
    }
}
