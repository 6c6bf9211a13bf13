//! What came of an input, in a few words.

use core::fmt::Debug;

/// The names in how a value is printed for debugging, without what changes from input to input: numbers,
/// text in quotes, names of fields. So one kind of error is one outcome.
///
/// ```
/// assert_eq!(bergulir_fuzz::outcome(&Some(Err::<(), _>("no such file"))), "Some Err");
/// ```
pub fn outcome(value: &impl Debug) -> String {
    let text = unescaped(&format!("{value:?}"));
    let mut names: Vec<&str> = Vec::new();
    for (place, part) in text.split('"').enumerate() {
        // Every second part is in quotes.
        if place % 2 == 1 {
            continue;
        }
        let words = part.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let is_name =
            |word: &&str| word.len() > 1 && word.starts_with(|first: char| first.is_uppercase());
        names.extend(words.filter(is_name));
    }
    names.dedup();
    names.truncate(8);
    names.join(" ")
}

/// Without quotes that stand in a text.
fn unescaped(text: &str) -> String {
    text.replace("\\\\", "").replace("\\\"", "")
}
