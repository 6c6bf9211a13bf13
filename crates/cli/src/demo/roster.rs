//! Who takes part: the cooperatives of a file, or the made-up ones of the pilot.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr as _;

use bergulir_domain::cooperative::{CooperativeKind, VillageCode};
use bergulir_domain::text::Name;

use crate::failure::Failure;

/// How many cooperatives the pilot has.
const PILOT: usize = 58;
/// How many villages a district of the pilot has.
const VILLAGES_A_DISTRICT: usize = 15;
/// Made-up names: each of the first words with each of the second ones.
const FIRST: [&str; 8] = ["Arga", "Banyu", "Cahya", "Giri", "Kencana", "Langit", "Tirta", "Wana"];
const SECOND: [&str; 8] =
    ["asri", "bakti", "jaya", "karya", "makmur", "mulya", "raharja", "sentosa"];

/// A cooperative of the demonstration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cooperative {
    /// Its village.
    pub(crate) village: VillageCode,
    /// Its registered name.
    pub(crate) name: String,
}

/// The cooperatives, by village code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Roster {
    pub(crate) cooperatives: Vec<Cooperative>,
    /// The smallest region that all villages lie in.
    pub(crate) region: String,
}

impl Roster {
    /// The pilot: 58 cooperatives with made-up names and codes of a province that does not exist.
    pub(crate) fn pilot() -> Roster {
        let names = FIRST
            .iter()
            .flat_map(|first| SECOND.iter().map(move |second| format!("{first}{second}")));
        let cooperatives = (0..).zip(names.take(PILOT)).map(|(i, name)| {
            let (district, number) = (i / VILLAGES_A_DISTRICT + 1, i % VILLAGES_A_DISTRICT + 1);
            // The first three of a district are kelurahan.
            let kind = if number <= 3 { 1 } else { 2 };
            let code = format!("99.01.{district:02}.{kind}{number:03}");
            let village = VillageCode::from_str(&code).expect("a code is built in its form");
            Cooperative { village, name: registered_name(village, &name) }
        });
        Roster::of(cooperatives.collect())
    }

    /// The cooperatives of a CSV file: one a row.
    pub(crate) fn from_file(path: &Path) -> Result<Roster, Failure> {
        let file = std::fs::File::open(path).map_err(|error| {
            Failure::Input(format!("could not open {}: {error}", path.display()))
        })?;
        Roster::from_csv(file)
            .map_err(|error| Failure::Input(format!("{}: {error}", path.display())))
    }

    /// The cooperatives of a CSV text.
    pub(crate) fn from_csv(source: impl std::io::Read) -> Result<Roster, String> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source);
        let header = reader.headers().map_err(|error| wrong(&error))?.clone();
        let column = |name: &str| {
            header.iter().position(|column| column == name).ok_or_else(|| {
                format!(
                    "line 1: the header has no column {name}; it must begin with \
                     village_code,village_name"
                )
            })
        };
        let (code_column, name_column) = (column("village_code")?, column("village_name")?);

        let mut seen = BTreeMap::new();
        let mut cooperatives = Vec::new();
        for row in reader.records() {
            let row = row.map_err(|error| wrong(&error))?;
            let line = row.position().map_or(0, csv::Position::line);
            let field = |column: usize| row.get(column).unwrap_or_default();
            let code = field(code_column);
            let village = VillageCode::from_str(code)
                .map_err(|error| format!("line {line}: the village code {code:?} {error}"))?;
            if let Some(before) = seen.insert(village, line) {
                return Err(format!(
                    "line {line}: the village {village} is there already, on line {before}; every \
                     village has one cooperative"
                ));
            }
            let village_name = field(name_column);
            if village_name.is_empty() {
                return Err(format!("line {line}: the village name is empty"));
            }
            let name = registered_name(village, village_name);
            Name::new(&name)
                .map_err(|error| format!("line {line}: the cooperative's name {name:?} {error}"))?;
            cooperatives.push(Cooperative { village, name });
        }
        if cooperatives.is_empty() {
            return Err("there is a header and no row: at least one village is needed".to_owned());
        }
        Ok(Roster::of(cooperatives))
    }

    fn of(mut cooperatives: Vec<Cooperative>) -> Roster {
        cooperatives.sort_by_key(|cooperative| cooperative.village);
        let region = region(&cooperatives);
        Roster { cooperatives, region }
    }
}

fn registered_name(village: VillageCode, village_name: &str) -> String {
    let kind = match village.cooperative_kind() {
        CooperativeKind::Kdmp => "Desa",
        CooperativeKind::Kkmp => "Kelurahan",
    };
    format!("Koperasi {kind} Merah Putih {village_name}")
}

/// The longest of district, regency and province that all share; empty is the nation. By their
/// order only the first and the last need to be compared.
fn region(cooperatives: &[Cooperative]) -> String {
    let (Some(first), Some(last)) = (cooperatives.first(), cooperatives.last()) else {
        return String::new();
    };
    let (first, last) = (first.village.to_string(), last.village.to_string());
    [8, 5, 2]
        .into_iter()
        .find(|length| first[..*length] == last[..*length])
        .map_or_else(String::new, |length| first[..length].to_owned())
}

fn wrong(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!(
                "line {line}: the row has {len} fields, and the header {expected_len}; is a comma \
                 not within quotes?"
            )
        }
        csv::ErrorKind::Utf8 { pos, .. } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line}: the text is not UTF-8")
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(csv: &str) -> Result<Vec<String>, String> {
        let roster = Roster::from_csv(csv.as_bytes())?;
        Ok(roster
            .cooperatives
            .into_iter()
            .map(|cooperative| format!("{} {}", cooperative.village, cooperative.name))
            .collect())
    }

    #[test]
    fn the_pilot_has_58_cooperatives_of_one_made_up_regency() {
        let pilot = Roster::pilot();
        assert_eq!(pilot.cooperatives.len(), 58);
        assert_eq!(pilot.region, "99.01");
        let mut distinct: Vec<&str> = pilot.cooperatives.iter().map(|c| c.name.as_str()).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 58);
        assert!(pilot.cooperatives.is_sorted_by_key(|c| c.village));
        assert!(pilot.cooperatives.iter().all(|c| Name::new(&c.name).is_ok()));
    }

    #[test]
    fn a_file_may_have_further_columns_quotes_and_any_order() {
        let csv = "\u{feff}village_code,village_name,district_name\r\n\
                   36.03.01.2003,\"Cangkudu, Timur\",Balaraja\r\n\
                   36.03.01.1001, Balaraja ,\"Kec. \"\"B\"\"\"\r\n";
        assert_eq!(
            names(csv),
            Ok(vec![
                "36.03.01.1001 Koperasi Kelurahan Merah Putih Balaraja".to_owned(),
                "36.03.01.2003 Koperasi Desa Merah Putih Cangkudu, Timur".to_owned(),
            ])
        );
        assert!(names("x,village_name,village_code\n1,A,11.01.01.3001\n").is_ok());
    }

    #[test]
    fn a_bad_file_is_refused_with_the_line_and_what_is_wrong() {
        let refused = |csv: &str, beginning: &str| {
            let error = names(csv).unwrap_err();
            assert!(error.starts_with(beginning), "{error}");
        };
        refused("", "line 1: the header has no column village_code");
        refused("village_code,name\n", "line 1: the header has no column village_name");
        refused("village_code,village_name\n", "there is a header and no row");
        refused(
            "village_code,village_name\n36.03.01.2003,A\n36.03.01.9003,B\n",
            "line 3: the village code \"36.03.01.9003\" the last group must begin with",
        );
        refused(
            "village_code,village_name\n3603012003,A\n",
            "line 2: the village code \"3603012003\" must have the form",
        );
        refused(
            "village_code,village_name\n36.03.01.2003,A\n36.03.01.2004,B\n36.03.01.2003,C\n",
            "line 4: the village 36.03.01.2003 is there already, on line 2",
        );
        refused("village_code,village_name\n36.03.01.2003,\n", "line 2: the village name is empty");
        refused(
            "village_code,village_name\n36.03.01.2003,A,B\n",
            "line 2: the row has 3 fields, and the header 2",
        );
        refused(
            &format!("village_code,village_name\n36.03.01.2003,{}\n", "x".repeat(128)),
            "line 2: the cooperative's name",
        );
        let error = Roster::from_csv(&b"village_code,village_name\n36.03.01.2003,\xff\n"[..]);
        assert_eq!(error.unwrap_err(), "line 2: the text is not UTF-8");
    }

    #[test]
    fn the_region_is_the_smallest_that_holds_all() {
        let region = |codes: &[&str]| {
            let cooperatives = codes
                .iter()
                .map(|code| Cooperative { village: code.parse().unwrap(), name: "A".to_owned() });
            Roster::of(cooperatives.collect()).region
        };
        assert_eq!(region(&["36.03.01.2003"]), "36.03.01");
        assert_eq!(region(&["36.03.02.2003", "36.03.01.2003"]), "36.03");
        assert_eq!(region(&["36.04.01.2003", "36.03.01.2003"]), "36");
        assert_eq!(region(&["36.03.01.2003", "11.03.01.2003"]), "");
    }
}
