//! Whoever types what a chapter prints, in the order in which it is printed, has something that compiles
//! wherever the chapter says *What you see now*, and the whole stage in the end.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::book::{Fence, Page, assert_faultless, chapters, fences, is_code_gap, parts, run_of};
use support::project::{modules, root};

/// A copy of the project to type in. It is gone when the test is over.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Copy {
    fn new(stage: usize) -> Copy {
        let name = format!("smtp-from-scratch-{}-{stage}", std::process::id());
        let copy = Copy(std::env::temp_dir().join(name));
        for folder in ["src", "scripts"] {
            copy_folder(&root().join(folder), &copy.0.join(folder));
        }
        copy
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Option<Output> {
        let mut command = Command::new(program);
        command.current_dir(&self.0).args(arguments);
        command.output().ok()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap()
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }

    /// The first error of the compiler.
    fn compile_error(&self) -> Option<String> {
        let arguments = [
            "--edition=2024",
            "--crate-type=lib",
            "--crate-name=smtp_from_scratch",
            "--emit=metadata",
            "--deny=missing_docs",
            "src/lib.rs",
        ];
        let output = self.run("rustc", &arguments).unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let error = told.split("\n\n").find(|part| part.starts_with("error"));
        (!output.status.success()).then(|| error.unwrap_or(&told).to_string())
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

/// A stage's file with these lines of its code typed, each at its place: the documentation stands above
/// them and the unit tests below.
fn typed_so_far(original: &[&str], typed: &BTreeSet<usize>) -> String {
    let is_documentation = |line: &str| line.starts_with("//!");
    let tests = original.iter().position(|line| *line == "#[cfg(test)]");
    let lines = original.iter().enumerate().filter(|(at, line)| {
        is_documentation(line) || typed.contains(at) || tests.is_some_and(|tests| *at >= tests)
    });
    lines.fold(String::new(), |text, (_, line)| text + line + "\n")
}

/// Types what a fence prints.
fn type_piece(copy: &Copy, fence: &Fence, own: &str, typed: &mut BTreeSet<usize>) {
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

/// What is wrong with a chapter for somebody who types along.
fn faults(page: &Page, module: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let copy = Copy::new(page.stage);
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "."],
        &[
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@example.org",
            "commit",
            "--quiet",
            "-m",
            "x",
        ],
    ] {
        let output = copy.run("git", arguments).unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let own = format!("src/stages/{module}.rs");
    let mut typed = BTreeSet::new();
    let sections = parts(&page.text, "## ");
    let (first_line, lines) = &sections[2];
    let code = lines.join("\n");
    for command_and_pieces in parts(&format!("### \n{code}"), "### ") {
        let (at, step) = command_and_pieces;
        for fence in fences(&step.join("\n")) {
            if fence.kind == "sh" && fence.lines[0].starts_with("scripts/type-along.sh") {
                let output = copy.run("bash", &["scripts/type-along.sh", &page.stage.to_string()]);
                assert!(output.is_some_and(|output| output.status.success()));
            } else if fence.kind == "rust" && fence.info.starts_with("src/") {
                type_piece(&copy, &fence, &own, &mut typed);
            }
        }
        if let Some(error) = copy.compile_error() {
            // The heading that was put in front is a line of its own.
            let place = page.at(first_line + at - 2);
            faults.push(format!(
                "{place}: what is typed in this step doesn't compile:\n{error}"
            ));
        }
    }
    faults
}

#[test]
fn what_is_typed_compiles_wherever_there_is_something_to_see() {
    for program in ["git", "bash", "rustc"] {
        if Command::new(program).arg("--version").output().is_err() {
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
