//! `scripts/new.sh` makes the folder that a reader types in, and changes nothing that is there.

mod support;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::project::{code, root};
use support::scratch::ScratchFolder;
use support::typed::{Crate, Line};
use support::works;

/// Runs the script as a reader without a name in git does.
fn new(within: &Path, argument: &Path) -> Output {
    let mut command = support::compile::without_git_variables("bash");
    command
        .current_dir(within)
        .arg(root().join("scripts/new.sh"))
        .arg(argument)
        .env("HOME", within)
        .output()
        .unwrap()
}

/// Lists the files below a folder, but for those of git, each with its content.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(within) = folders.pop() {
        for entry in fs::read_dir(within).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(folder).unwrap().to_path_buf();
                found.push((name, fs::read(&path).unwrap()));
            } else if path.file_name().unwrap() != ".git" {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_new_crate_has_the_given_files_and_its_own_git() {
    if !works("bash") {
        return support::skipped("it needs bash");
    }
    // A scratch folder is below target/, which may be within the clone.
    let Some(scratch) = outside() else {
        return support::skipped("it needs a folder outside of the clone");
    };
    let output = new(scratch.path(), Path::new("a/my server"));
    assert!(output.status.success(), "{output:?}");
    let folder = scratch.path().join("a/my server");
    let texts = |files: Crate| {
        let text = |lines: Vec<Line>| lines.into_iter().map(|line| line.text).collect();
        let files = files.files.into_iter();
        files
            .map(|(file, lines)| (file, text(lines)))
            .collect::<Vec<(String, Vec<String>)>>()
    };
    assert_eq!(texts(Crate::read(&folder, "")), texts(Crate::given()));
    assert!(folder.join(".gitignore").is_file());
    let said = String::from_utf8_lossy(&output.stdout);
    for part in ["my\\ server", "docs/01-echo.md", "cargo run", "check.sh"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    if works("git") {
        let mut git = support::compile::without_git_variables("git");
        let log = git
            .current_dir(&folder)
            .args(["log", "--format=%s"])
            .output();
        assert_eq!(log.unwrap().stdout, b"The given files\n");
        let mut git = support::compile::without_git_variables("git");
        let status = git
            .current_dir(&folder)
            .args(["status", "--short"])
            .output();
        assert_eq!(status.unwrap().stdout, b"");
    }
    // Once more, with the reader's own work in it.
    fs::write(folder.join("Cargo.toml"), "mine").unwrap();
    let before = files(&folder);
    let output = new(scratch.path(), Path::new("a/my server"));
    assert!(!output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("not empty"));
    assert!(before == files(&folder), "nothing was changed");
}

#[test]
fn a_folder_in_the_clone_or_a_file_is_refused() {
    if !works("bash") {
        return support::skipped("it needs bash");
    }
    for (within, name) in [
        (root().to_path_buf(), "my-server"),
        (root().join("docs"), "my-server/x"),
        (root().to_path_buf(), "docs/../my-server"),
        (root().to_path_buf(), "Cargo.toml"),
        (root().to_path_buf(), "Cargo.toml/x"),
        (root().to_path_buf(), ""),
    ] {
        let output = new(&within, Path::new(name));
        assert_eq!(output.status.code(), Some(1), "{name}: {output:?}");
        assert!(!root().join("my-server").exists());
    }
}

#[test]
fn the_variables_of_the_reader_do_not_lead_it_elsewhere() {
    if !works("bash") || !works("git") {
        return support::skipped("it needs bash and git");
    }
    let Some(scratch) = outside() else {
        return support::skipped("it needs a folder outside of the clone");
    };
    let git = |arguments: &[&str]| {
        let mut git = support::compile::without_git_variables("git");
        git.current_dir(scratch.path())
            .args(arguments)
            .output()
            .unwrap()
    };
    assert!(git(&["init", "--quiet", "hook"]).status.success());
    // Another place has a folder `scripts`, and a workspace is above the new folder.
    fs::create_dir_all(scratch.path().join("elsewhere/scripts")).unwrap();
    fs::write(scratch.path().join("Cargo.toml"), "[workspace]\n").unwrap();

    // The script is called as the clone's root would call it.
    let folder = scratch.path().join("my-server");
    let mut command = support::compile::without_git_variables("bash");
    let output = command
        .current_dir(root())
        .arg("scripts/new.sh")
        .arg(&folder)
        .env("CDPATH", scratch.path().join("elsewhere"))
        .env("GIT_DIR", scratch.path().join("hook/.git"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");

    let count = |folder| git(&["-C", folder, "rev-list", "--all", "--count"]).stdout;
    assert_eq!(count("hook"), b"0\n");
    assert_eq!(count("my-server"), b"1\n");
    let metadata = Command::new("cargo")
        .current_dir(&folder)
        .args(["metadata", "--offline", "--no-deps", "--format-version=1"])
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{metadata:?}");
}

/// Makes a folder outside of the clone.
fn outside() -> Option<ScratchFolder> {
    let folder = std::env::temp_dir().canonicalize().ok()?;
    if folder.starts_with(root().canonicalize().ok()?) {
        return None;
    }
    // An earlier run that was killed may have left a folder of the same name.
    let names = (0..).map(|number| format!("new-crate-{}-{number}", std::process::id()));
    for folder in names.map(|name| folder.join(name)) {
        match fs::create_dir(&folder) {
            Ok(()) => return Some(ScratchFolder::at(folder)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(_) => return None,
        }
    }
    None
}

#[test]
fn at_most_a_quarter_of_the_code_is_given() {
    let lines = |files: Crate| -> usize {
        let files = files.files.into_iter();
        let sources = files.filter(|(file, _)| file.ends_with(".rs"));
        let texts = sources.map(|(_, lines)| {
            let text: Vec<String> = lines.into_iter().map(|line| line.text).collect();
            text.join("\n")
        });
        let counts = texts.map(|text| code(&text).filter(|(_, line)| !line.is_empty()).count());
        counts.sum()
    };
    let (given, all) = (lines(Crate::given()), lines(Crate::read(root(), "")));
    assert!(4 * given <= all, "{given} of {all} lines");
}
