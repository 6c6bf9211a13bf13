//! Scripts: line after line something is asked of a ledger, which fits what was answered before. So commands
//! succeed, of every kind, in orders that nobody thought of. On an open server, and on one with TLS, tokens
//! and roles.

mod book;
mod changes;
mod kinds;
mod line;
mod made;
mod messages;
mod people;

use crate::call::Call;
use crate::requests;
use crate::service::refusal;
use crate::support::Server;
use bergulir_audit::Options;
use bergulir_fuzz::{Target, fuzz, held_by_all};
use bergulir_proto::pb::{self, Authentication};
use book::Book;
use changes::changed;
use line::{Line, throws};
use messages::{commands, part, request, results};
use people::{Caller, Door, PEOPLE, Role};
use prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::{Code, Status};
use uuid::Uuid;

/// So many scripts, each with a ledger of its own, run on one server: an open ledger takes threads.
const SCRIPTS: usize = 8;

/// No script goes on for longer.
const LINES: usize = 150;

/// How long an answer may take, on whatever machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most that a call may make all threads of the server hold, what they do beside it included: so much,
/// and so many bytes for each of its own and of its answer.
const HELD: u64 = 16 << 20;
const HELD_PER_BYTE: u64 = 400;

/// A ledger that is opened has threads, queues and an index, which stay.
const HELD_TO_OPEN: u64 = 64 << 20;

/// What every script begins with: two funds, three cooperatives, accounts, money.
const BEGINNING: &str = "OpenFund\nOpenFund\nAllocateFund\nAllocateFund 0 0 0 1\n\
    RegisterCooperative\nAppointOfficer\nAppointOfficer\nOpenAccount\nOpenAccount 1\n\
    RegisterCooperative\nAppointOfficer\nAppointOfficer\nOpenAccount\nOpenAccount 1\n";

/// Something that was recorded.
#[derive(Debug, Clone)]
struct Recorded {
    by: (String, Authentication),
    hash: Vec<u8>,
}

/// A command that was accepted by itself.
struct Accepted {
    who: String,
    method: String,
    message: Vec<u8>,
    position: u64,
}

/// A ledger that a script is about.
struct Scene {
    ledger: String,
    origin: String,
    book: Book,
    size: u64,
    recorded: BTreeMap<u64, Recorded>,
    accepted: Vec<Accepted>,
    ids: u128,
}

impl Scene {
    fn new(ledger: String) -> Scene {
        let origin = format!("ledger.example.go.id/{ledger}");
        let (book, recorded, accepted) = (Book::default(), BTreeMap::new(), Vec::new());
        Scene { ledger, origin, book, size: 0, recorded, accepted, ids: 0 }
    }

    fn id(&mut self) -> String {
        self.ids += 1;
        Uuid::from_u128(0x0198_c1e0_7a90_7000_8000_0000_0000_0000 | self.ids).to_string()
    }
}

/// What of each kind of line came out how often.
type Table = BTreeMap<String, BTreeMap<String, u64>>;

/// A server, and what scripts have asked of it.
struct World {
    is_guarded: bool,
    runtime: Runtime,
    server: Option<(Server, Door)>,
    folder: TempDir,
    scripts: usize,
    table: Table,
    most_held: (u64, String),
}

fn ledgers() -> Vec<String> {
    // As long as those of `requests`, so that one name can be put in the place of the other.
    (0..SCRIPTS).map(|number| format!("k-{number}")).collect()
}

impl World {
    fn new(is_guarded: bool) -> World {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        World {
            is_guarded,
            runtime,
            server: None,
            folder,
            scripts: 0,
            table: Table::new(),
            most_held: (0, String::new()),
        }
    }

    /// Runs a script in a ledger of its own; says what in it came least often so far.
    fn run(&mut self, input: &[u8]) -> String {
        let text = String::from_utf8_lossy(input);
        if self.scripts == SCRIPTS {
            self.close();
        }
        if self.server.is_none() {
            self.folder = tempfile::tempdir().unwrap();
            let ledgers = ledgers();
            let opened = Door::of(self.is_guarded, self.folder.path(), &ledgers);
            self.server = Some(self.runtime.block_on(opened));
            self.scripts = 0;
        }
        let mut scene = Scene::new(ledgers().swap_remove(self.scripts));
        self.scripts += 1;
        let mut lines: Vec<Line<'_>> = text.lines().take(LINES).filter_map(Line::read).collect();
        if lines.first().is_none_or(|first| first.word != "OpenLedger") {
            lines.insert(0, Line::read("OpenLedger").unwrap());
        }
        lines.splice(1..1, BEGINNING.lines().filter_map(Line::read));
        let mut came = BTreeSet::new();
        let mut lines = lines.into_iter();
        while let Some(line) = lines.next() {
            let what = self.take(&mut scene, line, &mut lines);
            came.extend(what);
        }
        self.look_at(&scene);
        let rarest = came.iter().min_by_key(|(what, how)| self.table[what][how]);
        rarest.map_or_else(|| "nothing".to_owned(), |(what, how)| format!("{what} {how}"))
    }

    /// Does what a line says, with those after it if it says so.
    fn take<'t>(
        &mut self,
        scene: &mut Scene,
        mut line: Line<'t>,
        lines: &mut impl Iterator<Item = Line<'t>>,
    ) -> Vec<(String, String)> {
        let all = match line.word {
            "Batch" | "Stream" => self.several(scene, &mut line, lines),
            "Retry" => self.retry(scene, &mut line),
            "Call" => self.any(scene, &mut line),
            "Ask" => self.ask(scene, &mut line),
            "CreateSeal" => {
                let request = pb::CreateSealRequest { ledger: format!("ledgers/{}", scene.ledger) };
                let who = line.who.unwrap_or("operator").to_owned();
                let (came, _) = self.call(
                    scene,
                    &who,
                    "/bergulir.v1.LedgerService/CreateSeal",
                    vec![request.encode_to_vec()],
                );
                vec![("CreateSeal".to_owned(), came)]
            }
            _ => self.one(scene, &mut line),
        };
        for (what, how) in &all {
            *self.table.entry(what.clone()).or_default().entry(how.clone()).or_default() += 1;
        }
        all
    }

    /// One command by the method of its own.
    fn one(&mut self, scene: &mut Scene, line: &mut Line<'_>) -> Vec<(String, String)> {
        scene.book.made += 1;
        let Some((kind, right)) = kinds::command(&scene.book, &scene.origin, line) else {
            return Vec::new();
        };
        if line.word == "RotateKey" {
            self.lay_key(scene);
        }
        let who = line.who.unwrap_or(right).to_owned();
        let id = scene.id();
        let (method, mut message) = request(kind.clone(), &scene.ledger, &id, line, scene.size);
        if let Some(seed) = line.changed {
            message = changed(&message, seed);
        }
        let (came, answers) = self.call(scene, &who, &method, vec![message.clone()]);
        if came == "ok" && line.changed.is_none() {
            let answer = answers.first().unwrap();
            let receipt: Option<pb::Receipt> = part(answer, "receipt");
            assert_eq!(receipt.is_none(), line.validates, "{method}");
            if let Some(receipt) = receipt {
                assert!(!receipt.duplicate);
                let balances: Option<pb::Balances> = part(answer, "balances");
                scene.book.learn(&kind, receipt.position, &who, balances.as_ref());
                let position = receipt.position;
                scene.accepted.push(Accepted { who, method, message, position });
            }
        }
        let word = line.word.to_owned();
        let what = if line.changed.is_some() { "(changed)".to_owned() } else { word };
        let came =
            if came == "ok" && line.validates { "ok, not recorded".to_owned() } else { came };
        vec![(what, came)]
    }

    /// The commands of the next lines, in a batch or a stream.
    fn several<'t>(
        &mut self,
        scene: &mut Scene,
        line: &mut Line<'t>,
        lines: &mut impl Iterator<Item = Line<'t>>,
    ) -> Vec<(String, String)> {
        let many = 1 + line.number() % 6;
        let mode = if line.number().is_multiple_of(2) {
            pb::BatchMode::Independent
        } else {
            pb::BatchMode::Atomic
        };
        let mut who = line.who.map(str::to_owned);
        let mut items = Vec::new();
        for mut inner in lines.take(many) {
            scene.book.made += 1;
            let Some((kind, right)) = kinds::command(&scene.book, &scene.origin, &mut inner) else {
                continue;
            };
            who.get_or_insert(right.to_owned());
            let (request_id, command) = (scene.id(), Some(pb::Command { kind: Some(kind) }));
            items.push(pb::BatchItem { request_id, command });
        }
        let ledger = format!("ledgers/{}", scene.ledger);
        let whole = pb::SubmitBatchRequest {
            ledger,
            mode: mode.into(),
            expected_position: line.expects.map(|more| scene.size.wrapping_add(more)),
            validate_only: line.validates,
            items: items.clone(),
        };
        let (method, mut messages) = if line.word == "Batch" {
            ("/bergulir.v1.LedgerService/SubmitBatch", vec![whole.encode_to_vec()])
        } else {
            // The form of the messages of a stream is the same.
            let each = items.iter().map(|item| {
                pb::SubmitBatchRequest { items: vec![item.clone()], ..whole.clone() }
                    .encode_to_vec()
            });
            ("/bergulir.v1.LedgerService/SubmitStream", each.collect())
        };
        if messages.is_empty() {
            return Vec::new();
        }
        if let Some(seed) = line.changed {
            let at = usize::try_from(seed).unwrap_or(0) % messages.len();
            messages[at] = changed(&messages[at], seed);
        }
        let who = who.unwrap_or_else(|| "maker".to_owned());
        let (came, answers) = self.call(scene, &who, method, messages);
        let mut all = vec![(line.word.to_owned(), came)];
        if line.changed.is_none() && !line.validates {
            let results = answers.iter().flat_map(results);
            for (item, result) in items.iter().zip(results) {
                if let Some(receipt) = result {
                    let kind = item.command.clone().unwrap().kind.unwrap();
                    let name = format!("{kind:?}");
                    let name = name.split('(').next().unwrap_or_default().to_owned();
                    scene.book.learn(&kind, receipt.position, &who, receipt.balances.as_ref());
                    all.push((name, format!("ok, in a {}", line.word.to_lowercase())));
                }
            }
        }
        all
    }

    /// What was accepted is sent again.
    fn retry(&mut self, scene: &mut Scene, line: &mut Line<'_>) -> Vec<(String, String)> {
        let number = line.number();
        let Some(Accepted { who, method, message, position }) = ({
            let count = scene.accepted.len();
            scene.accepted.get((count.wrapping_sub(1)).wrapping_sub(number % count.max(1)))
        }) else {
            return Vec::new();
        };
        let (by, same) = match line.who {
            Some(other) => (other.to_owned(), other == who),
            None => (who.clone(), true),
        };
        let (method, message, position) = (method.clone(), message.clone(), *position);
        let (came, answers) = self.call(scene, &by, &method, vec![message]);
        if same {
            assert_eq!(came, "ok", "{method} again");
            let receipt: pb::Receipt = part(answers.first().unwrap(), "receipt").unwrap();
            assert!(receipt.duplicate && receipt.position == position, "{method}: {receipt:?}");
        } else {
            assert_ne!(came, "ok", "{method} again, by another");
        }
        vec![(line.word.to_owned(), came)]
    }

    /// Any method with any message, made by its descriptor.
    fn any(&mut self, scene: &mut Scene, line: &mut Line<'_>) -> Vec<(String, String)> {
        let seed = line.number();
        let call = requests::made(&mut throws(seed as u64));
        let Some(call) = Call::read(&call) else { return Vec::new() };
        let (from, to) = (b"ledgers/kab", format!("ledgers/{}", scene.ledger));
        let renamed = |message: &Vec<u8>| {
            let mut message = message.clone();
            for at in 0..message.len() {
                if message[at..].starts_with(from) {
                    message[at..at + to.len()].copy_from_slice(to.as_bytes());
                }
            }
            message
        };
        let messages: Vec<Vec<u8>> = call.messages.iter().map(renamed).collect();
        let who =
            line.who.unwrap_or(["maker", "auditor", "operator", "checker"][seed % 4]).to_owned();
        let (came, _) = self.call(scene, &who, &call.method, messages);
        vec![("(any method)".to_owned(), came)]
    }

    /// A question about something that is there, page by page.
    fn ask(&mut self, scene: &mut Scene, line: &mut Line<'_>) -> Vec<(String, String)> {
        let (which, at) = (line.number(), line.number());
        let who = line.who.unwrap_or("maker-2").to_owned();
        let ledger = format!("ledgers/{}", scene.ledger);
        let fund = book::choose(&scene.book.funds, at, |_| true).map_or("none", |fund| &fund.id);
        let account = book::choose(&scene.book.accounts, at, |_| true);
        let account = account.map_or_else(
            || format!("{ledger}/funds/{fund}"),
            |one| format!("{ledger}/funds/{}/accounts/{}", one.fund, one.id),
        );
        let loan = book::choose(&scene.book.loans, at, |_| true).map_or("none", |loan| &loan.id);
        let loan = format!("{ledger}/loans/{loan}");
        let fund = format!("{ledger}/funds/{fund}");
        let past = (at > 0).then(|| scene.size.saturating_sub(at as u64 % 64));
        let as_of = past.map(pb::get_balance_request::AsOf::AsOfPosition);
        let balance = |name: String| {
            let request = pb::GetBalanceRequest { name, min_position: None, as_of };
            ("GetBalance", request.encode_to_vec())
        };
        let trail = |parent: String, page_token: String| {
            let request = pb::ListTrailRequest {
                parent,
                page_size: 2,
                page_token,
                as_of: past.map(pb::list_trail_request::AsOf::AsOfPosition),
                ..Default::default()
            };
            ("ListTrail", request.encode_to_vec())
        };
        let parent = if which % 2 == 0 { account.clone() } else { fund.clone() };
        let (method, message) = match which % 8 {
            0 => balance(account),
            1 => balance(fund),
            2 => balance(loan),
            3 | 4 => trail(parent.clone(), String::new()),
            5 => {
                let name = ledger;
                let request = pb::GetTrialBalanceRequest { name, ..Default::default() };
                ("GetTrialBalance", request.encode_to_vec())
            }
            6 => ("GetLoan", pb::GetLoanRequest { name: loan, min_position: None }.encode_to_vec()),
            _ => {
                let request = pb::ListProposalsRequest { parent: ledger, ..Default::default() };
                ("ListProposals", request.encode_to_vec())
            }
        };
        let path = format!("/bergulir.v1.QueryService/{method}");
        let (came, answers) = self.call(scene, &who, &path, vec![message]);
        let mut all = vec![(method.to_owned(), came)];
        let token = answers.first().and_then(|answer| {
            Some(answer.get_field_by_name("next_page_token")?.as_str()?.to_owned())
        });
        if let Some(token) = token.filter(|token| !token.is_empty() && method == "ListTrail") {
            let (_, message) = trail(parent.clone(), token.clone());
            let (came, _) = self.call(scene, &who, &path, vec![message]);
            assert_eq!(came, "ok", "the next page is there");
            // And one that is not as it was: refused, or another place in the same list.
            let mut other = token.into_bytes();
            let place = which % other.len();
            other[place] = if other[place] == b'0' { b'1' } else { b'0' };
            let (_, message) = trail(parent, String::from_utf8(other).unwrap());
            let (came, _) = self.call(scene, &who, &path, vec![message]);
            all.push(("(another page token)".to_owned(), came));
        }
        all
    }

    /// Where the server looks for keys there is another one of the ledger's origin.
    fn lay_key(&self, scene: &Scene) {
        use std::os::unix::fs::PermissionsExt as _;
        let key = kinds::second_key(&scene.origin);
        let file = self.folder.path().join(format!("keys/{}-next.key", scene.ledger));
        if !file.exists() {
            std::fs::write(&file, format!("{}\n", *key.to_text())).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// Makes a call, and holds what came of it against what must be.
    fn call(
        &mut self,
        scene: &mut Scene,
        who: &str,
        method: &str,
        messages: Vec<Vec<u8>>,
    ) -> (String, Vec<DynamicMessage>) {
        let (server, door) = self.server.as_ref().unwrap();
        let caller = door.caller(server, who);
        let sent: usize = messages.iter().map(Vec::len).sum();
        let call = Call {
            method: method.to_owned(),
            messages,
            principal: caller.stated.clone(),
            trace: None,
            authorization: caller.authorization.clone(),
        };
        if Call::read(&call.write()).is_none() {
            return ("cannot be sent".to_owned(), Vec::new());
        }
        let mut answered = Err(Status::unknown(""));
        let held = held_by_all(|| {
            let sending = call.send(caller.channel.clone());
            answered = self.runtime.block_on(async {
                let answered = tokio::time::timeout(PATIENCE, sending).await;
                answered.unwrap_or_else(|_| panic!("{method} is not answered"))
            });
        });
        let got: usize = answered.iter().flatten().map(DynamicMessage::encoded_len).sum();
        let opens = method.ends_with("/OpenLedger");
        if held > self.most_held.0 && !opens {
            self.most_held = (held, format!("{method}, {sent} and {got} bytes"));
        }
        assert!(
            held <= if opens { HELD_TO_OPEN } else { HELD } + HELD_PER_BYTE * (sent + got) as u64,
            "{method} of {sent} bytes, answered with {got}: {held} were held"
        );
        may(&caller, method, &answered);
        match answered {
            Ok(answers) => {
                let was = scene.size;
                for answer in &answers {
                    record(scene, answer, &caller.recorded, was);
                }
                ("ok".to_owned(), answers)
            }
            Err(status) => (refusal(&call, &status), Vec::new()),
        }
    }

    /// Holds the log of a ledger against what was answered: every acknowledged record is there as of who sent
    /// it, and there is no other.
    fn look_at(&mut self, scene: &Scene) {
        if scene.size == 0 {
            return;
        }
        let (server, door) = self.server.as_ref().unwrap();
        let Caller { channel, stated, authorization, .. } = door.caller(server, "maker-2");
        let ledger = format!("ledgers/{}", scene.ledger);
        let request = pb::ReadRecordsRequest { ledger, from_position: 0, ..Default::default() };
        let call = Call {
            method: "/bergulir.v1.LogService/ReadRecords".to_owned(),
            messages: vec![request.encode_to_vec()],
            principal: stated,
            trace: None,
            authorization,
        };
        let answers = self.runtime.block_on(call.send_and_read(channel, usize::MAX)).unwrap();
        let mut own = 0;
        let mut next = 0;
        for answer in answers {
            let answer: pb::ReadRecordsResponse = answer.transcode_to().unwrap();
            for record in answer.records {
                assert_eq!(record.position, next);
                next += 1;
                if record.principal == "system" {
                    assert_eq!(record.authentication(), Authentication::System);
                    own += 1;
                    continue;
                }
                let told = scene.recorded.get(&record.position);
                let told = told.unwrap_or_else(|| panic!("nobody was told of {record:?}"));
                let by = (record.principal.clone(), record.authentication());
                assert_eq!(by, told.by, "at {}", record.position);
                assert_eq!(*record.record_hash, *told.hash, "at {}", record.position);
                if self.is_guarded {
                    let known =
                        PEOPLE.iter().any(|who| who.principal == by.0 && !who.has_no_role());
                    assert!(known && by.0 != "far", "{by:?} has a record");
                }
            }
        }
        assert!(next >= scene.size, "{next} of {} records are there", scene.size);
        assert_eq!(next, own + scene.recorded.len() as u64, "all that was told is there");
    }

    /// Stops the server, and lets the auditor look at all its ledgers.
    fn close(&mut self) {
        let Some((server, _)) = self.server.take() else { return };
        self.runtime.block_on(server.stop());
        let options = Options { patience: Duration::ZERO, ..Options::default() };
        let verified = bergulir_audit::verify(self.folder.path(), &options, &mut |_| ()).unwrap();
        assert!(!verified.ledgers.is_empty());
        for ledger in verified.ledgers {
            assert_eq!(ledger.finding, bergulir_audit::Finding::Valid, "{:?}", ledger.ledger);
        }
    }

    /// How often each command was recorded or refused, and why most often.
    fn shown(&self) -> String {
        let mut text = format!("most held: {} bytes, {}\n", self.most_held.0, self.most_held.1);
        for (what, came) in &self.table {
            let ok: u64 =
                came.iter().filter(|(how, _)| how.starts_with("ok")).map(|(_, n)| n).sum();
            let all: u64 = came.values().sum();
            let most =
                came.iter().filter(|(how, _)| !how.starts_with("ok")).max_by_key(|(_, n)| **n);
            let most = most.map_or(String::new(), |(how, n)| format!("{n} {how}"));
            writeln!(text, "{what:30} {ok:6} of {all:6}  {most}").unwrap();
        }
        text
    }

    /// The commands of which none was recorded by a call of its own.
    fn never(&self) -> Vec<String> {
        let succeeded =
            |name: &String| self.table.get(name).is_some_and(|came| came.contains_key("ok"));
        commands().into_iter().filter(|name| !succeeded(name)).collect()
    }
}

/// Who has no role is told so and nothing else; who has not the one that a command takes has it not taken.
fn may(caller: &Caller, method: &str, answered: &Result<Vec<DynamicMessage>, Status>) {
    let Some(person) = caller.person else { return };
    if person.has_no_role() {
        let code = answered.as_ref().err().map(Status::code);
        assert!(
            matches!(code, Some(Code::PermissionDenied | Code::Unauthenticated)),
            "{} is answered by {method}: {answered:?}",
            person.name
        );
    }
    let name = method.rsplit('/').next().unwrap_or_default();
    let is_command = commands().iter().any(|command| command == name) || name == "CreateSeal";
    if is_command && answered.is_ok() {
        assert!(person.may(Role::of(name)), "{} may {method}", person.name);
        if person.name == "few" {
            let balances =
                answered.iter().flatten().find_map(|one| part::<pb::Balances>(one, "balances"));
            let fund = balances.and_then(|balances| balances.fund).map(|fund| fund.fund);
            assert!(
                fund.is_some_and(|fund| fund.ends_with("/hibah")),
                "few may {method} elsewhere"
            );
        }
    }
}

/// Takes in what an answer says was recorded.
fn record(scene: &mut Scene, answer: &DynamicMessage, by: &(String, Authentication), was: u64) {
    let mut all: Vec<(u64, Vec<u8>, bool)> = results(answer)
        .into_iter()
        .flatten()
        .filter(|receipt| !receipt.record_hash.is_empty())
        .map(|receipt| (receipt.position, receipt.record_hash, receipt.duplicate))
        .collect();
    if let Some(receipt) = part::<pb::Receipt>(answer, "receipt") {
        assert_eq!(receipt.log_size, receipt.position + 1);
        all.push((receipt.position, receipt.record_hash, receipt.duplicate));
    }
    for (position, hash, duplicate) in all {
        let is_seal = answer.descriptor().full_name() == "bergulir.v1.CreateSealResponse";
        if duplicate {
            assert!(scene.recorded.get(&position).is_some_and(|told| told.hash == hash));
        } else if !is_seal {
            assert!(position >= was, "{position} was there already");
            let told = scene.recorded.insert(position, Recorded { by: by.clone(), hash });
            assert!(told.is_none(), "{position} was given twice");
        }
        scene.size = scene.size.max(position + 1);
    }
}

fn target() -> Target {
    Target::new("script", env!("CARGO_MANIFEST_DIR"))
        .words(made::WORDS)
        .made(made::made)
        .memory(128 << 20, 1_000)
        .of_the_whole_process()
        .time(Duration::from_secs(2))
}

/// Runs scripts on a server of this kind; those of the corpus have every command succeed.
fn run(is_guarded: bool) {
    let world = Mutex::new(World::new(is_guarded));
    {
        let world = AssertUnwindSafe(&world);
        let check = move |input: &[u8]| {
            let world = &world;
            world.lock().unwrap_or_else(PoisonError::into_inner).run(input)
        };
        fuzz!(target(), check);
    }
    let mut world = world.into_inner().unwrap_or_else(PoisonError::into_inner);
    world.close();
    eprintln!("{}", world.shown());
}

#[test]
fn whatever_is_asked_one_after_another_all_that_was_told_is_in_the_log() {
    run(false);
}

#[test]
fn who_has_no_role_is_told_nothing_and_leaves_nothing() {
    run(true);
}

#[test]
fn the_corpus_has_every_command_succeed() {
    for is_guarded in [false, true] {
        let world = Mutex::new(World::new(is_guarded));
        let check = |input: &[u8]| world.lock().unwrap_or_else(PoisonError::into_inner).run(input);
        target().replay(&check);
        let mut world = world.into_inner().unwrap_or_else(PoisonError::into_inner);
        world.close();
        let never = world.never();
        assert!(never.is_empty(), "never recorded: {never:?}\n{}", world.shown());
    }
}
