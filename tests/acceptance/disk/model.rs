//! A disk with a volatile cache, in memory. Only what was synced is certain to survive a cut of the
//! power: of a file its bytes and its length, of a folder its names. Of the rest each piece of 4 KiB is
//! the old or the new one, or torn between them at 512 bytes; a length is the old or the new one; and
//! what was done to a folder was done, or not, mostly in order.

use super::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a disk writes at once, unless the power is cut.
const SECTOR: usize = 4096;
/// What it writes whole or not at all.
const PIECE: usize = 512;
/// The root folder.
pub const ROOT: u64 = 1;

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    NoEntry,
    Exists,
    NotEmpty,
    IsFolder,
    NotFolder,
    Full,
    Broken,
}

/// What is done to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Read,
    Write,
    Sync,
    Names,
}

/// What happens to operations of a kind on paths with a word in them.
#[derive(Debug, Clone)]
pub struct Rule {
    pub operation: Operation,
    pub path: &'static str,
    pub then: Then,
}

/// What happens instead.
#[derive(Debug, Clone, Copy)]
pub enum Then {
    Fail(Fault),
    /// A write takes only half of the bytes.
    Short,
    /// A sync is said to be done, and is not.
    Pretend,
    /// A sync is done, and said so after that time; meanwhile everything else goes on.
    Late(Duration),
}

#[derive(Debug, Clone)]
pub struct File {
    pub bytes: Vec<u8>,
    synced: Vec<u8>,
    /// The sectors that were written since the last sync.
    dirty: BTreeSet<usize>,
}

#[derive(Debug, Clone)]
pub struct Folder {
    pub names: BTreeMap<String, u64>,
    synced: BTreeMap<String, u64>,
    /// What was done to it since the last sync.
    done: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Add(String, u64),
    Remove(String),
    Rename(String, String, u64),
}

#[derive(Debug, Clone)]
pub enum Node {
    File(File),
    Folder(Folder),
}

/// The disk.
#[derive(Debug)]
pub struct Disk {
    nodes: BTreeMap<u64, Node>,
    paths: BTreeMap<u64, String>,
    next: u64,
    /// Operations that change something until the power is cut.
    pub until_cut: Option<u64>,
    /// The power is cut: nothing is done any more.
    pub dead: bool,
    pub rules: Vec<Rule>,
    /// Each read comes to the disk; the kernel keeps nothing.
    pub read_each_time: bool,
}

impl Default for Disk {
    fn default() -> Disk {
        let root = Folder { names: BTreeMap::new(), synced: BTreeMap::new(), done: Vec::new() };
        Disk {
            nodes: BTreeMap::from([(ROOT, Node::Folder(root))]),
            paths: BTreeMap::from([(ROOT, String::new())]),
            next: ROOT + 1,
            until_cut: None,
            dead: false,
            rules: Vec::new(),
            read_each_time: false,
        }
    }
}

impl Disk {
    /// One that is asked for all that is read.
    pub fn read_each_time() -> Disk {
        Disk { read_each_time: true, ..Disk::default() }
    }

    pub fn node(&self, ino: u64) -> Result<&Node, Fault> {
        self.nodes.get(&ino).ok_or(Fault::NoEntry)
    }

    fn file(&mut self, ino: u64) -> Result<&mut File, Fault> {
        match self.nodes.get_mut(&ino) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Folder(_)) => Err(Fault::IsFolder),
            None => Err(Fault::NoEntry),
        }
    }

    fn folder(&mut self, ino: u64) -> Result<&mut Folder, Fault> {
        match self.nodes.get_mut(&ino) {
            Some(Node::Folder(folder)) => Ok(folder),
            Some(Node::File(_)) => Err(Fault::NotFolder),
            None => Err(Fault::NoEntry),
        }
    }

    pub fn lookup(&mut self, parent: u64, name: &str) -> Result<u64, Fault> {
        self.folder(parent)?.names.get(name).copied().ok_or(Fault::NoEntry)
    }

    /// What a rule says of an operation; an operation that changes something may be the last one.
    fn rule(&mut self, operation: Operation, ino: u64) -> Result<Option<Then>, Fault> {
        if operation != Operation::Read
            && let Some(left) = &mut self.until_cut
        {
            *left = left.saturating_sub(1);
            self.dead |= *left == 0;
        }
        if self.dead {
            return Err(Fault::Broken);
        }
        let path = self.paths.get(&ino).map_or("", String::as_str);
        let mut of_it = self.rules.iter().filter(|rule| rule.operation == operation);
        match of_it.find(|rule| path.contains(rule.path)).map(|rule| rule.then) {
            Some(Then::Fail(fault)) => Err(fault),
            then => Ok(then),
        }
    }

    pub fn create(&mut self, parent: u64, name: &str, folder: bool) -> Result<u64, Fault> {
        let path = format!("{}/{name}", self.paths.get(&parent).map_or("", String::as_str));
        let ino = self.next;
        self.paths.insert(ino, path);
        self.rule(Operation::Names, ino)?;
        let into = self.folder(parent)?;
        if into.names.contains_key(name) {
            return Err(Fault::Exists);
        }
        into.names.insert(name.to_owned(), ino);
        into.done.push(Change::Add(name.to_owned(), ino));
        let node = if folder {
            let (names, synced) = Default::default();
            Node::Folder(Folder { names, synced, done: Vec::new() })
        } else {
            let (bytes, synced, dirty) = Default::default();
            Node::File(File { bytes, synced, dirty })
        };
        self.nodes.insert(ino, node);
        self.next += 1;
        Ok(ino)
    }

    pub fn remove(&mut self, parent: u64, name: &str) -> Result<(), Fault> {
        let ino = self.lookup(parent, name)?;
        self.rule(Operation::Names, ino)?;
        if let Node::Folder(folder) = self.node(ino)?
            && !folder.names.is_empty()
        {
            return Err(Fault::NotEmpty);
        }
        let from = self.folder(parent)?;
        from.names.remove(name);
        from.done.push(Change::Remove(name.to_owned()));
        Ok(())
    }

    /// Another name for a file.
    pub fn link(&mut self, ino: u64, parent: u64, name: &str) -> Result<u64, Fault> {
        self.rule(Operation::Names, ino)?;
        let into = self.folder(parent)?;
        if into.names.contains_key(name) {
            return Err(Fault::Exists);
        }
        into.names.insert(name.to_owned(), ino);
        into.done.push(Change::Add(name.to_owned(), ino));
        Ok(ino)
    }

    pub fn rename(&mut self, parent: u64, name: &str, to: u64, as_: &str) -> Result<(), Fault> {
        let ino = self.lookup(parent, name)?;
        self.rule(Operation::Names, ino)?;
        self.folder(parent)?.names.remove(name);
        self.folder(to)?.names.insert(as_.to_owned(), ino);
        if parent == to {
            let change = Change::Rename(name.to_owned(), as_.to_owned(), ino);
            self.folder(parent)?.done.push(change);
        } else {
            self.folder(to)?.done.push(Change::Add(as_.to_owned(), ino));
            self.folder(parent)?.done.push(Change::Remove(name.to_owned()));
        }
        self.move_paths(ino, to, as_);
        Ok(())
    }

    /// The paths of what was renamed, and of all in it.
    fn move_paths(&mut self, ino: u64, parent: u64, name: &str) {
        let path = format!("{}/{name}", self.paths.get(&parent).map_or("", String::as_str));
        self.paths.insert(ino, path);
        if let Some(Node::Folder(folder)) = self.nodes.get(&ino) {
            for (name, child) in folder.names.clone() {
                self.move_paths(child, ino, &name);
            }
        }
    }

    pub fn read(&mut self, ino: u64, offset: u64, size: u32) -> Result<Vec<u8>, Fault> {
        self.rule(Operation::Read, ino)?;
        let file = self.file(ino)?;
        let from = usize::try_from(offset).unwrap().min(file.bytes.len());
        let to = from.saturating_add(size as usize).min(file.bytes.len());
        Ok(file.bytes[from..to].to_vec())
    }

    pub fn write(&mut self, ino: u64, offset: u64, data: &[u8]) -> Result<usize, Fault> {
        let then = self.rule(Operation::Write, ino)?;
        let data = if let Some(Then::Short) = then { &data[..data.len() / 2] } else { data };
        let from = usize::try_from(offset).unwrap();
        let file = self.file(ino)?;
        file.grow_to(from + data.len());
        file.bytes[from..from + data.len()].copy_from_slice(data);
        file.dirty.extend(from / SECTOR..(from + data.len()).div_ceil(SECTOR));
        Ok(data.len())
    }

    pub fn set_length(&mut self, ino: u64, length: u64) -> Result<(), Fault> {
        self.rule(Operation::Write, ino)?;
        let length = usize::try_from(length).unwrap();
        let file = self.file(ino)?;
        let shorter = length.min(file.bytes.len());
        file.dirty.extend(shorter / SECTOR..file.bytes.len().max(length).div_ceil(SECTOR));
        file.bytes.truncate(length);
        file.grow_to(length);
        Ok(())
    }

    /// Makes a file or the names in a folder durable; gives how long that is to take.
    pub fn sync(&mut self, ino: u64) -> Result<Duration, Fault> {
        let rule = self.rule(Operation::Sync, ino);
        if rule.is_err()
            && !self.dead
            && let Some(Node::File(file)) = self.nodes.get_mut(&ino)
        {
            // As Linux does: it is not tried again, whatever the next sync says, and reads show it.
            file.dirty.clear();
        }
        let takes = match rule? {
            Some(Then::Pretend) => return Ok(Duration::ZERO),
            Some(Then::Late(takes)) => takes,
            _ => Duration::ZERO,
        };
        match self.nodes.get_mut(&ino).ok_or(Fault::NoEntry)? {
            Node::File(File { bytes, synced, dirty }) => {
                synced.resize(bytes.len(), 0);
                for sector in std::mem::take(dirty) {
                    let at = sector * SECTOR..bytes.len().min((sector + 1) * SECTOR);
                    if !at.is_empty() {
                        synced[at.clone()].copy_from_slice(&bytes[at]);
                    }
                }
            }
            Node::Folder(Folder { names, synced, done }) => {
                synced.clone_from(names);
                done.clear();
            }
        }
        Ok(takes)
    }

    /// What is found when the power is back.
    pub fn survivor(&self, dice: &mut Dice) -> Disk {
        let survive = |(ino, node): (&u64, &Node)| {
            let node = match node {
                Node::File(file) => Node::File(file.survivor(dice)),
                Node::Folder(folder) => Node::Folder(folder.survivor(dice)),
            };
            (*ino, node)
        };
        let nodes = self.nodes.iter().map(survive).collect();
        let mut disk = Disk { nodes, next: self.next, ..Disk::default() };
        disk.keep_reachable();
        disk
    }

    /// Forgets what no name leads to, and names of what was never there.
    fn keep_reachable(&mut self) {
        let mut paths = BTreeMap::new();
        let mut open = vec![(ROOT, String::new())];
        while let Some((ino, path)) = open.pop() {
            if let Some(Node::Folder(folder)) = self.nodes.get(&ino) {
                let child = |(name, ino): (&String, &u64)| (*ino, format!("{path}/{name}"));
                open.extend(folder.names.iter().map(child));
            }
            paths.insert(ino, path);
        }
        self.nodes.retain(|ino, _| paths.contains_key(ino));
        self.paths = paths;
    }
}

impl File {
    fn grow_to(&mut self, length: usize) {
        if self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
    }

    fn survivor(&self, dice: &mut Dice) -> File {
        let File { bytes, synced, dirty } = self;
        let length = if dice.one_in(2) { bytes.len() } else { synced.len() };
        let mut found = synced.clone();
        found.resize(length, 0);
        let piece = |of: &[u8], at: usize| {
            let mut piece = of.get(at..).unwrap_or_default().to_vec();
            piece.resize(PIECE, 0);
            piece
        };
        for sector in dirty {
            // The old one, the new one, or torn.
            let fate = dice.below(3);
            for at in (sector * SECTOR..(sector + 1) * SECTOR).step_by(PIECE) {
                let is_new = fate == 1 || (fate == 2 && dice.one_in(2));
                if is_new && at < length {
                    let end = length.min(at + PIECE);
                    found[at..end].copy_from_slice(&piece(bytes, at)[..end - at]);
                }
            }
        }
        File { bytes: found.clone(), synced: found, dirty: BTreeSet::new() }
    }
}

impl Folder {
    fn survivor(&self, dice: &mut Dice) -> Folder {
        let mut names = self.synced.clone();
        let in_order = !dice.one_in(4);
        let some = dice.below(self.done.len() as u64 + 1);
        for (number, change) in (0..).zip(&self.done) {
            let is_done = if in_order { number < some } else { dice.one_in(2) };
            if !is_done {
                continue;
            }
            match change {
                Change::Add(name, ino) => _ = names.insert(name.clone(), *ino),
                Change::Remove(name) => _ = names.remove(name),
                Change::Rename(name, to, ino) => {
                    if names.get(name) == Some(ino) {
                        names.remove(name);
                    }
                    names.insert(to.clone(), *ino);
                }
            }
        }
        Folder { names: names.clone(), synced: names, done: Vec::new() }
    }
}
