//! A witness as the specification describes it, in memory, that a test can have misbehave.

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::TreeHead;
use bergulir_chain::note::{CosignerKey, KeyName, PosixSeconds, VerifierKey};
use bergulir_chain::policy::Policy;
use bergulir_chain::witness::{AddCheckpoint, Refusal, SIZE_CONTENT_TYPE, Submitted};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the witness knows and does.
pub struct Behaviour {
    /// The keys of the logs that it knows; all are of one log here.
    pub trusted: Vec<VerifierKey>,
    pub known: Option<TreeHead>,
    /// It answers with this status and nothing else.
    pub only: Option<u16>,
    /// It takes requests and says nothing, ever.
    pub silent: bool,
    /// What its cosignatures are worth.
    pub signs: Signs,
    pub requests: usize,
}

/// How a witness cosigns.
#[derive(Clone, Copy)]
pub enum Signs {
    /// With its key, and with one that nobody asked for.
    Right,
    /// With another key than the policy says.
    WithAnotherKey,
    /// With its key, another checkpoint.
    SomethingElse,
}

pub struct WitnessServer {
    pub key: CosignerKey,
    pub address: SocketAddr,
    pub behaviour: Arc<Mutex<Behaviour>>,
}

impl WitnessServer {
    pub fn start(seed: u8) -> WitnessServer {
        let name = KeyName::new(&format!("witness.example.org/{seed}")).unwrap();
        let key = CosignerKey::from_seed(name, &[seed; 32]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour = Arc::new(Mutex::new(Behaviour {
            trusted: Vec::new(),
            known: None,
            only: None,
            silent: false,
            signs: Signs::Right,
            requests: 0,
        }));
        let (serving, own) = (Arc::clone(&behaviour), key.clone());
        std::thread::spawn(move || {
            let mut kept_waiting = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                if serving.lock().unwrap().silent {
                    kept_waiting.push(stream);
                } else {
                    serve(stream, &serving, &own);
                }
            }
        });
        WitnessServer { key, address, behaviour }
    }

    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().unwrap());
    }

    pub fn requests(&self) -> usize {
        self.behaviour.lock().unwrap().requests
    }

    pub fn known_size(&self) -> u64 {
        self.behaviour.lock().unwrap().known.map_or(0, |known| known.size)
    }
}

/// A policy that wants so many of these witnesses.
pub fn policy(witnesses: &[&WitnessServer], quorum: usize) -> Policy {
    let numbered = || witnesses.iter().enumerate();
    let lines = numbered().map(|(n, witness)| {
        format!("witness w{n} {} http://{}/", witness.key.verifier(), witness.address)
    });
    let names: Vec<String> = numbered().map(|(n, _)| format!("w{n}")).collect();
    let group = format!("group all {quorum} {}", names.join(" "));
    let text = lines.chain([group, "quorum all\n".to_owned()]).collect::<Vec<_>>().join("\n");
    Policy::parse(text.as_bytes()).unwrap()
}

fn serve(mut stream: TcpStream, behaviour: &Mutex<Behaviour>, key: &CosignerKey) {
    let Some((path, body)) = request(&mut stream) else { return };
    assert_eq!(path, "/add-checkpoint");
    let mut behaviour = behaviour.lock().unwrap();
    behaviour.requests += 1;
    let (status, kind, answer) = match behaviour.only {
        Some(status) => (status, "text/plain", "busy\n".to_owned()),
        None => answer(&body, &mut behaviour, key),
    };
    let head = format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        answer.len()
    );
    let _ = stream.write_all((head + &answer).as_bytes());
}

fn answer(
    body: &[u8],
    behaviour: &mut Behaviour,
    key: &CosignerKey,
) -> (u16, &'static str, String) {
    let request = AddCheckpoint::parse(body).unwrap();
    let accepted = Submitted::open(&request, &behaviour.trusted)
        .and_then(|submitted| submitted.continuing(behaviour.known));
    match accepted {
        Ok(checkpoint) => {
            behaviour.known = Some(checkpoint.head());
            let time = PosixSeconds::new(1_773_972_000).unwrap();
            let name = KeyName::new(key.verifier().name().as_str()).unwrap();
            let other = CosignerKey::from_seed(name, &[99; 32]).unwrap();
            let by_other = other.cosign(&checkpoint, time);
            let answer = match behaviour.signs {
                Signs::Right => format!("{by_other}\n{}\n", key.cosign(&checkpoint, time)),
                Signs::WithAnotherKey => format!("{by_other}\n"),
                Signs::SomethingElse => {
                    let root = bergulir_chain::Hash::ZERO;
                    let checkpoint = Checkpoint { root, ..checkpoint };
                    format!("{}\n", key.cosign(&checkpoint, time))
                }
            };
            (200, "text/plain", answer)
        }
        Err(refusal) => match refusal.known_size() {
            Some(size) => (refusal.status(), SIZE_CONTENT_TYPE, format!("{size}\n")),
            None => (refusal.status(), "text/plain", said(&refusal)),
        },
    }
}

fn said(refusal: &Refusal) -> String {
    format!("{refusal}\n")
}

/// The path and the body of a request.
fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&piece[..read]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let path = head.split(' ').nth(1)?.to_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        })?;
        let mut body = bytes[end + 4..].to_vec();
        while body.len() < length {
            let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
            body.extend_from_slice(&piece[..read]);
        }
        return Some((path, body));
    }
}
