//! What a connection writes, gathered: everything that is to be said in one turn of its task goes out
//! with one call of the system. HTTP/2 would make a call for each answer, and that was two fifths of
//! what a single command took here.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So much is gathered at the most. With that many bytes waiting for a peer who does not read,
/// nothing more is taken.
const MAX_GATHERED_BYTES: usize = 64 << 10;
/// What is that long by itself is not gathered: it is sent together with what was, and not copied.
const LONG_BYTES: usize = 24 << 10;

/// A stream whose bytes stay here until they are [sent](Gathered::send).
pub(crate) struct GatheredStream<R, W> {
    incoming: R,
    outgoing: Gathered<W>,
}

/// What one stream has gathered.
pub(crate) struct Gathered<W>(Arc<Both<W>>);

struct Both<W> {
    outgoing: Mutex<Outgoing<W>>,
    /// How many bytes have come in.
    heard: AtomicUsize,
}

struct Outgoing<W> {
    half: W,
    bytes: Vec<u8>,
    /// How many of `bytes` are sent.
    sent: usize,
}

/// A stream of these two halves that gathers, and what it gathered.
pub(crate) fn gathered<R, W>(incoming: R, half: W) -> (GatheredStream<R, W>, Gathered<W>) {
    let outgoing = Mutex::new(Outgoing { half, bytes: Vec::new(), sent: 0 });
    let both = Arc::new(Both { outgoing, heard: AtomicUsize::new(0) });
    (GatheredStream { incoming, outgoing: Gathered(Arc::clone(&both)) }, Gathered(both))
}

impl<W: AsyncWrite + Unpin> Gathered<W> {
    /// How many bytes have come in.
    pub(crate) fn heard(&self) -> usize {
        self.0.heard.load(Ordering::Relaxed)
    }

    /// Sends what is gathered, to be called at the end of each turn of the connection's task. What
    /// there is no room for is sent in a later turn, for which the task is woken.
    ///
    /// # Errors
    /// If the stream is broken.
    pub(crate) fn send(&self, context: &mut Context<'_>) -> io::Result<()> {
        match self.held().send(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(sent) => sent,
        }
    }

    fn held(&self) -> MutexGuard<'_, Outgoing<W>> {
        self.0.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: AsyncWrite + Unpin> Outgoing<W> {
    /// Sends all that is gathered.
    fn send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() {
            // What is under encryption may still hold some; on a plain socket this does nothing.
            return Pin::new(&mut self.half).poll_flush(context);
        }
        while self.sent < self.bytes.len() {
            let rest = &self.bytes[self.sent..];
            match ready!(Pin::new(&mut self.half).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        self.bytes.clear();
        self.sent = 0;
        Pin::new(&mut self.half).poll_flush(context)
    }

    /// Sends all that is gathered, and of these parts behind it what there is room for at once.
    fn send_with(
        &mut self,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        while !self.bytes.is_empty() {
            let rest = &self.bytes[self.sent..];
            let all: Vec<io::IoSlice<'_>> =
                std::iter::once(io::IoSlice::new(rest)).chain(parts.iter().copied()).collect();
            let (gathered, half) = (rest.len(), Pin::new(&mut self.half));
            let sent = match ready!(half.poll_write_vectored(context, &all))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => sent,
            };
            if sent < gathered {
                self.sent += sent;
                continue;
            }
            self.bytes.clear();
            self.sent = 0;
            if sent > gathered {
                return Poll::Ready(Ok(sent - gathered));
            }
        }
        Pin::new(&mut self.half).poll_write_vectored(context, parts)
    }

    /// Makes room for so many bytes: sends first if there would be too many.
    fn room(&mut self, context: &mut Context<'_>, bytes: usize) -> Poll<io::Result<()>> {
        if self.bytes.len() + bytes <= MAX_GATHERED_BYTES {
            return Poll::Ready(Ok(()));
        }
        self.send(context)
    }
}

impl<R: AsyncRead + Unpin, W: Unpin> AsyncRead for GatheredStream<R, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.incoming).poll_read(context, into);
        let heard = into.filled().len() - before;
        if heard > 0 {
            self.outgoing.0.heard.fetch_add(heard, Ordering::Relaxed);
        }
        read
    }
}

impl<R: Unpin, W: AsyncWrite + Unpin> AsyncWrite for GatheredStream<R, W> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut outgoing = self.outgoing.held();
        let length = parts.iter().map(|part| part.len()).sum();
        if length >= LONG_BYTES {
            return outgoing.send_with(context, parts);
        }
        ready!(outgoing.room(context, length))?;
        for part in parts {
            outgoing.bytes.extend_from_slice(part);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Sent at the end of the turn.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outgoing = self.outgoing.held();
        ready!(outgoing.send(context))?;
        Pin::new(&mut outgoing.half).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
    use tokio::net::{TcpListener, TcpStream};

    fn gathered_tcp(
        near: TcpStream,
    ) -> (GatheredStream<OwnedReadHalf, OwnedWriteHalf>, Gathered<OwnedWriteHalf>) {
        let (incoming, half) = near.into_split();
        gathered(incoming, half)
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn what_is_written_is_sent_at_the_end_of_the_turn() {
        let (near, mut far) = pair().await;
        let (mut stream, gathered) = gathered_tcp(near);
        stream.write_all(b"one, ").await.unwrap();
        stream.flush().await.unwrap();
        stream.write_all(b"two").await.unwrap();
        let mut heard = [0; 16];
        let waited = tokio::time::timeout(Duration::from_millis(50), far.read(&mut heard)).await;
        assert!(waited.is_err(), "{waited:?}");
        gathered.send(&mut Context::from_waker(Waker::noop())).unwrap();
        assert_eq!(far.read(&mut heard).await.unwrap(), 8);
        assert_eq!(&heard[..8], b"one, two");
        // Nothing is left behind at the end.
        stream.write_all(b"three").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"three");
    }

    #[tokio::test]
    async fn who_does_not_read_is_not_written_to_without_end() {
        let (near, mut far) = pair().await;
        let (mut stream, gathered) = gathered_tcp(near);
        let piece: Vec<u8> = (0..=u8::MAX).cycle().take(10_000).collect();
        // Pieces of both kinds: those that are gathered, and some that are too long for that.
        let long = piece.repeat(10);
        let mut written = Vec::new();
        let mut most = 0;
        let stopped = loop {
            let next = if written.len() % 3 == 0 { &long } else { &piece };
            let write = tokio::time::timeout(Duration::from_millis(200), stream.write(next)).await;
            let Ok(taken) = write else { break true };
            written.extend_from_slice(&next[..taken.unwrap()]);
            most = most.max(gathered.held().bytes.len());
            if written.len() > 64 << 20 {
                break false;
            }
        };
        assert!(stopped);
        assert!(most <= MAX_GATHERED_BYTES, "{most}");
        let reading = tokio::spawn(async move {
            let mut heard = Vec::new();
            far.read_to_end(&mut heard).await.unwrap();
            heard
        });
        stream.shutdown().await.unwrap();
        drop((stream, gathered));
        assert_eq!(reading.await.unwrap(), written);
    }
}
