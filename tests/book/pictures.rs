//! Pictures: each shows the names that the code has.

use smtp_from_scratch::stages::STAGES;

use crate::support::project::{files, read, root};

#[test]
fn the_tower_shows_every_stage_and_every_file_at_its_foot() {
    for stage in STAGES {
        assert_shown("tower", stage.name);
    }
    for path in files("src", "rs") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_at_foot = path.parent() == Some(&root().join("src"));
        if is_at_foot && !["lib", "main", "cli", "start"].contains(&name) {
            assert_shown("tower", name);
        }
    }
}

#[test]
fn the_end_of_data_shows_every_state() {
    let files = ["src/data.rs", "src/stages/stage06_data.rs"].into_iter();
    let mut sources = files.filter(|file| root().join(file).is_file()).map(read);
    let states = sources.find_map(|source| {
        let (_, states) = source.split_once("enum State {")?;
        states.split_once('}').map(|(states, _)| states.to_string())
    });
    let states = states.expect("the machine has an enum State");
    let states = states.lines().map(str::trim);
    let states: Vec<&str> = states.filter_map(|line| line.strip_suffix(',')).collect();
    assert!(!states.is_empty());
    for state in states {
        assert_shown("end-of-data", state);
    }
}

#[track_caller]
fn assert_shown(picture: &str, name: &str) {
    let is_shown = words(picture).iter().any(|word| word == name);
    assert!(is_shown, "{picture}.svg doesn't show {name}");
}

/// Returns the words that a picture shows: the text of its tags after the description.
fn words(picture: &str) -> Vec<String> {
    let svg = read(format!("docs/images/{picture}.svg"));
    let (_, drawn) = svg.split_once("</desc>").expect("a description");
    let texts = drawn.split('<').filter_map(|part| part.split_once('>'));
    let words = texts.flat_map(|(_, text)| text.split(|c: char| !c.is_alphanumeric()));
    words.map(str::to_string).collect()
}
