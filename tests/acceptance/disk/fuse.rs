//! The disk as a file system that a process can use.

use super::model::{Disk, Fault, Node};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The kernel asks each time.
const NOT_KEPT: Duration = Duration::ZERO;
const BLOCK: u32 = 4096;

/// A disk that is mounted, until it is dropped.
pub struct Mounted {
    disk: Arc<Mutex<Disk>>,
    session: Option<BackgroundSession>,
    folder: tempfile::TempDir,
}

impl Mounted {
    /// Mounts a disk; `None`, with a word on the standard error, where that is not possible.
    pub fn new(disk: Disk) -> Option<Mounted> {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Mutex::new(disk));
        let front = Front(Arc::clone(&disk));
        match fuser::spawn_mount(front, folder.path(), &Config::default()) {
            Ok(session) => Some(Mounted { disk, session: Some(session), folder }),
            Err(error) => {
                eprintln!("SKIPPED: no file system can be mounted over FUSE here: {error}");
                None
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(session) = self.session.take()
            && let Err(error) = session.umount_and_join()
        {
            eprintln!("could not unmount {}: {error}", self.folder.path().display());
        }
    }
}

struct Front(Arc<Mutex<Disk>>);

impl Front {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn errno(fault: Fault) -> Errno {
    match fault {
        Fault::NoEntry => Errno::ENOENT,
        Fault::Exists => Errno::EEXIST,
        Fault::NotEmpty => Errno::ENOTEMPTY,
        Fault::IsFolder => Errno::EISDIR,
        Fault::NotFolder => Errno::ENOTDIR,
        Fault::Full => Errno::ENOSPC,
        Fault::Broken => Errno::EIO,
    }
}

fn done(result: Result<(), Fault>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(fault) => reply.error(errno(fault)),
    }
}

/// Tells of a sync when its time is over. Meanwhile others are served: one thread has them all.
fn synced(result: Result<Duration, Fault>, reply: ReplyEmpty) {
    match result {
        Ok(takes) if takes > Duration::ZERO => {
            std::thread::spawn(move || {
                std::thread::sleep(takes);
                reply.ok();
            });
        }
        result => done(result.map(|_| ()), reply),
    }
}

/// Whether the kernel may keep what it has read or written of a file.
fn kept(disk: &Disk) -> FopenFlags {
    if disk.read_each_time { FopenFlags::FOPEN_DIRECT_IO } else { FopenFlags::empty() }
}

fn text(name: &OsStr) -> Result<&str, Fault> {
    name.to_str().ok_or(Fault::NoEntry)
}

fn attributes(disk: &Disk, ino: u64) -> Result<FileAttr, Fault> {
    let (kind, size, perm) = match disk.node(ino)? {
        Node::File(file) => (FileType::RegularFile, file.bytes.len() as u64, 0o600),
        Node::Folder(_) => (FileType::Directory, u64::from(BLOCK), 0o700),
    };
    let time = SystemTime::UNIX_EPOCH;
    Ok(FileAttr {
        ino: INodeNo(ino),
        size,
        blocks: size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    })
}

fn entry(disk: &Disk, ino: Result<u64, Fault>, reply: ReplyEntry) {
    match ino.and_then(|ino| attributes(disk, ino)) {
        Ok(attributes) => reply.entry(&NOT_KEPT, &attributes, Generation(0)),
        Err(fault) => reply.error(errno(fault)),
    }
}

impl Filesystem for Front {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut disk = self.disk();
        let ino = text(name).and_then(|name| disk.lookup(parent.0, name));
        entry(&disk, ino, reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match attributes(&self.disk(), ino.0) {
            Ok(attributes) => reply.attr(&NOT_KEPT, &attributes),
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = self.disk();
        let sized = size.map_or(Ok(()), |size| disk.set_length(ino.0, size));
        match sized.and_then(|()| attributes(&disk, ino.0)) {
            Ok(attributes) => reply.attr(&NOT_KEPT, &attributes),
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let mut disk = self.disk();
        let ino = text(name).and_then(|name| disk.create(parent.0, name, true));
        entry(&disk, ino, reply);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mut disk = self.disk();
        let ino = text(name).and_then(|name| disk.create(parent.0, name, false));
        match ino.and_then(|ino| attributes(&disk, ino)) {
            Ok(attributes) => {
                let (handle, flags) = (FileHandle(0), kept(&disk));
                reply.created(&NOT_KEPT, &attributes, Generation(0), handle, flags);
            }
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(text(name).and_then(|name| self.disk().remove(parent.0, name)), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(text(name).and_then(|name| self.disk().remove(parent.0, name)), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        as_: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let renamed =
            text(name).and_then(|name| self.disk().rename(parent.0, name, to.0, text(as_)?));
        done(renamed, reply);
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut disk = self.disk();
        let ino = text(name).and_then(|name| disk.link(ino.0, parent.0, name));
        entry(&disk, ino, reply);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), kept(&self.disk()));
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.disk().read(ino.0, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.disk().write(ino.0, offset, data) {
            Ok(written) => reply.written(u32::try_from(written).unwrap()),
            Err(fault) => reply.error(errno(fault)),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        synced(self.disk().sync(ino.0), reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        synced(self.disk().sync(ino.0), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let disk = self.disk();
        let Ok(Node::Folder(folder)) = disk.node(ino.0) else {
            return reply.error(Errno::ENOTDIR);
        };
        let from = usize::try_from(offset).unwrap();
        for (number, (name, child)) in folder.names.iter().enumerate().skip(from) {
            let kind = match disk.node(*child) {
                Ok(Node::Folder(_)) => FileType::Directory,
                _ => FileType::RegularFile,
            };
            if reply.add(INodeNo(*child), number as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let blocks = 1 << 20;
        reply.statfs(blocks, blocks, blocks, 1 << 20, 1 << 20, BLOCK, 255, BLOCK);
    }
}
