//! Commands that the pages have their readers type, and whether they can be typed.

use smtp_from_scratch::cli;
use smtp_from_scratch::stages;

use super::links::{defined_at, is_test};
use super::project::{files, read, root};

/// The commands of a line of shell, each as its words.
pub fn shell_commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![vec![String::new()]];
    let mut quote = None;
    for character in line.chars() {
        let command = commands.last_mut().unwrap();
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, '#') if command.last().is_some_and(String::is_empty) => break,
            (None, '|' | ';' | '&' | '(' | ')') => commands.push(vec![String::new()]),
            (None, ' ') => command.push(String::new()),
            _ => command.last_mut().unwrap().push(character),
        }
    }
    for command in &mut commands {
        command.retain(|word| !word.is_empty());
        // SMTP_SERVER=127.0.0.1:2525 cargo test
        while command.first().is_some_and(|word| word.contains('=')) {
            command.remove(0);
        }
    }
    commands.retain(|command| !command.is_empty());
    commands
}

/// Programs that we tell a reader to type and that aren't ours.
const OTHER_PROGRAMS: [&str; 7] = ["curl", "echo", "head", "printf", "python3", "sleep", "yes"];

/// What is wrong with a command.
pub fn command_fault(words: &[String]) -> Option<String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["cargo", "run", ref arguments @ ..] => {
            let at = arguments.iter().position(|word| *word == "--");
            let (of_cargo, of_ours) = arguments.split_at(at.unwrap_or(arguments.len()));
            let known = ["--release", "--quiet", "--features", "log"];
            if let Some(word) = of_cargo.iter().find(|word| !known.contains(word)) {
                return Some(format!("cargo run takes no {word}"));
            }
            let ours = of_ours.iter().skip(1).map(Into::into);
            cli::parse(ours).err().map(|error| error.to_string())
        }
        ["cargo", "test", ref arguments @ ..] => test_fault(arguments),
        [
            "cargo",
            "build" | "check" | "doc" | "install" | "new" | "init",
            ..,
        ] => None,
        ["nc", "127.0.0.1" | "localhost", "2525"] => None,
        ["nc", ..] => Some("the server listens on 127.0.0.1 2525".to_string()),
        [script, ref arguments @ ..] if script.starts_with("scripts/") => {
            let takes_stage = ["scripts/talk.sh", "scripts/type-along.sh"].contains(&script);
            match arguments {
                _ if !root().join(script).is_file() => Some(format!("there is no {script}")),
                [] => None,
                [stage] if takes_stage && stages::find(stage).is_some() => None,
                [name] if is_situation(script, name) => None,
                [server] if script == "scripts/clients.sh" && server.contains(':') => None,
                _ => Some(format!("{script} doesn't take {}", arguments.join(" "))),
            }
        }
        [program, ..] if OTHER_PROGRAMS.contains(&program) => None,
        _ => Some(format!(
            "`{}` is no command that this test knows (if it is right, teach the test)",
            words.join(" ")
        )),
    }
}

/// Whether `scripts/hostile.sh` knows a situation of this name.
fn is_situation(script: &str, name: &str) -> bool {
    let text = read(script);
    let mut lines = text.lines();
    let names = lines.find_map(|line| line.strip_prefix("names=(")?.strip_suffix(')'));
    names.is_some_and(|names| names.split(' ').any(|known| known == name))
}

/// What is wrong with the arguments of `cargo test`: a file or a name for which there is no test.
fn test_fault(arguments: &[&str]) -> Option<String> {
    let (sources, filter) = match arguments {
        [] | ["--features", "log"] => return None,
        ["--test", name, rest @ ..] => (vec![format!("tests/{name}.rs")], rest),
        ["--lib", rest @ ..] => {
            let found = files("src", "rs");
            let names = found
                .iter()
                .map(|path| path.strip_prefix(root()).unwrap().display().to_string());
            (names.collect(), rest)
        }
        ["--doc", item] => return doctest_fault(item),
        _ => {
            return Some(format!(
                "cargo test {}: say it otherwise",
                arguments.join(" ")
            ));
        }
    };
    if let Some(missing) = sources.iter().find(|path| !root().join(path).is_file()) {
        return Some(format!("there is no {missing}"));
    }
    let filter = match filter {
        [] | ["--", ..] => return None,
        [filter, ..] => filter,
    };
    let matches = sources.iter().any(|path| {
        // The full name of a unit test: stages::stage04_mail::tests::a_name
        let module = match path.strip_prefix("src/") {
            Some(path) => path.trim_end_matches(".rs").replace('/', "::") + "::tests::",
            None => String::new(),
        };
        let text = read(path);
        let mut names = text.lines().filter_map(|line| {
            let name = line.trim_start().strip_prefix("fn ")?.split('(').next()?;
            is_test(&text, name).then(|| format!("{module}{name}"))
        });
        names.any(|name| name.contains(filter))
    });
    (!matches).then(|| format!("no test is named {filter}"))
}

/// What is wrong with `cargo test --doc path::reverse_path`: no such item, or none with an example.
fn doctest_fault(item: &str) -> Option<String> {
    let (module, name) = item.rsplit_once("::").unwrap_or((item, ""));
    let file = format!("src/{}.rs", module.replace("::", "/"));
    if !root().join(&file).is_file() {
        return Some(format!("there is no {file}"));
    }
    let source = read(&file);
    let Some(line) = defined_at(&source, name) else {
        return Some(format!("{file} has no {name}"));
    };
    let before: Vec<&str> = source.lines().take(line - 1).collect();
    let has_example = before
        .iter()
        .rev()
        .take_while(|line| line.trim().starts_with(['/', '#']))
        .any(|line| line.trim() == "/// ```");
    (!has_example).then(|| format!("{item} has no example"))
}
