//! Databases of internet addresses: the country, place and owner of an address. In MaxMind's format (MMDB),
//! or a list of one's own networks (CSV), which is also what the cases of a rule have beside them.
//!
//! Owns opening and checking them and what of their records is read. A file is held in memory whole, so
//! one that is replaced on disk changes nothing until it is opened anew. When that is, is for others.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use maxminddb::{PathElement, Reader};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use xxhash_rust::xxh3::xxh3_64;

use super::Diagnostic;
use super::list::{Column, List};
use crate::event::address;

/// What a database can say of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    Country,
    /// Latitude and longitude.
    Place,
    /// The autonomous system and whose it is.
    Owner,
}

impl Fact {
    /// A database that has it, for messages.
    pub fn database(self) -> &'static str {
        match self {
            Fact::Country => "a Country or City database",
            Fact::Place => "a City database",
            Fact::Owner => "an ASN database",
        }
    }
}

/// Where an address is thought to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Degrees.
    pub latitude: f64,
    pub longitude: f64,
    /// Kilometres it may be off, as the database says; 0 where it does not.
    pub radius: f64,
}

/// The autonomous system that announces an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub number: u32,
    pub organisation: Option<String>,
}

/// The open databases, asked in the order they were named; none by default.
#[derive(Debug, Default)]
pub struct Geoip {
    databases: Vec<Database>,
}

#[derive(Debug)]
struct Database {
    path: PathBuf,
    source: Source,
    facts: Vec<Fact>,
    /// Of the whole file.
    digest: u64,
}

#[derive(Debug)]
enum Source {
    MaxMind(Reader<Vec<u8>>),
    Networks(List),
}

/// The same files with the same content.
impl PartialEq for Geoip {
    fn eq(&self, other: &Self) -> bool {
        let known = |geoip: &Self| -> Vec<(PathBuf, u64)> {
            geoip.databases.iter().map(|db| (db.path.clone(), db.digest)).collect()
        };
        known(self) == known(other)
    }
}

/// What databases of a type hold: the first word that its name contains decides.
const TYPES: &[(&str, &[Fact])] = &[
    ("City", &[Fact::Country, Fact::Place]),
    ("Enterprise", &[Fact::Country, Fact::Place]),
    ("Country", &[Fact::Country]),
    ("ASN", &[Fact::Owner]),
    ("ISP", &[Fact::Owner]),
];

impl Geoip {
    /// Opens every file; each that cannot be used is reported and left out.
    pub fn open(paths: &[PathBuf]) -> (Geoip, Vec<Diagnostic>) {
        let (mut databases, mut problems) = (Vec::new(), Vec::new());
        for path in paths {
            match Database::open(path) {
                Ok(database) => databases.push(database),
                Err(found) => problems.extend(found),
            }
        }
        (Geoip { databases }, problems)
    }

    /// The networks of a text, as those of a file; `path` is what messages show.
    pub fn networks(path: &Path, text: &str) -> Result<Geoip, Vec<Diagnostic>> {
        Ok(Geoip { databases: vec![Database::networks(path, text)?] })
    }

    /// Reads every record of every database. Takes a second or two for the largest there are, so it is
    /// for those who will use them for long.
    pub fn verify(&self) -> Vec<Diagnostic> {
        let broken = |db: &Database| {
            let Source::MaxMind(reader) = &db.source else { return None };
            let error = reader.verify().err()?;
            Some(Diagnostic::error(&db.path, (1, 1), damaged(&error)))
        };
        self.databases.iter().filter_map(broken).collect()
    }

    /// Whether a database holds such facts.
    pub fn has(&self, fact: Fact) -> bool {
        self.databases.iter().any(|db| db.facts.contains(&fact))
    }

    /// The files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.databases.iter().map(|db| db.path.as_path())
    }

    /// Each database for a person: file, type and the day it was built.
    pub fn described(&self) -> impl Iterator<Item = String> {
        self.databases.iter().map(|db| {
            let metadata = match &db.source {
                Source::MaxMind(reader) => reader.metadata(),
                Source::Networks(list) => {
                    return format!("{}: {} networks", db.path.display(), list.entries().len());
                }
            };
            let built = i64::try_from(metadata.build_epoch).ok();
            let built = built.and_then(|s| DateTime::from_timestamp(s, 0)).unwrap_or_default();
            format!("{}: {} of {}", db.path.display(), metadata.database_type, built.format("%Y-%m-%d"))
        })
    }

    /// The ISO code of the country an address is in; `None` for private addresses and unknown ones. An
    /// error names the file whose record cannot be read.
    pub fn country(&self, address: IpAddr) -> Result<Option<String>, String> {
        self.first(Fact::Country, address, |db| match &db.source {
            Source::MaxMind(reader) => db.read(reader, address, &["country", "iso_code"]),
            Source::Networks(list) => Ok(cell(list, address, "country").map(str::to_owned)),
        })
    }

    /// Where an address is; as [`Geoip::country`].
    pub fn place(&self, address: IpAddr) -> Result<Option<Place>, String> {
        self.first(Fact::Place, address, |db| match &db.source {
            Source::MaxMind(reader) => {
                let location: Option<Location> = db.read(reader, address, &["location"])?;
                let place = |location: Location| {
                    let (latitude, longitude) = (location.latitude?, location.longitude?);
                    let radius = location.accuracy_radius.map_or(0.0, |radius| radius.0);
                    Some(Place { latitude: latitude.0, longitude: longitude.0, radius })
                };
                Ok(location.and_then(place))
            }
            Source::Networks(list) => {
                let number = |name: &str| cell(list, address, name).and_then(|text| text.parse().ok());
                let place = number("latitude").zip(number("longitude"));
                Ok(place.map(|(latitude, longitude)| Place { latitude, longitude, radius: 0.0 }))
            }
        })
    }

    /// Who announces an address; as [`Geoip::country`].
    pub fn owner(&self, address: IpAddr) -> Result<Option<Owner>, String> {
        self.first(Fact::Owner, address, |db| match &db.source {
            Source::MaxMind(reader) => {
                let system: Option<System> = db.read(reader, address, &[])?;
                let owner = |system: System| {
                    let organisation = system.autonomous_system_organization.map(str::to_owned);
                    Some(Owner { number: system.autonomous_system_number?, organisation })
                };
                Ok(system.and_then(owner))
            }
            Source::Networks(list) => {
                let number = cell(list, address, "asn").and_then(|text| text.parse().ok());
                let organisation = cell(list, address, "owner").map(str::to_owned);
                Ok(number.map(|number| Owner { number, organisation }))
            }
        })
    }

    fn first<'a, T>(
        &'a self,
        fact: Fact,
        address: IpAddr,
        read: impl Fn(&'a Database) -> Result<Option<T>, String>,
    ) -> Result<Option<T>, String> {
        if !address::is_public(address) {
            return Ok(None);
        }
        let fitting = self.databases.iter().filter(|db| db.facts.contains(&fact));
        fitting.map(read).find_map(Result::transpose).transpose()
    }
}

/// What a list of networks has in a column for the smallest network around an address.
fn cell<'a>(list: &'a List, address: IpAddr, column: &str) -> Option<&'a str> {
    list.column(column).ok()?.of(list.find(&address.to_string(), None)?)
}

#[derive(Deserialize)]
struct Location {
    latitude: Option<Number>,
    longitude: Option<Number>,
    accuracy_radius: Option<Number>,
}

#[derive(Deserialize)]
struct System<'a> {
    autonomous_system_number: Option<u32>,
    #[serde(borrow)]
    autonomous_system_organization: Option<&'a str>,
}

/// A number of whatever type: makers of databases differ in it.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Number;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_f32<E>(self, number: f32) -> Result<Number, E> {
                Ok(Number(number.into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }
        }
        from.deserialize_any(Any)
    }
}

/// The least and the greatest a number may be.
type Bounds = Option<(f64, f64)>;

/// Columns of a list of networks: what they tell and whether they hold numbers, within which bounds.
const COLUMNS: &[(&str, Fact, Bounds)] = &[
    ("country", Fact::Country, None),
    ("latitude", Fact::Place, Some((-90.0, 90.0))),
    ("longitude", Fact::Place, Some((-180.0, 180.0))),
    ("asn", Fact::Owner, Some((0.0, u32::MAX as f64))),
];

impl Database {
    fn open(path: &Path) -> Result<Database, Vec<Diagnostic>> {
        let wrong = |message: String| vec![Diagnostic::error(path, (1, 1), message)];
        let bytes = std::fs::read(path).map_err(|error| {
            wrong(format!("cannot read the address database: {error}; check the path and who may read it"))
        })?;
        if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
            let text =
                String::from_utf8(bytes).map_err(|_| wrong("not UTF-8; save the file as UTF-8".into()))?;
            return Self::networks(path, &text);
        }
        let digest = xxh3_64(&bytes);
        let reader = Reader::from_source(bytes).map_err(|error| wrong(damaged(&error)))?;
        let kind = reader.metadata().database_type.as_str();
        let Some((_, facts)) = TYPES.iter().find(|(word, _)| kind.contains(word)) else {
            return Err(wrong(format!(
                "a database of type \"{kind}\" holds neither countries nor owners of addresses; give one of type City, \
                 Country or ASN, such as GeoLite2-City.mmdb"
            )));
        };
        Ok(Database { path: path.to_owned(), facts: facts.to_vec(), digest, source: Source::MaxMind(reader) })
    }

    fn networks(path: &Path, text: &str) -> Result<Database, Vec<Diagnostic>> {
        let (list, mut problems) = List::parse("networks", path, text);
        let columns: Vec<_> = COLUMNS
            .iter()
            .filter_map(|(name, fact, bounds)| Some((name, fact, bounds, list.column(name).ok()?)))
            .collect();
        if columns.is_empty() {
            let message = "a list of networks begins with value,reason and one or more of country,latitude,longitude,asn,owner";
            problems.push(Diagnostic::error(path, (1, 1), message));
        }
        for entry in list.entries() {
            let value = &entry.value;
            if address::ranges(value).any(|range| range.is_err()) {
                let message = format!("\"{value}\" is no network; write one such as 20.50.0.0/16");
                problems.push(Diagnostic::error(path, (entry.line, 1), message));
            }
            for (name, _, bounds, column) in &columns {
                let (Some((least, most)), Some(text)) = (bounds, Column::of(*column, entry)) else {
                    continue;
                };
                if !text.parse::<f64>().is_ok_and(|number| (*least..=*most).contains(&number)) {
                    let message = format!("{name}: \"{text}\" is no number from {least} to {most}");
                    problems.push(Diagnostic::error(path, (entry.line, 1), message));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut facts: Vec<Fact> = columns.iter().map(|(_, fact, ..)| **fact).collect();
        facts.dedup();
        let digest = xxh3_64(text.as_bytes());
        Ok(Database { path: path.to_owned(), facts, digest, source: Source::Networks(list) })
    }

    fn read<'a, T: Deserialize<'a>>(
        &self,
        reader: &'a Reader<Vec<u8>>,
        address: IpAddr,
        keys: &[&'static str],
    ) -> Result<Option<T>, String> {
        // A database of IPv4 alone refuses to be asked for the others.
        if address.is_ipv6() && reader.metadata().ip_version == 4 {
            return Ok(None);
        }
        let keys: Vec<PathElement<'_>> = keys.iter().map(|key| PathElement::Key(key)).collect();
        let found = reader.lookup(address).and_then(|found| found.decode_path(&keys));
        found.map_err(|error| format!("{}: {}", self.path.display(), damaged(&error)))
    }
}

fn damaged(error: &maxminddb::MaxMindDbError) -> String {
    format!("not a usable MaxMind database: {error}; download it anew")
}
