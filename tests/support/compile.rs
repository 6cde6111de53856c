//! Compiles the reader's crate as far as to see whether it has errors or warnings.

use std::process::Command;

use super::scratch::ScratchFolder;
use super::typed::Crate;

/// How a warning counts.
#[derive(Clone, Copy, PartialEq)]
pub enum Warnings {
    Allowed,
    Denied,
}

/// Compiles the library and the program, and returns the errors with the lines' places in the book.
pub fn compile_error(state: &Crate, warnings: Warnings) -> Option<String> {
    let scratch = ScratchFolder::on_disk();
    state.write(scratch.path());
    let name = package_name(state);
    let library = name.replace('-', "_");
    let rmeta = format!(
        "{library}={}",
        scratch.path().join(format!("lib{library}.rmeta")).display()
    );
    let extern_ = ["--extern", &rmeta];
    let targets: [(&str, &str, &str, &[&str]); 2] = [
        ("src/lib.rs", "lib", &library, &[]),
        ("src/main.rs", "bin", &library, &extern_),
    ];
    let lints = lints(state);
    let (version, _) = manifest_value(state, "version").unwrap_or_default();
    for (file, kind, crate_name, more) in targets {
        if !state.files.contains_key(file) {
            continue;
        }
        let mut rustc = Command::new("rustc");
        rustc
            .current_dir(scratch.path())
            .args(["--emit=metadata", "--error-format=human"])
            .args(edition(state))
            .args([
                &format!("--crate-type={kind}"),
                &format!("--crate-name={crate_name}"),
            ])
            .args(match kind {
                "bin" => ["-o", "program.rmeta"],
                _ => ["--out-dir", "."],
            })
            .args(&lints)
            .args(more)
            .env("CARGO_PKG_VERSION", version)
            .env("CARGO_PKG_NAME", &name)
            .arg(file);
        if warnings == Warnings::Denied {
            rustc.arg("--deny=warnings");
        }
        let output = rustc
            .output()
            .unwrap_or_else(|error| panic!("rustc: {error}"));
        if !output.status.success() {
            let report = String::from_utf8_lossy(&output.stderr).into_owned();
            return Some(with_places(&report, state));
        }
    }
    None
}

/// Returns what rustfmt would change. A reader who formats their code has the same lines as the book.
pub fn format_difference(state: &Crate) -> Option<String> {
    let scratch = ScratchFolder::on_disk();
    state.write(scratch.path());
    let files = ["src/lib.rs", "src/main.rs"];
    let there = files.iter().filter(|file| state.files.contains_key(**file));
    let output = Command::new("rustfmt")
        .current_dir(scratch.path())
        .args(["--check", "--color=never"])
        .args(edition(state))
        .args(there)
        .output()
        .unwrap_or_else(|error| panic!("rustfmt: {error}"));
    if output.status.success() {
        return None;
    }
    let folder = format!("{}/", scratch.path().display());
    let report = String::from_utf8_lossy(&output.stdout).replace(&folder, "");
    let errors = String::from_utf8_lossy(&output.stderr);
    let lines = report.lines().map(|line| {
        let reported = line.strip_prefix("Diff in ");
        match reported.and_then(|at| place_in_book(at, state)) {
            Some(place) => format!("{line} which is {place}"),
            None => line.to_string(),
        }
    });
    Some(
        lines
            .chain(errors.lines().map(str::to_string))
            .collect::<Vec<_>>()
            .join("\n"),
    )
}

/// Returns the package's name in the `Cargo.toml`.
pub fn package_name(state: &Crate) -> String {
    let (name, _) = manifest_value(state, "name").unwrap_or(("smtp-from-scratch", ""));
    name.to_string()
}

/// Returns the argument for the edition in the `Cargo.toml`.
fn edition(state: &Crate) -> Option<String> {
    let (edition, _) = manifest_value(state, "edition")?;
    Some(format!("--edition={edition}"))
}

/// Returns a value of the `Cargo.toml`, and the line's place.
pub fn manifest_value<'a>(state: &'a Crate, key: &str) -> Option<(&'a str, &'a str)> {
    let start = format!("{key} = \"");
    let mut lines = state.files.get("Cargo.toml")?.iter();
    lines.find_map(|line| {
        let value = line.text.strip_prefix(&start)?.strip_suffix('"')?;
        Some((value, line.from.as_str()))
    })
}

/// Reads the lints of the `Cargo.toml` as arguments.
fn lints(state: &Crate) -> Vec<String> {
    let manifest = state.files.get("Cargo.toml").into_iter().flatten();
    let lints = manifest
        .map(|line| line.text.as_str())
        .skip_while(|line| *line != "[lints.rust]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "));
    lints
        .map(|(lint, level)| format!("--{}={lint}", level.trim_matches('"')))
        .collect()
}

/// Adds to each `--> src/wire.rs:12:5` of a report the line's place in the book.
pub fn with_places(report: &str, state: &Crate) -> String {
    let errors = report.trim_end().split("\n\n");
    let errors = errors.filter(|error| !error.starts_with("error: aborting due to"));
    let lines = errors
        .flat_map(|error| error.lines().chain([""]))
        .map(|line| {
            let reported = line.split_once("--> ").map(|(_, at)| at);
            match reported.and_then(|at| place_in_book(at, state)) {
                Some(place) => format!("{line}  which is {place}"),
                None => line.to_string(),
            }
        });
    lines.collect::<Vec<_>>().join("\n").trim_end().to_string()
}

/// Finds the line of a `src/wire.rs:12:5` or `src/wire.rs:12:`, and returns its place in the book.
fn place_in_book<'a>(reported: &str, state: &'a Crate) -> Option<&'a str> {
    let mut parts = reported.split(':');
    let lines = state.files.get(parts.next()?)?;
    let number: usize = parts.next()?.parse().ok()?;
    Some(lines.get(number - 1)?.from.as_str())
}

/// Does the work for each item on as many threads as the machine has cores. The results keep the order.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    use std::sync::Mutex;
    let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get());
    let results = Mutex::new((0..items.len()).map(|_| None).collect::<Vec<Option<R>>>());
    let next = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let at = {
                        let mut next = next.lock().unwrap();
                        *next += 1;
                        *next - 1
                    };
                    let Some(item) = items.get(at) else { return };
                    let result = work(item);
                    results.lock().unwrap()[at] = Some(result);
                }
            });
        }
    });
    let results = results.into_inner().unwrap().into_iter();
    results
        .map(|result| result.expect("each item is done"))
        .collect()
}

/// Runs a program without the variables of an outer git.
///
/// When the tests run within a hook, `GIT_DIR` names the outer repository.
pub fn without_git_variables(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command.env("GIT_CONFIG_NOSYSTEM", "1");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
}
