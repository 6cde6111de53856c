//! A reader who types along has code that compiles wherever the chapter says *What you see now*, and the
//! whole stage in the end.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::book::{Fence, Page, assert_faultless, chapters, fences, is_code_gap, parts, run_of};
use support::project::{code, modules, root};

/// A copy of the project to type in. Dropping it removes its folder.
struct ProjectCopy(PathBuf);

impl Drop for ProjectCopy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl ProjectCopy {
    fn new(stage: usize) -> ProjectCopy {
        let name = format!("typed-{}-{stage}", std::process::id());
        let copy = ProjectCopy(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        let _ = fs::remove_dir_all(&copy.0);
        for folder in ["src", "scripts"] {
            copy_folder(&root().join(folder), &copy.0.join(folder));
        }
        for arguments in [
            "init --quiet",
            "add .",
            "-c user.name=x -c user.email=x@example.org commit --quiet --message x",
        ] {
            let arguments: Vec<&str> = arguments.split(' ').collect();
            let output = copy.run("git", &arguments);
            assert!(output.status.success(), "{output:?}");
        }
        copy
    }

    /// Runs a program in the copy, without the variables of an outer git.
    ///
    /// When the tests run within a hook, `GIT_DIR` names the outer repository.
    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.current_dir(&self.0).args(arguments);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                command.env_remove(name);
            }
        }
        // Cargo sets it for the compiler.
        command.env("CARGO_PKG_VERSION", env!("CARGO_PKG_VERSION"));
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }

    /// Compiles the copy, and returns the first error.
    fn compile_error(&self) -> Option<String> {
        let arguments = [
            "--edition=2024",
            "--crate-type=lib",
            "--crate-name=smtp_from_scratch",
            "--emit=metadata",
            "--deny=missing_docs",
            "src/lib.rs",
        ];
        let output = self.run("rustc", &arguments);
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        let error = report.split("\n\n").find(|part| part.starts_with("error"));
        (!output.status.success()).then(|| error.unwrap_or(&report).to_string())
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Returns a stage's file with the typed lines of its code, each at its place.
///
/// The documentation above them and the unit tests below are always there.
fn typed_so_far(original: &[&str], typed: &BTreeSet<usize>) -> String {
    let is_documentation = |line: &str| line.starts_with("//!");
    let tests = original.iter().position(|line| *line == "#[cfg(test)]");
    let lines = original.iter().enumerate().filter(|(at, line)| {
        is_documentation(line) || typed.contains(at) || tests.is_some_and(|tests| *at >= tests)
    });
    lines.fold(String::new(), |text, (_, line)| text + line + "\n")
}

/// Types the code of a fence.
fn type_piece(copy: &ProjectCopy, fence: &Fence, own: &str, typed: &mut BTreeSet<usize>) {
    let original = support::project::read(fence.info);
    if fence.info == own {
        let whole: Vec<&str> = original.lines().collect();
        typed.extend(run_of(&fence.lines, &whole, is_code_gap).unwrap());
        copy.write(own, &typed_so_far(&whole, typed));
    } else if fence.info == "src/stages/mod.rs" {
        // The first entry is there and hangs up; the others are added at the end of the table.
        let table = copy.read(fence.info);
        let with_entry = match table.contains("|_| Ok(())") {
            true => table.replace("|_| Ok(())", "stage01_echo::converse"),
            false => table.replacen("\n];\n", &format!("\n{}\n];\n", fence.lines.join("\n")), 1),
        };
        copy.write(fence.info, &with_entry);
    }
}

/// Types a chapter, and finds what doesn't compile or isn't printed.
fn faults(page: &Page, module: &str) -> Vec<String> {
    let own = format!("src/stages/{module}.rs");
    let copy = ProjectCopy::new(page.stage());
    let mut typed = BTreeSet::new();
    let mut faults = Vec::new();
    let all_fences = fences(&page.text);
    let sections = parts(&page.text, "## ");
    let (first_line, lines) = sections
        .iter()
        .find(|(_, lines)| lines[0] == "## The code")
        .expect("every chapter has its code");
    for (number, line) in (*first_line..).zip(lines) {
        if let Some(fence) = all_fences.iter().find(|fence| fence.start == number + 1) {
            if fence.kind == "sh" && fence.lines[0].starts_with("scripts/type-along.sh") {
                let output = copy.run(
                    "bash",
                    &["scripts/type-along.sh", &page.stage().to_string()],
                );
                assert!(output.status.success(), "{output:?}");
            } else if fence.kind == "rust" {
                type_piece(&copy, fence, &own, &mut typed);
            }
        } else if line.starts_with("**What you see now.**") {
            if let Some(error) = copy.compile_error() {
                let place = page.at(number);
                faults.push(format!(
                    "{place}: what is typed so far doesn't compile:\n{error}"
                ));
            }
        }
    }
    for (number, line) in code(&support::project::read(&own)) {
        if !line.is_empty() && !typed.contains(&(number - 1)) {
            let path = &page.path;
            faults.push(format!(
                "{own}:{number} is typed nowhere in {path}:\n    {line}\nto do: print it where the chapter introduces it"
            ));
        }
    }
    let table = copy.read("src/stages/mod.rs");
    if table.contains("|_| Ok(())") || !table.contains(&format!("number: {},", page.stage())) {
        faults.push(format!("{}: the stage is not in the table", page.path));
    }
    faults
}

#[test]
fn typed_code_compiles_at_every_what_you_see_now() {
    for program in ["git", "bash", "rustc"] {
        let works = Command::new(program).arg("--version").output();
        if !works.is_ok_and(|output| output.status.success()) {
            return support::skipped(&format!("it needs {program}"));
        }
    }
    let chapters = chapters();
    let modules = modules();
    let faults: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = chapters
            .iter()
            .zip(&modules)
            .map(|(page, module)| scope.spawn(move || faults(page, module)))
            .collect();
        let faults = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        faults.collect()
    });
    assert_faultless(&faults);
}
