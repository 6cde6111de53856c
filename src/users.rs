//! Names and passwords, and who may log in with them (chapter 11).

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, Metadata};
use std::hint;
use std::io::{self, Read};
use std::path::Path;

/// Who may log in.
#[derive(Debug)]
pub enum Login {
    /// Nobody: AUTH isn't offered.
    Nobody,
    /// Everybody, with any name and any password. Mail needs no login.
    Any,
    /// These users. Mail is accepted from them only.
    Users(Users),
}

impl Login {
    /// Says whether AUTH is offered.
    pub fn is_offered(&self) -> bool {
        !matches!(self, Login::Nobody)
    }

    /// Says whether a client must log in before it sends mail.
    pub fn is_needed(&self) -> bool {
        matches!(self, Login::Users(_))
    }

    /// Says whether a name and a password are right.
    pub fn accepts(&self, name: &[u8], password: &[u8]) -> bool {
        match self {
            Login::Nobody => false,
            Login::Any => true,
            Login::Users(users) => users.have(name, password),
        }
    }
}

/// Users, each a name and a password.
pub struct Users(BTreeMap<String, String>);

impl Users {
    /// Reads the users of a file, which has a line `name:password` for each.
    ///
    /// Nobody but its owner may be able to read or write it.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence that begins with the file's name. It never has a line of
    /// the file in it.
    pub fn open(path: &Path) -> Result<Users, String> {
        let problem = |error: io::Error| format!("can't be read: {error}");
        let mut file = File::open(path).map_err(problem)?;
        if is_open_to_others(&file.metadata().map_err(problem)?) {
            return Err("is open to others. Make it yours alone: chmod 600".to_string());
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(problem)?;
        Users::parse(&text)
    }

    /// Reads users, a line `name:password` for each.
    ///
    /// A password may have a colon in it. Empty lines don't count, and there are no comments.
    ///
    /// ```
    /// use smtp_from_scratch::users::Users;
    ///
    /// let users = Users::parse("ada:s3cret\nbob:a:b\n").unwrap();
    /// assert!(users.have(b"ada", b"s3cret"));
    /// assert!(users.have(b"bob", b"a:b"));
    /// assert!(!users.have(b"ada", b"a:b"));
    /// assert_eq!(Users::parse("ada:s3cret\nbob").unwrap_err(), "has a line 2 that isn't name:password");
    /// ```
    ///
    /// # Errors
    /// Which line is wrong, by its number.
    pub fn parse(text: &str) -> Result<Users, String> {
        let mut users = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.is_empty() {
                continue;
            }
            match line.split_once(':') {
                Some((name, password)) if is_name(name) && !password.is_empty() => {
                    let earlier = users.insert(name.to_string(), password.to_string());
                    if earlier.is_some() {
                        return Err(format!(
                            "names a user twice, the second time in line {number}"
                        ));
                    }
                }
                _ => return Err(format!("has a line {number} that isn't name:password")),
            }
        }
        if users.is_empty() {
            return Err("has no users. It needs a line name:password for each".to_string());
        }
        Ok(Users(users))
    }

    /// Says whether there is a user with this name and this password.
    ///
    /// It takes equally long for a wrong name and a wrong password, and wherever they go wrong, so that
    /// the time reveals neither.
    pub fn have(&self, name: &[u8], password: &[u8]) -> bool {
        let mut found = false;
        for (user, secret) in &self.0 {
            let is_user = is_same(user.as_bytes(), name);
            let is_secret = is_same(secret.as_bytes(), password);
            found |= is_user & is_secret;
        }
        found
    }
}

impl fmt::Debug for Users {
    /// Writes how many there are, and no secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} users", self.0.len())
    }
}

/// Says whether this may be a name. It isn't a comment, nor the mark with which some editors begin a file.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(['#', '\u{feff}'])
}

/// Compares all octets, whether or not the first ones differ.
///
/// The time tells how long `given` is, which is known to whoever has sent it.
fn is_same(secret: &[u8], given: &[u8]) -> bool {
    let mut difference = secret.len() ^ given.len();
    for (at, &octet) in given.iter().enumerate() {
        let other = secret.get(at).copied().unwrap_or(0);
        difference |= usize::from(octet ^ other);
    }
    // Otherwise the compiler may find that it can stop early. This is a request to it, and no guarantee.
    hint::black_box(difference) == 0
}

/// Says whether anybody but the owner can do something with the file.
#[cfg(unix)]
fn is_open_to_others(file: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;

    file.permissions().mode() & 0o077 != 0
}

/// Says no, where files have no such modes.
#[cfg(not(unix))]
fn is_open_to_others(_: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_name_and_password_is_named_by_its_number() {
        for (text, problem) in [
            ("ada", "has a line 1 that isn't name:password"),
            ("ada:x\n\n:y", "has a line 3 that isn't name:password"),
            ("# mine: x\nada:x", "has a line 1 that isn't name:password"),
            ("\u{feff}ada:x", "has a line 1 that isn't name:password"),
            ("ada:x\nbob:", "has a line 2 that isn't name:password"),
            (
                "ada:x\nbob:y\nada:z",
                "names a user twice, the second time in line 3",
            ),
            ("\n", "has no users. It needs a line name:password for each"),
        ] {
            assert_eq!(Users::parse(text).unwrap_err(), problem, "{text:?}");
        }
    }

    #[test]
    fn a_password_is_compared_to_its_last_octet() {
        let users = Users::parse("ada:s3cret\r\nbob:x").unwrap();
        assert!(users.have(b"ada", b"s3cret"));
        for wrong in [
            "", "s", "s3cre", "s3cret ", "s3cret\0", "S3cret", "s3creT", "x",
        ] {
            assert!(!users.have(b"ada", wrong.as_bytes()), "{wrong:?}");
        }
        for wrong in ["", "a", "ada ", "Ada", "bob", "eve"] {
            assert!(!users.have(wrong.as_bytes(), b"s3cret"), "{wrong:?}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let users = Users::parse("ada:s3cret").unwrap();
        assert_eq!(format!("{:?}", Login::Users(users)), "Users(1 users)");
    }
}
