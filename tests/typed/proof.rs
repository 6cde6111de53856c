//! The full proof: what is typed is built, tested and talked to, at every place where the book says so.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::book::{Page, assert_faultless, fences, parsed, with_place};
use crate::support::compile::{
    Warnings, compile_error, in_parallel, package_name, with_places, without_git_variables,
};
use crate::support::in_path;
use crate::support::player::{Split, play};
use crate::support::program::Server;
use crate::support::project::{modules, root};
use crate::support::scratch::ScratchFolder;
use crate::support::shell::shell_commands;
use crate::support::target::Target;
use crate::support::terminal::{as_typed, output_fault};
use crate::support::typed::{Crate, Moment, Typed};
use crate::{compile_fault, end_of, moments, typed_book};

/// What is proved with a state of the reader's crate.
enum Job<'a> {
    /// The unit tests and the tests of all stages so far pass. The tests of the exercises fail.
    End(&'a Page, Moment, &'a [Moment]),
    /// The exercise's test passes with its solution.
    Solved(&'a Page, &'a Moment),
    /// The commands after the change fail.
    Broken(&'a Page, &'a Moment),
    /// The conversation goes as printed.
    SoFar(&'a Page, &'a Moment),
}

/// Types the book, and proves all that can be proved. With `BOOK_CHAPTER`, only that chapter is proved.
#[test]
#[ignore = "it takes minutes"]
fn full_proof() {
    let start = Instant::now();
    let only = std::env::var("BOOK_CHAPTER").ok();
    let typed = typed_book();
    let faults: Vec<String> = typed
        .iter()
        .flat_map(|(_, typed)| typed.faults.clone())
        .collect();
    assert_faultless(&faults);
    let typed: Vec<&(Page, Typed)> = typed
        .iter()
        .filter(|(page, _)| only.as_ref().is_none_or(|only| *only == page.path))
        .collect();
    assert!(!typed.is_empty(), "no such chapter: {only:?}");

    let steps: Vec<&Moment> = typed.iter().flat_map(|(_, typed)| moments(typed)).collect();
    let errors = in_parallel(&steps, |moment| compile_fault(moment, Warnings::Allowed));
    let mut faults: Vec<String> = errors.into_iter().flatten().collect();
    println!("{} steps compiled after {:?}", steps.len(), start.elapsed());

    let tests = TestFiles::built();
    faults.extend(tests.ignore_the_program());
    let mut jobs = Vec::new();
    for (page, typed) in &typed {
        jobs.push(Job::End(page, end_of(page, typed), &typed.solved));
        jobs.extend(typed.solved.iter().map(|moment| Job::Solved(page, moment)));
        let tried = typed
            .broken
            .iter()
            .filter(|moment| !moment.commands.is_empty());
        jobs.extend(tried.map(|moment| Job::Broken(page, moment)));
        jobs.extend(typed.so_far.iter().map(|moment| Job::SoFar(page, moment)));
    }
    let folders = Mutex::new(Vec::new());
    // The last chapter takes longest.
    jobs.reverse();
    let mut found = in_parallel(&jobs, |job| {
        let free = folders.lock().unwrap().pop();
        let folder = free.unwrap_or_else(BuildFolder::new);
        let faults = job.faults(&folder, &tests);
        folders.lock().unwrap().push(folder);
        faults
    });
    found.reverse();
    faults.extend(found.into_iter().flatten());
    println!("{} places proved after {:?}", jobs.len(), start.elapsed());
    assert_faultless(&faults);
}

impl Job<'_> {
    /// Proves it. A panic, such as that of a server that doesn't start, is a fault as well.
    fn faults(&self, folder: &BuildFolder, tests: &TestFiles) -> Vec<String> {
        let place = match self {
            Job::End(_, moment, _) => &moment.place,
            Job::Solved(_, moment) | Job::Broken(_, moment) | Job::SoFar(_, moment) => {
                &moment.place
            }
        };
        let proved = catch_unwind(AssertUnwindSafe(|| match self {
            Job::End(page, end, solved) => end_faults(page, end, solved, folder, tests),
            Job::Solved(page, moment) => solution_faults(page, moment, folder, tests),
            Job::Broken(page, moment) => broken_faults(page, moment, folder, tests),
            Job::SoFar(page, moment) => so_far_faults(page, moment, folder),
        }));
        let faults = proved.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            vec![text.unwrap_or_else(|| "it panics".to_string())]
        });
        let with_place = |fault: String| match fault.starts_with("docs/") {
            true => fault,
            false => format!("{place}: {fault}"),
        };
        faults.into_iter().map(with_place).collect()
    }
}

/// A folder in which one state after the other is built.
struct BuildFolder(ScratchFolder);

impl BuildFolder {
    fn new() -> BuildFolder {
        BuildFolder(ScratchFolder::on_disk())
    }

    fn cargo(&self, arguments: &[&str]) -> Output {
        let mut cargo = without_git_variables("cargo");
        cargo
            .current_dir(self.0.path().join("crate"))
            .env("CARGO_TARGET_DIR", self.0.path().join("target"))
            .env_remove("RUST_BACKTRACE")
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("cargo: {error}"))
    }

    fn put(&self, state: &Crate) {
        let folder = self.0.path().join("crate");
        let _ = std::fs::remove_dir_all(folder.join("src"));
        state.write(&folder);
    }

    /// Builds a state and returns its program.
    fn program(&self, state: &Crate) -> Result<PathBuf, String> {
        self.put(state);
        let output = self.cargo(&["build", "--quiet", "--offline"]);
        if !output.status.success() {
            let report = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "it doesn't build:\n{}",
                with_places(&report, state)
            ));
        }
        Ok(self.0.path().join("target/debug").join(package_name(state)))
    }

    /// Runs the unit tests of the state that was built last.
    fn unit_tests(&self, arguments: &[&str]) -> TestRun {
        let cargo = [&["test", "--quiet", "--offline", "--lib", "--"], arguments].concat();
        TestRun::of(&self.cargo(&cargo))
    }
}

/// A run of tests.
struct TestRun {
    passed: bool,
    /// Whether any test ran.
    ran: bool,
    report: String,
}

impl TestRun {
    fn of(output: &Output) -> TestRun {
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let failures = text
            .split_once("\nfailures:\n")
            .map_or(&*text, |(_, failures)| failures);
        let lines: Vec<&str> = failures.lines().chain(errors.lines()).collect();
        let mut report: Vec<&str> = lines.iter().take(60).copied().collect();
        if lines.len() > report.len() {
            report.push("...");
        }
        let results = text
            .lines()
            .filter(|line| line.starts_with("test result: "));
        TestRun {
            passed: output.status.success(),
            ran: results
                .into_iter()
                .any(|line| !line.contains(" 0 passed; 0 failed;")),
            report: report.join("\n"),
        }
    }
}

/// The executables of the clone's tests.
struct TestFiles(Vec<(String, PathBuf)>);

impl TestFiles {
    /// Asks cargo for them. They are built already, unless only one test file was asked for.
    fn built() -> TestFiles {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let arguments = [
            "test",
            "--no-run",
            "--quiet",
            "--offline",
            "--message-format=json",
        ];
        let output = Command::new(cargo)
            .current_dir(root())
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let messages = String::from_utf8(output.stdout).unwrap();
        let paths = messages.lines().filter_map(|message| {
            let (_, path) = message.split_once("\"executable\":\"")?;
            Some(PathBuf::from(path.split('"').next()?))
        });
        let named = paths.filter_map(|path| {
            let file = path.file_name()?.to_str()?;
            let name = file.rsplit_once('-')?.0.to_string();
            Some((name, path))
        });
        TestFiles(named.collect())
    }

    /// Runs the tests of a file against a server.
    fn run(&self, file: &str, arguments: &[&str], server: &Tested) -> Result<TestRun, String> {
        let (_, path) = self
            .0
            .iter()
            .find(|(name, _)| name == file)
            .ok_or(format!("there is no test file {file}"))?;
        let mut command = Command::new(path);
        command
            .current_dir(root())
            .args(arguments)
            .env_remove("RUST_BACKTRACE");
        // Only what is set here counts.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SMTP_") {
                command.env_remove(name);
            }
        }
        match server {
            Tested::Program(path, stages) => command
                .env("SMTP_PROGRAM", path)
                .env("SMTP_STAGE", stages.to_string()),
            Tested::Running(address) => command.env("SMTP_SERVER", address),
        };
        Ok(TestRun::of(&command.output().unwrap()))
    }

    /// Checks that the tests start the program that they are told: one that does nothing must fail.
    fn ignore_the_program(&self) -> Option<String> {
        let path = in_path("false").expect("the program `false`");
        let nothing = Tested::Program(path.to_str().unwrap(), 1);
        let run = self.run("stage01_echo", &[], &nothing).unwrap();
        run.passed
            .then(|| format!("the tests pass with SMTP_PROGRAM={}", path.display()))
    }
}

/// A server for the clone's tests.
enum Tested<'a> {
    /// A program and its number of stages.
    Program(&'a str, usize),
    Running(&'a str),
}

/// Starts the reader's program on a free port.
fn started(program: &Path, arguments: &[&str]) -> Server {
    let mut command = Command::new(program);
    command.args(arguments).args(["--listen", "127.0.0.1:0"]);
    Server::spawned(command)
}

fn end_faults(
    page: &Page,
    end: &Moment,
    solved: &[Moment],
    folder: &BuildFolder,
    tests: &TestFiles,
) -> Vec<String> {
    let program = match folder.program(&end.state) {
        Ok(program) => program,
        Err(fault) => return vec![fault],
    };
    let mut faults = Vec::new();
    let unit_tests = folder.unit_tests(&[]);
    if !unit_tests.passed {
        faults.push(format!(
            "the reader's unit tests fail:\n{}",
            unit_tests.report
        ));
    }
    for exercise in solved {
        faults.extend(exercise_faults(page, exercise, &program, false, tests));
    }
    let mut check = |file: &str, server: &Tested, how: &str| {
        let fault = match tests.run(file, &[], server) {
            Ok(run) if run.passed => return,
            Ok(run) => format!(
                "the reader's server fails tests/{file}.rs{how}:\n{}",
                run.report
            ),
            Err(fault) => fault,
        };
        faults.push(fault);
    };
    let stage = page.stage();
    let path = program.to_str().unwrap();
    for module in &modules()[..stage] {
        check(module, &Tested::Program(path, stage), "");
    }
    let server = started(&program, &["--stage", &stage.to_string()]);
    let own = &modules()[stage - 1];
    check(own, &Tested::Running(&server.address), " with SMTP_SERVER");
    faults
}

fn solution_faults(
    page: &Page,
    moment: &Moment,
    folder: &BuildFolder,
    tests: &TestFiles,
) -> Vec<String> {
    match folder.program(&moment.state) {
        Ok(program) => exercise_faults(page, moment, &program, true, tests),
        Err(fault) => vec![fault],
    }
}

/// Runs the tests that an exercise names: all pass, or all fail.
fn exercise_faults(
    page: &Page,
    moment: &Moment,
    program: &Path,
    passes: bool,
    tests: &TestFiles,
) -> Vec<String> {
    let server = Tested::Program(program.to_str().unwrap(), page.stage());
    let faults = moment.commands.iter().filter_map(|(number, line)| {
        let place = page.at(*number);
        let name = line.split_once("--ignored ").map(|(_, rest)| {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            rest.split(|c| !is_name(c)).next().unwrap_or_default()
        });
        let Some(name) = name else {
            return Some(format!("{place}: the command names no test"));
        };
        match tests.run("exercises", &["--ignored", name], &server) {
            Err(fault) => Some(format!("{place}: {fault}")),
            Ok(run) if !run.ran => Some(format!("{place}: tests/exercises.rs has no {name}")),
            Ok(run) if run.passed == passes => None,
            Ok(_) if !passes => Some(format!("{place}: {name} passes without the solution")),
            Ok(run) => Some(format!(
                "{place}: {name} fails with the solution of {}:\n{}",
                moment.place, run.report
            )),
        }
    });
    faults.collect()
}

fn broken_faults(
    page: &Page,
    moment: &Moment,
    folder: &BuildFolder,
    tests: &TestFiles,
) -> Vec<String> {
    let program = match folder.program(&moment.state) {
        Ok(program) => program,
        Err(fault) => return vec![fault],
    };
    let path = program.to_str().unwrap();
    let mut faults = Vec::new();
    let mut proved = 0;
    for (number, line) in &moment.commands {
        for words in shell_commands(line) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let run = match words[..] {
                ["cargo", "test", "--test", file, ref filter @ ..] => {
                    let server = Tested::Program(path, page.stage());
                    let filter = filter.strip_prefix(&["--"]).unwrap_or(filter);
                    match tests.run(file, filter, &server) {
                        Ok(run) => run,
                        Err(fault) => return vec![format!("{}: {fault}", page.at(*number))],
                    }
                }
                ["cargo", "test", "--lib", ref filter @ ..] => folder.unit_tests(filter),
                ["cargo", "test", ref filter @ ..] => folder.unit_tests(filter),
                [script, ref arguments @ ..] if script.ends_with("scripts/check.sh") => {
                    let server = started(&program, &[]);
                    let stage = page.stage().to_string();
                    let mut check = Command::new("bash");
                    check.current_dir(root()).arg("scripts/check.sh");
                    check.args(arguments.iter().map(|word| match word {
                        word if word.contains("target/") => path,
                        word if word.contains(':') => server.address.as_str(),
                        word => word,
                    }));
                    if !arguments.contains(&"--through") {
                        check.args(["--through", &stage]);
                    }
                    let output = check.output().unwrap();
                    TestRun {
                        ran: has_checked(&output),
                        ..TestRun::of(&output)
                    }
                }
                _ => continue,
            };
            proved += 1;
            let place = page.at(*number);
            if !run.ran {
                faults.push(format!(
                    "{place}: this runs no test of the reader's:\n    {line}\n{}",
                    run.report
                ));
            } else if run.passed {
                faults.push(format!(
                    "{place}: with the change of {} this still passes:\n    {line}",
                    moment.place
                ));
            }
        }
    }
    if proved == 0 && !moment.commands.is_empty() {
        faults.push("none of the commands after the change shows that it is wrong".to_string());
    }
    faults
}

/// Says whether a run of `check.sh` came so far as to judge the server.
///
/// Code 2 is for arguments without a meaning. Tests that can't be built have code 1, and another last line.
fn has_checked(output: &Output) -> bool {
    let printed = String::from_utf8_lossy(&output.stdout);
    let last = printed.lines().last().unwrap_or_default();
    let failed = last.rsplit("; ").next().unwrap_or_default();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let words: Vec<&str> = failed.split([' ', ':']).collect();
    match (output.status.code(), &words[..]) {
        (Some(0), _) => true,
        (Some(1), ["stage", stage, "", passed, "of", all]) => {
            [stage, passed, all].into_iter().all(|text| is_number(text))
        }
        _ => false,
    }
}

fn so_far_faults(page: &Page, moment: &Moment, folder: &BuildFolder) -> Vec<String> {
    let program = match folder.program(&moment.state) {
        Ok(program) => program,
        Err(fault) => return vec![fault],
    };
    let fences = fences(&page.text);
    let at = fences.iter().position(|fence| fence.start == moment.line);
    let at = at.expect("the conversation is on the page");
    let conversation = || parsed(page, fences[at].start, &fences[at].lines);
    let played = |conversation| {
        let server = started(&program, &[]);
        let target = Target::running(server.address.parse().unwrap(), true);
        let story = play(&target, &conversation, Split::LineByLine).err();
        (server, story)
    };
    let (_, story) = played(conversation());
    let mut faults: Vec<String> = story.map(|story| with_place(&story)).into_iter().collect();
    if let Some(terminal) = fences.get(at + 1).filter(|fence| fence.kind == "terminal") {
        let (server, _) = played(as_typed(conversation()));
        let mut shown = vec!["listening on 127.0.0.1:2525".to_string()];
        let port = server.address.rsplit(':').next().unwrap();
        // A naive server says at no time that this was all.
        while let Ok(line) = server.printed.recv_timeout(QUIET) {
            shown.push(line.replace(port, "2525"));
        }
        faults.extend(output_fault(page, terminal.start, &terminal.lines, &shown));
    }
    faults
}

/// When a server has printed nothing for so long, it has printed all.
const QUIET: Duration = Duration::from_secs(1);

#[test]
#[cfg(unix)]
fn a_check_has_judged_the_server_or_not() {
    use std::os::unix::process::ExitStatusExt;
    let output = |code: i32, printed: &str| Output {
        status: std::process::ExitStatus::from_raw(code << 8),
        stdout: printed.into(),
        stderr: Vec::new(),
    };
    for (code, printed) in [
        (0, "stages 2 to 7 pass\n"),
        (1, "stage 1: 0 of 4\n"),
        (1, "Why.\n\nstages 2 to 3 pass; stage 4: 11 of 12\n"),
    ] {
        assert!(has_checked(&output(code, printed)), "{printed}");
    }
    for (code, printed) in [
        (2, "stage 1: 0 of 4\n"),
        (1, ""),
        (1, "stage 1: 0 of 4\nnobody listens on 127.0.0.1:1\n"),
    ] {
        assert!(!has_checked(&output(code, printed)), "{printed}");
    }
}

#[test]
fn an_error_names_the_page() {
    let mut state = Crate::default();
    let lines = ["pub fn a() {", "    b();", "}"];
    let lines = lines
        .iter()
        .zip(10..)
        .map(|(text, number)| crate::support::typed::Line {
            text: text.to_string(),
            from: format!("docs/x.md:{number}"),
        });
    state
        .files
        .insert("src/lib.rs".to_string(), lines.collect());
    let error = compile_error(&state, Warnings::Allowed).unwrap();
    assert!(
        error.contains("src/lib.rs:2:5  which is docs/x.md:11"),
        "{error}"
    );
}
