//! The project's own files, for tests that read them.

use std::fs;
use std::path::{Path, PathBuf};

use smtp_from_scratch::stages::STAGES;

/// Returns the project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a file, named from the project's folder on.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Lists all files with this ending below a folder of the project.
pub fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == ending)
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Reads all of our sources: the name and the text.
pub fn sources() -> impl Iterator<Item = (String, String)> {
    files("src", "rs").into_iter().map(|path| {
        let name = path.strip_prefix(root()).unwrap();
        (name.to_string_lossy().into_owned(), read(&path))
    })
}

/// Numbers a source's lines of code, without comments and unit tests.
///
/// The unit tests are at the end of a source.
pub fn code(source: &str) -> impl Iterator<Item = (usize, &str)> {
    source
        .lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Names the module of each stage in the table, such as `stage04_mail`.
pub fn modules() -> Vec<String> {
    STAGES
        .iter()
        .map(|stage| format!("stage{:02}_{}", stage.number, stage.name))
        .collect()
}
