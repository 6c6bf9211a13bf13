//! The configuration file: TOML, of which every wrong line is found, not the first only.

use super::Config;
use super::given::Given;
use super::layers::{Loaded, Origin, Problem};
use super::limits::PRINCIPALS;
use super::settings::{SETTINGS, Setting, Shape};
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error, ValueDeserializer};

/// For so many keys that nobody knows a name is sought that is like theirs, with a look at all settings;
/// a file with more of them is another file.
const MOST_HINTS: usize = 100;

/// A part of the file that is more than settings: a list of tables, such as `[[grant]]`, or a table of
/// them.
pub struct Section {
    /// Its key in the file.
    pub name: &'static str,
    /// How it is written there.
    pub head: &'static str,
    /// Reads it into the configuration.
    pub read: fn(&mut Config, Spanned<DeValue<'_>>) -> Vec<Error>,
}

/// The lists and tables of tables that a file may have.
pub static SECTIONS: &[Section] = &[
    Section { name: "grant", head: "[[grant]]", read: super::access::grants },
    Section { name: PRINCIPALS, head: "[limits.principals]", read: super::limits::principals },
];

/// Reads a list of tables, all that can be read, and says what is wrong with the others.
pub fn tables<T: DeserializeOwned>(value: Spanned<DeValue<'_>>) -> (Vec<T>, Vec<Error>) {
    let values = match value.into_inner() {
        DeValue::Array(values) => values.into_iter().collect(),
        other => vec![Spanned::new(0..0, other)],
    };
    let (mut read, mut errors) = (Vec::new(), Vec::new());
    for value in values {
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(one) => read.push(one),
            Err(error) => errors.push(error),
        }
    }
    (read, errors)
}

/// Takes over what the text of a file says.
pub(super) fn read(path: &Path, text: &str, sections: &[Section], loaded: &mut Loaded) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reading =
        Reading { path, lines: ends_of_lines(text), sections, loaded, hints: MOST_HINTS };
    for error in &errors {
        reading.wrong(error.span(), error.message().to_owned());
    }
    // What was recovered of a broken file would only be found wrong for the same reason.
    if errors.is_empty() {
        reading.table("", table.into_inner());
    }
}

/// Where each line ends, found once: a file may be wrong in each of many thousand lines.
fn ends_of_lines(text: &str) -> Vec<usize> {
    text.match_indices('\n').map(|(at, _)| at).collect()
}

struct Reading<'a> {
    path: &'a Path,
    /// Where each line ends.
    lines: Vec<usize>,
    sections: &'a [Section],
    loaded: &'a mut Loaded,
    /// For how many keys more a like name is sought.
    hints: usize,
}

impl Reading<'_> {
    fn table(&mut self, prefix: &str, table: DeTable<'_>) {
        // In the order of the file, so that what is wrong is said in that order.
        let mut pairs: Vec<_> = table.into_iter().collect();
        pairs.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in pairs {
            let span = key.span();
            let name = format!("{prefix}{}", key.get_ref());
            let section = format!("{name}.");
            if let Some(setting) = Setting::find(&name) {
                self.setting(setting, span, value.get_ref());
            } else if let Some(list) = self.sections.iter().find(|list| list.name == name) {
                let origin = self.origin(span.clone());
                self.loaded.found(list.name, origin);
                for error in (list.read)(&mut self.loaded.config, value) {
                    let why = format!("{}: {}", list.head, error.message());
                    self.wrong(error.span().or(Some(span.clone())), why);
                }
            } else if !SETTINGS.iter().any(|setting| setting.name.starts_with(&section)) {
                let why = self.unknown(&name);
                self.wrong(Some(span), why);
            } else if let DeValue::Table(table) = value.into_inner() {
                self.table(&section, table);
            } else {
                self.wrong(Some(span), format!("`{name}` is a section: write [{name}]"));
            }
        }
    }

    fn setting(&mut self, setting: &'static Setting, span: Range<usize>, value: &DeValue<'_>) {
        let origin = self.origin(span);
        match written(setting, value) {
            Ok(values) => {
                let base = self.path.parent();
                self.loaded.set(setting, &Given { values, base }, origin);
            }
            Err(why) => self.loaded.wrong(origin, format!("`{}` {why}", setting.name)),
        }
    }

    /// What to say about a key that nobody knows.
    fn unknown(&mut self, name: &str) -> String {
        let what = format!("there is no setting `{name}`");
        if self.hints == 0 {
            return what;
        }
        self.hints -= 1;
        let settings = SETTINGS.iter().map(|setting| setting.name);
        let known = settings.chain(self.sections.iter().map(|section| section.name));
        match nearest(name, known) {
            Some(near) => format!("{what}; did you mean `{near}`?"),
            None => format!("{what}: `bergulir config show` lists all that there are"),
        }
    }

    fn wrong(&mut self, span: Option<Range<usize>>, why: String) {
        let origin = self.origin(span.unwrap_or_default());
        self.loaded.problems.push(Problem { origin: Some(origin), why });
    }

    fn origin(&self, span: Range<usize>) -> Origin {
        let line = self.lines.partition_point(|end| *end < span.start) + 1;
        Origin::File { path: self.path.to_owned(), line }
    }
}

/// The values of a setting as it is written, if it has the form that it must have.
fn written(setting: &Setting, value: &DeValue<'_>) -> Result<Vec<OsString>, String> {
    let takes = |what: &str| format!("takes {what}, and this is of the type {}", value.type_str());
    match (setting.shape, value) {
        (Shape::Text, DeValue::String(text)) => Ok(vec![text.as_ref().into()]),
        (Shape::Text, _) => Err(takes("a string, in quotes")),
        (Shape::Number, DeValue::Integer(number)) if number.radix() == 10 => {
            Ok(vec![number.as_str().into()])
        }
        (Shape::Number, _) => Err(takes("a whole number, in decimal and without quotes")),
        (Shape::Share, DeValue::Float(share)) => Ok(vec![share.as_str().into()]),
        (Shape::Share, DeValue::Integer(share)) if share.radix() == 10 => {
            Ok(vec![share.as_str().into()])
        }
        (Shape::Share, _) => Err(takes("a number from 0 to 1, without quotes")),
        (Shape::Switch, DeValue::Boolean(on)) => Ok(vec![on.to_string().into()]),
        (Shape::Switch, _) => Err(takes("true or false, without quotes")),
        (Shape::List, DeValue::Array(values)) => {
            let one = |value: &Spanned<DeValue<'_>>| value.get_ref().as_str().map(OsString::from);
            let all: Option<Vec<OsString>> = values.iter().map(one).collect();
            all.ok_or_else(|| "takes a list of strings, such as [\"a\", \"b\"]".to_owned())
        }
        (Shape::List, _) => Err(takes("a list of strings, such as [\"a\", \"b\"]")),
    }
}

/// The known name that is most like another one, if one is like it.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    let near = length.div_ceil(3);
    // A name of another length is not near, which is seen without a look at its letters.
    let edits = |known: &str| {
        let may_be = known.chars().count().abs_diff(length) <= near;
        may_be.then(|| strsim::damerau_levenshtein(name, known)).filter(|edits| *edits <= near)
    };
    // Least edits of all that are near; the last part of a dotted name alone is near too.
    let least = |known: &str| {
        let last = known.rsplit('.').next().filter(|last| *last != known);
        edits(known).into_iter().chain(last.and_then(edits)).min()
    };
    known.filter_map(|known| Some((least(known)?, known))).min().map(|near| near.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::path::PathBuf;
    use std::time::Duration;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Grant {
        to: PathBuf,
    }

    fn grants(config: &mut Config, value: Spanned<DeValue<'_>>) -> Vec<Error> {
        let (grants, errors) = tables::<Grant>(value);
        config.anchors = grants.into_iter().map(|grant| grant.to).collect();
        errors
    }

    fn read_text(text: &str) -> Loaded {
        let mut loaded = Loaded::default();
        let sections = [Section { name: "grant", head: "[[grant]]", read: grants }];
        read(Path::new("a.toml"), text, &sections, &mut loaded);
        loaded
    }

    #[test]
    fn a_list_of_tables_is_read_and_each_wrong_one_is_said_with_its_line() {
        let good = read_text("[[grant]]\nto = \"x\"\n[[grant]]\nto = \"y\"\n");
        assert_eq!(good.problems, []);
        assert_eq!(good.config.anchors, ["x", "y"].map(PathBuf::from));

        let text = "[[grant]]\nto = \"x\"\n[[grant]]\nfrom = 1\n[[grant]]\nto = 5\n[[grants]]\n";
        let said: Vec<String> = read_text(text).problems.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].starts_with("a.toml:4: [[grant]]: unknown field `from`"), "{said:?}");
        assert!(said[1].starts_with("a.toml:6: [[grant]]: invalid type"), "{said:?}");
        assert!(
            said[2].ends_with("there is no setting `grants`; did you mean `grant`?"),
            "{said:?}"
        );
    }

    #[test]
    fn a_number_that_no_rule_of_toml_makes_plain_is_refused() {
        for number in ["0x10", "\"5\"", "5.0", "true", "[5]"] {
            let loaded = read_text(&format!("[ledger]\nqueue = {number}\n"));
            assert_eq!(loaded.problems.len(), 1, "{number}");
        }
        assert_eq!(read_text("[ledger]\nqueue = 1_000\n").config.ledger.queue, 1_000);
    }

    /// By the clock, with much room: when each line was found from the beginning, and the message copied
    /// for each, these took minutes.
    #[test]
    fn a_file_that_is_wrong_in_each_of_very_many_lines_is_refused_in_no_time() {
        const LINES: usize = 100_000;
        let file = |line: fn(usize) -> String| (0..LINES).map(line).collect::<String>();
        for text in [
            file(|number| format!("ledger.queu{number} = 1\n")),
            file(|_| "[\n".to_owned()),
            file(|_| "listen = 1\n".to_owned()),
        ] {
            let (done, waiting) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                let loaded = read_text(&text);
                let said = loaded.all_problems();
                // Nobody waits any more if it took too long.
                let _ = done.send((loaded.problems, said));
            });
            let (problems, said) = waiting.recv_timeout(Duration::from_secs(60)).unwrap();
            assert!(problems.len() + 1 >= LINES, "{}", problems.len());
            let line = format!("a.toml:{LINES}: ");
            assert!(problems.last().unwrap().to_string().starts_with(&line));
            assert_eq!(said.lines().count(), 1 + problems.len());
            let hints = said.matches("did you mean").count();
            assert!(hints == 0 || hints == MOST_HINTS, "{hints}");
        }
    }
}
