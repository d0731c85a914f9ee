//! `${NAME}` and `${NAME:-default}` inside a string of the services file; `$$` is a dollar. A value is put into its
//! string and nowhere else: it is read after the TOML and can't change it.

use std::ops::Range;

/// Where a variable's value comes from; `None` where it is not set.
pub(super) type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A string with its variables replaced.
#[derive(Debug, PartialEq)]
pub(super) struct Expanded {
    /// The whole string. It may hold secrets: messages show what is written in the file instead.
    pub(super) text: String,
    /// Where in `text` the values of variables (and their defaults) stand, as byte positions, in order.
    pub(super) values: Vec<Range<usize>>,
}

/// Replaces the variables of a string. As in a shell, the default stands in for a variable that is unset or empty.
/// The error is the end of a sentence that begins with the string.
pub(super) fn expand(written: &str, environment: &Environment<'_>) -> Result<Expanded, String> {
    let mut expanded = Expanded { text: String::new(), values: Vec::new() };
    let mut rest = written;
    while let Some((before, behind)) = rest.split_once('$') {
        expanded.text.push_str(before);
        rest = if let Some(next) = behind.strip_prefix('$') {
            expanded.text.push('$');
            next
        } else {
            let (inside, next) = variable(behind)?;
            expanded.insert(&value(inside, environment)?);
            next
        };
    }
    expanded.text.push_str(rest);
    Ok(expanded)
}

impl Expanded {
    fn insert(&mut self, value: &str) {
        let start = self.text.len();
        self.text.push_str(value);
        self.values.push(start..self.text.len());
    }
}

/// What stands between the braces, and what follows them.
fn variable(behind_dollar: &str) -> Result<(&str, &str), String> {
    let Some(inside) = behind_dollar.strip_prefix('{') else {
        return Err("holds a lone $; write \"$$\" for a dollar, \"${NAME}\" for a variable".to_owned());
    };
    inside
        .split_once('}')
        .ok_or_else(|| "holds \"${\" without \"}\"; write \"${NAME}\" or \"${NAME:-default}\"".to_owned())
}

fn value(inside: &str, environment: &Environment<'_>) -> Result<String, String> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(plain(default)?)),
        None => (inside, None),
    };
    if !is_name(name) {
        return Err("holds a malformed variable; write \"${NAME}\" or \"${NAME:-default}\", \
                    the name of A-Z a-z 0-9 _ and no digit first"
            .to_owned());
    }
    environment(name).filter(|value| !(value.is_empty() && default.is_some())).or(default).ok_or_else(|| {
        format!("needs the variable {name}, which is not set; set it or write \"${{{name}:-default}}\"")
    })
}

/// A default with its doubled dollars made one; it can't hold a variable itself.
fn plain(default: &str) -> Result<String, String> {
    if default.replace("$$", "").contains('$') {
        return Err("holds a $ inside a variable's default; write \"$$\" for a dollar".to_owned());
    }
    Ok(default.replace("$$", "$"))
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("example.com".to_owned()),
            "EMPTY" => Some(String::new()),
            "HOSTILE" => Some("\"\n[[services]]\n${HOST} $$".to_owned()),
            _ => None,
        }
    }

    fn text(written: &str) -> String {
        expand(written, &environment).unwrap().text
    }

    fn refused(written: &str) -> String {
        expand(written, &environment).unwrap_err()
    }

    #[test]
    fn variables_and_doubled_dollars_are_replaced() {
        assert_eq!(text("https://${HOST}/$$x"), "https://example.com/$x");
        assert_eq!(text("${HOST}${HOST}"), "example.comexample.com");
        assert_eq!(text("[${EMPTY}]"), "[]");
        assert_eq!(text("$${HOST}"), "${HOST}");
    }

    #[test]
    fn a_default_stands_in_for_a_variable_that_is_unset_or_empty() {
        assert_eq!(text("${NONE:-a:-b$$}"), "a:-b$");
        assert_eq!(text("${EMPTY:-a}"), "a");
        assert_eq!(text("${HOST:-a}"), "example.com");
        assert_eq!(text("[${NONE:-}]"), "[]");
    }

    #[test]
    fn a_value_is_never_expanded_again() {
        assert_eq!(text("${HOSTILE}"), "\"\n[[services]]\n${HOST} $$");
    }

    #[test]
    fn the_places_of_values_are_known() {
        let expanded = expand("a${HOST}b${NONE:-c}", &environment).unwrap();
        let values: Vec<_> = expanded.values.iter().map(|value| &expanded.text[value.clone()]).collect();
        assert_eq!(values, ["example.com", "c"]);
    }

    #[test]
    fn each_mistake_has_its_own_message() {
        assert!(refused("${NONE}").starts_with("needs the variable NONE, which is not set"));
        for written in ["$", "a$b", "$HOST", "$$$"] {
            assert!(refused(written).starts_with("holds a lone $"), "{written}");
        }
        assert!(refused("${HOST").starts_with("holds \"${\" without"));
        for written in ["${}", "${1A}", "${A-b}", "${A B}", "${:-x}", "${É}"] {
            assert!(refused(written).starts_with("holds a malformed variable"), "{written}");
        }
        assert!(refused("${A:-${HOST}}").starts_with("holds a $ inside"));
    }

    proptest! {
        #[test]
        fn text_with_its_dollars_doubled_stays_itself(text in ".{0,40}|[${}:a-]{0,20}") {
            prop_assert_eq!(expand(&text.replace('$', "$$"), &environment).unwrap().text, text);
        }

        #[test]
        fn no_text_is_too_strange(text in ".{0,40}|[${}:HOSTé-]{0,20}") {
            if let Ok(expanded) = expand(&text, &environment) {
                prop_assert!(expanded.values.iter().all(|value| expanded.text.get(value.clone()).is_some()));
            }
        }
    }
}
