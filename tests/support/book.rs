//! The pages of the book, and what stands on them.

use smtp_from_scratch::stages::STAGES;

use super::project::{files, read, root};

/// One page: a chapter, an appendix, or the README.
pub struct Page {
    /// From the project's folder on: `docs/04-mail.md`.
    pub path: String,
    /// The stage that it teaches, if it is the chapter of one.
    pub chapter: Option<usize>,
    pub text: String,
}

impl Page {
    pub fn new(path: &str) -> Page {
        let name = path.rsplit('/').next().unwrap();
        let number = name.get(..2).and_then(|digits| digits.parse().ok());
        Page {
            path: path.to_string(),
            chapter: number.filter(|&number| number > 0),
            text: read(path),
        }
    }

    /// The stage that its conversations are played against.
    pub fn stage(&self) -> usize {
        self.chapter.unwrap_or(STAGES.len())
    }

    /// Where a line is, for a message.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// The chapters that teach a stage.
pub fn chapters() -> Vec<Page> {
    STAGES
        .iter()
        .map(|stage| Page::new(&format!("docs/{:02}-{}.md", stage.number, stage.name)))
        .collect()
}

/// Every page that we print.
pub fn pages() -> Vec<Page> {
    let mut pages: Vec<Page> = files("docs", "md")
        .iter()
        .map(|path| Page::new(path.strip_prefix(root()).unwrap().to_str().unwrap()))
        .collect();
    pages.push(Page::new("README.md"));
    pages
}

/// A block between three backquotes.
pub struct Fence<'page> {
    pub kind: &'page str,
    /// What follows the kind: a file, or flags.
    pub info: &'page str,
    /// The number of its first line, and its lines.
    pub start: usize,
    pub lines: Vec<&'page str>,
}

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

/// The numbered lines outside the fences.
pub fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let fences = fences(text);
    (1..).zip(text.lines()).filter(move |(number, _)| {
        let is_in =
            |fence: &Fence| (fence.start - 1..=fence.start + fence.lines.len()).contains(number);
        !fences.iter().any(is_in)
    })
}

/// Panics with all the faults at once, so that they can be mended at once.
#[track_caller]
pub fn assert_faultless(faults: &[String]) {
    assert!(faults.is_empty(), "\n\n{}\n", faults.join("\n\n"));
}

/// The indices of the lines in `whole` that `printed` is a run of, but for what was left out where
/// `is_gap` says so.
///
/// # Errors
/// The index of the first line in `printed` for which there is no place, and the index of the line in
/// `whole` that stands where it should, if the lines before it had a place.
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

/// What stands for lines of code that are left out.
pub fn is_code_gap(line: &str) -> bool {
    line.trim() == "// ..."
}

/// What stands for lines of output that are left out.
pub fn is_output_gap(line: &str) -> bool {
    line == "..."
}

/// The parts of a text that begin with a heading of this level, with the number of its line.
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
