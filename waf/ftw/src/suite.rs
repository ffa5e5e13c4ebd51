//! A folder of test files, read and numbered.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::{
    Error,
    model::{File, Test},
};

/// The tests of one folder or file, ordered by file and then as in the file.
#[derive(Clone, Debug, Default)]
pub struct Suite {
    /// The tests.
    pub tests: Vec<Test>,
    /// How many files were read, those without any test included.
    pub files: usize,
}

impl Suite {
    /// Reads every `.yaml` and `.yml` file under `folder`.
    ///
    /// # Errors
    ///
    /// The first file that cannot be read or is not of the expected shape.
    pub fn load(folder: &Path) -> Result<Suite, Error> {
        let mut suite = Suite::default();
        for path in yaml_files(folder)? {
            let text =
                fs::read_to_string(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            let file = Suite::parse(&name, &text)?;
            suite.tests.extend(file.tests);
            suite.files += 1;
        }
        Ok(suite)
    }

    /// Reads the tests of one file's text. `name` is where they come from; its stem is the rule's number
    /// if it is a number, `rule_id` is otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::Yaml`].
    pub fn parse(name: &str, text: &str) -> Result<Suite, Error> {
        // A file of comments only is a null document.
        let file: Option<File> =
            serde_yaml_ng::from_str(text).map_err(|source| Error::Yaml { file: name.to_owned(), source })?;
        let File { rule_id, tests } = file.unwrap_or(File { rule_id: 0, tests: Vec::new() });
        let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let rule_id = stem.parse().unwrap_or(rule_id);
        let tests = tests.into_iter().zip(1u32..).map(|(case, position)| Test {
            file: name.to_owned(),
            rule_id,
            test_id: case.test_id.unwrap_or(position),
            desc: case.desc,
            stages: case.stages,
        });
        Ok(Suite { tests: tests.collect(), files: 1 })
    }
}

/// Where the Core Rule Set lies: the environment's `CRS_DIR`, else `fallback` if it is there. It has the
/// folders `rules` and `tests`.
pub fn crs_dir(fallback: &Path) -> Option<PathBuf> {
    let folder = env::var_os("CRS_DIR").map_or_else(|| fallback.to_owned(), PathBuf::from);
    folder.join("tests").is_dir().then(|| folder.canonicalize().unwrap_or(folder))
}

/// All test files under `folder`, sorted. Two levels: the rule set has a folder a family.
fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            files.extend(entries(&path)?.into_iter().filter(|path| is_yaml(path)));
        } else if is_yaml(&path) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let fail = |source| Error::Io { path: folder.to_owned(), source };
    fs::read_dir(folder).map_err(fail)?.map(|entry| entry.map(|e| e.path()).map_err(fail)).collect()
}
