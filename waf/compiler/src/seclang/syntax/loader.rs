//! Where files come from: the file system, or memory.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::{Component, Path, PathBuf};

/// Reads files and lists folders.
pub trait Loader {
    /// The bytes of a file.
    ///
    /// # Errors
    /// Those of the system; [`ErrorKind::FileTooLarge`] beyond `limit` bytes.
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>>;

    /// The names in a folder, in any order.
    ///
    /// # Errors
    /// Those of the system.
    fn list(&self, folder: &Path) -> Result<Vec<String>>;
}

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSystem;

impl Loader for FileSystem {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>> {
        let file = std::fs::File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(Error::new(ErrorKind::InvalidInput, "not a file"));
        }
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        within(bytes, limit)
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            // A name that is not text can be matched by no pattern.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }
}

/// Files in memory, for tests and for rules that come over the wire.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Memory {
    /// No file yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file.
    #[must_use]
    pub fn with(mut self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(clean(path.as_ref()), bytes.into());
        self
    }
}

impl Loader for Memory {
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>> {
        let bytes = self.files.get(&clean(path)).ok_or(ErrorKind::NotFound)?;
        within(bytes.clone(), limit)
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>> {
        let folder = clean(folder);
        let mut names: Vec<String> = Vec::new();
        for path in self.files.keys() {
            let Ok(rest) = path.strip_prefix(&folder) else { continue };
            let name = rest.components().next().and_then(|name| name.as_os_str().to_str());
            if let Some(name) = name.filter(|name| names.last().is_none_or(|last| last != name)) {
                names.push(name.into());
            }
        }
        Ok(names)
    }
}

fn within(bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>> {
    if bytes.len() > limit {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("more than {limit} bytes")));
    }
    Ok(bytes)
}

/// A path without `.` and with `..` taken off what precedes it.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(cleaned.components().next_back(), Some(Component::Normal(_))) =>
            {
                cleaned.pop();
            }
            other => cleaned.push(other),
        }
    }
    cleaned
}

/// Most files that one pattern may find.
const MAX_FOUND: usize = 4096;

/// The files that a path with `*`, `?` and `[…]` means, sorted; a path without those is itself.
pub(super) fn expand(loader: &dyn Loader, path: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in path.components() {
        let pattern = component.as_os_str().to_string_lossy();
        if !matches!(component, Component::Normal(_)) || !pattern.contains(['*', '?', '[']) {
            for path in &mut found {
                path.push(component);
            }
            continue;
        }
        let mut next = Vec::new();
        for folder in &found {
            let mut names = loader.list(folder).unwrap_or_default();
            names.retain(|name| {
                (!name.starts_with('.') || pattern.starts_with('.'))
                    && glob(pattern.as_bytes(), name.as_bytes())
            });
            names.sort();
            next.extend(names.into_iter().map(|name| folder.join(name)));
            if next.len() > MAX_FOUND {
                next.truncate(MAX_FOUND);
                break;
            }
        }
        found = next;
    }
    found
}

/// Whether a name fits a pattern; at most pattern times name steps.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on if the last `*` takes one byte more.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), name.get(n)) {
            (Some(b'*'), _) => {
                retry = Some((p + 1, n));
                p += 1;
                continue;
            }
            (None, None) => return true,
            (Some(_), Some(&byte)) => {
                if let Some(length) = one(pattern.get(p..).unwrap_or_default(), byte) {
                    p += length;
                    n += 1;
                    continue;
                }
            }
            _ => {}
        }
        match retry {
            Some((after, taken)) if taken < name.len() => {
                retry = Some((after, taken + 1));
                (p, n) = (after, taken + 1);
            }
            _ => return false,
        }
    }
}

/// The length of the pattern's first element if it fits this byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', set @ ..] => {
            let (negated, body) = match set {
                [b'!' | b'^', body @ ..] => (true, body),
                _ => (false, set),
            };
            let Some(end) = body.iter().skip(1).position(|b| *b == b']').map(|at| at + 1) else {
                return (byte == b'[').then_some(1);
            };
            let body = body.get(..end).unwrap_or_default();
            let (mut at, mut inside) = (0, false);
            while let Some(&first) = body.get(at) {
                match (body.get(at + 1), body.get(at + 2)) {
                    (Some(b'-'), Some(&last)) => {
                        inside |= (first..=last).contains(&byte);
                        at += 3;
                    }
                    _ => {
                        inside |= first == byte;
                        at += 1;
                    }
                }
            }
            (inside != negated).then_some(1 + usize::from(negated) + end + 1)
        }
        [first, ..] => (*first == byte).then_some(1),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, name, fits) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.x", false),
            ("a*b*c", "aXbbYc", true),
            ("a*b*c", "aXbbY", false),
            ("?.c", "a.c", true),
            ("[a-c][!x]", "by", true),
            ("[a-c][!x]", "bx", false),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("*", "", true),
        ] {
            assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
        assert!(!glob(&b"*a".repeat(50), &[b'a'; 49]));
    }

    #[test]
    fn patterns_are_expanded_in_order() {
        let files =
            Memory::new().with("r/b.conf", "").with("r/a.conf", "").with("r/x/c.conf", "").with("q", "");
        let found = |path: &str| expand(&files, Path::new(path));
        assert_eq!(found("r/*.conf"), [Path::new("r/a.conf"), Path::new("r/b.conf")]);
        assert_eq!(found("*/x/*"), [Path::new("r/x/c.conf")]);
        assert_eq!(found("r/none.conf"), [Path::new("r/none.conf")]);
        assert!(found("r/*.data").is_empty());
        assert_eq!(clean(Path::new("a/./b/../../c")), Path::new("c"));
        assert_eq!(clean(Path::new("../a")), Path::new("../a"));
    }

    #[test]
    fn files_have_a_limit() {
        let files = Memory::new().with("a", "12345");
        assert_eq!(files.read(Path::new("./a"), 5).unwrap(), b"12345");
        assert_eq!(files.read(Path::new("a"), 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert!(FileSystem.read(Path::new("/"), 9).is_err());
    }
}
