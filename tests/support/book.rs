//! The pages of the book: their fences, their prose, their parts.

use smtp_from_scratch::stages::STAGES;

use super::conversation::{Conversation, Step};
use super::project::read;

/// One page: a chapter, an appendix, or the README.
pub struct Page {
    /// The path in the project: `docs/04-mail.md`.
    pub path: String,
    /// The stage that the page teaches, if it is a chapter.
    pub chapter: Option<usize>,
    pub text: String,
}

impl Page {
    /// Reads the page at a path in the project.
    pub fn new(path: &str) -> Page {
        let name = path.rsplit('/').next().unwrap();
        let number = name.get(..2).and_then(|digits| digits.parse().ok());
        Page {
            path: path.to_string(),
            chapter: number.filter(|number| (1..=STAGES.len()).contains(number)),
            text: read(path),
        }
    }

    /// Returns the stage that the page's conversations are played against.
    pub fn stage(&self) -> usize {
        self.chapter.unwrap_or(STAGES.len())
    }

    /// Names a line in a report: `docs/04-mail.md:12`.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// Reads the chapters, one for each stage.
pub fn chapters() -> Vec<Page> {
    STAGES
        .iter()
        .map(|stage| Page::new(&format!("docs/{:02}-{}.md", stage.number, stage.name)))
        .collect()
}

/// A block between three backquotes.
pub struct Fence<'page> {
    pub kind: &'page str,
    /// What follows the kind, such as a file or flags.
    pub info: &'page str,
    /// The number of the first line within the fence.
    pub start: usize,
    pub lines: Vec<&'page str>,
}

impl Fence<'_> {
    /// Says whether it is a conversation with what the reader has typed so far.
    pub fn is_so_far(&self) -> bool {
        ["smtp", "wrong"].contains(&self.kind) && self.info == "so-far"
    }
}

/// Finds the fences of a page.
pub fn fences(text: &str) -> Vec<Fence<'_>> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if let Some(opening) = line.strip_prefix("```") {
            let (kind, info) = opening.split_once(' ').unwrap_or((opening, ""));
            found.push(Fence {
                kind,
                info,
                start: number + 1,
                lines: lines
                    .by_ref()
                    .map(|(_, line)| line)
                    .take_while(|line| *line != "```")
                    .collect(),
            });
        }
    }
    found
}

/// Returns the numbered lines outside of the fences.
pub fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let fences = fences(text);
    (1..).zip(text.lines()).filter(move |(number, _)| {
        let is_in =
            |fence: &Fence| (fence.start - 1..=fence.start + fence.lines.len()).contains(number);
        !fences.iter().any(is_in)
    })
}

/// Panics with all faults at once.
#[track_caller]
pub fn assert_faultless(faults: &[String]) {
    assert!(faults.is_empty(), "\n\n{}\n", faults.join("\n\n"));
}

/// Finds the lines of `printed` in `whole`, one after the other.
///
/// Where `is_gap` is true, lines of `whole` may be left out. Returns the index in `whole` of each
/// printed line.
///
/// # Errors
/// The index of the first printed line that isn't found. If the line before it is found, also the
/// index of the line that `whole` has instead.
pub fn run_of(
    printed: &[&str],
    whole: &[&str],
    is_gap: fn(&str) -> bool,
) -> Result<Vec<usize>, (usize, Option<usize>)> {
    let gap = printed.iter().position(|line| is_gap(line));
    let segment = &printed[..gap.unwrap_or(printed.len())];
    let mut furthest = (0, None);
    for start in 0..=whole.len() {
        let same = segment
            .iter()
            .zip(&whole[start..])
            .take_while(|(a, b)| a == b)
            .count();
        let mut fault = (same, (same > 0).then_some(start + same));
        if same == segment.len() {
            let mut indices: Vec<usize> = (start..start + same).collect();
            let Some(gap) = gap else { return Ok(indices) };
            match run_of(&printed[gap + 1..], &whole[start + same..], is_gap) {
                Ok(rest) => {
                    indices.extend(rest.iter().map(|at| start + same + at));
                    return Ok(indices);
                }
                Err((line, instead)) => {
                    fault = (gap + 1 + line, instead.map(|at| start + same + at));
                }
            }
        }
        if fault.0 > furthest.0 {
            furthest = fault;
        }
    }
    Err(furthest)
}

/// Splits a text at its headings of one level.
///
/// Each part begins with its heading, and has the number of that line.
pub fn parts<'text>(text: &'text str, level: &str) -> Vec<(usize, Vec<&'text str>)> {
    let headings: Vec<usize> = prose(text)
        .filter(|(_, line)| line.starts_with(level))
        .map(|(number, _)| number)
        .collect();
    let mut parts: Vec<(usize, Vec<&str>)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if headings.contains(&number) {
            parts.push((number, Vec::new()));
        }
        if let Some((_, lines)) = parts.last_mut() {
            lines.push(line);
        }
    }
    parts
}

/// Reads the lines of a conversation; `start` is the number of the first.
pub fn parsed(page: &Page, start: usize, lines: &[&str]) -> Conversation {
    let mut steps = vec![Step::Place(page.at(start))];
    for (number, line) in (start..).zip(lines) {
        let place = page.at(number);
        let starts = ["S:", "C:", "{"];
        let in_notation = starts.iter().any(|start| line.starts_with(start));
        assert!(in_notation, "{place}: not in the notation: {line}");
        steps.push(Step::Place(place));
        steps.extend(Conversation::parse(line).steps);
    }
    Conversation { steps }
}

/// Puts the place of the line before a player's story.
pub fn with_place(story: &str) -> String {
    let place = story.lines().find_map(|line| line.strip_prefix("where: "));
    format!(
        "{}: {story}to do: print what the server says; if the server is wrong, correct the server",
        place.expect("every line of a page has a place")
    )
}
