//! A line of shell, read as far as the book needs it.

/// Splits a line into its commands, and each command into its words.
///
/// Comments, the variables before a command, and the file that its output goes to are left out.
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
        let output = command.iter().position(|word| word.starts_with('>'));
        command.truncate(output.unwrap_or(command.len()));
    }
    commands.retain(|command| !command.is_empty());
    commands
}

/// Says whether a quote is open at the end of a text.
pub fn ends_within_quotes(text: &str) -> bool {
    let mut quote = None;
    for character in text.chars() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            _ => {}
        }
    }
    quote.is_some()
}

#[test]
fn a_line_is_split_into_commands_and_words() {
    let line = "(sleep 1; printf 'a; b | c\\r\\n') | A=b nc \"127.0.0.1\" 2525 >/dev/null # d; e";
    let commands = shell_commands(line);
    let words: Vec<String> = commands.iter().map(|words| words.join(",")).collect();
    assert_eq!(
        words,
        ["sleep,1", "printf,a; b | c\\r\\n", "nc,127.0.0.1,2525"]
    );
}
