//! Standard input, output and error.
//!
//! No system has a form of these that could wait by completion whatever they are: a terminal, a pipe, a file.
//!
//! - **Input** is read by one thread of the process, which is started when it is first asked for something, and reads
//!   only when it is asked: so a read that waits for a user keeps no offload thread. What a dropped read had read is
//!   kept for the next one. At the end a read gives 0; asked once more, it asks the system once more, since a terminal
//!   may go on. The thread is never waited for: a program ends although it reads.
//! - **Output** is written on an offload thread of the node, one write at a time and whole, and is flushed before the
//!   write ends. A dropped write is completed once a thread has begun with it, and later ones come behind it. Nothing
//!   closes the process's output: [`AsyncWrite::shutdown`] only waits until all is written.
//!
//! They share their buffers and locks with the standard library's, so both may be used.

use std::{
    future::poll_fn,
    io::{self, Read, Write},
    sync::{Arc, Condvar, LazyLock, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    thread,
};

use ostia_port::buf::{IoBuf, IoBufMut};

use crate::{
    io::{AsyncRead, AsyncWrite},
    loom::lock,
    offload,
    sync::{self, Semaphore},
    wake::wake,
};

/// The most bytes that are asked of standard input at a time.
const READ_MAX: usize = 64 * 1024;

/// Standard input.
///
/// ```no_run
/// use ostia_rt::{io, stdio};
///
/// # async fn example() -> std::io::Result<()> {
/// io::copy(&mut stdio::stdin(), &mut stdio::stdout()).await?;
/// # Ok(())
/// # }
/// ```
pub fn stdin() -> Stdin {
    Stdin(())
}

/// Standard output.
pub fn stdout() -> Stdout {
    Stdout(())
}

/// Standard error.
pub fn stderr() -> Stderr {
    Stderr(())
}

/// See [`stdin`].
#[derive(Debug, Clone)]
pub struct Stdin(());

/// See [`stdout`].
#[derive(Debug, Clone)]
pub struct Stdout(());

/// See [`stderr`].
#[derive(Debug, Clone)]
pub struct Stderr(());

/// Where readers and the thread that reads meet.
#[derive(Debug)]
struct Desk {
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Debug)]
struct State {
    has_thread: bool,
    /// How many bytes the thread is to read, and has not yet begun to.
    wanted: usize,
    /// It was asked, and has not answered.
    is_reading: bool,
    /// What it has read; `served` of it are taken.
    bytes: Vec<u8>,
    served: usize,
    /// Behind the bytes: the end, or an error.
    end: Option<io::Result<()>>,
    waker: Option<Waker>,
}

static DESK: Desk = Desk {
    state: Mutex::new(State {
        has_thread: false,
        wanted: 0,
        is_reading: false,
        bytes: Vec::new(),
        served: 0,
        end: None,
        waker: None,
    }),
    asked: Condvar::new(),
};

/// Those who read, one after the other.
static READERS: LazyLock<sync::Mutex<()>> = LazyLock::new(|| sync::Mutex::new(()));

impl AsyncRead for Stdin {
    /// # Cancel safety
    ///
    /// What a dropped read had read is kept for the next one.
    async fn read<B: IoBufMut>(&mut self, mut buffer: B) -> (io::Result<usize>, B) {
        if buffer.capacity() == 0 {
            return (Ok(0), buffer);
        }
        let _turn = READERS.lock().await;
        let read = poll_fn(|cx| DESK.poll_read(&mut buffer, cx)).await;
        (read, buffer)
    }
}

impl Desk {
    fn poll_read<B: IoBufMut>(
        &'static self,
        buffer: &mut B,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.state);
        if state.served < state.bytes.len() {
            let len = buffer.fill_from(&state.bytes[state.served..]);
            state.served += len;
            return Poll::Ready(Ok(len));
        }
        if let Some(end) = state.end.take() {
            return Poll::Ready(end.map(|()| 0));
        }
        let former = state.waker.replace(cx.waker().clone());
        if !state.is_reading {
            if !state.has_thread {
                let thread = thread::Builder::new().name("ostia-stdin".to_owned());
                thread.spawn(|| self.serve())?;
                state.has_thread = true;
            }
            state.is_reading = true;
            state.wanted = buffer.capacity().min(READ_MAX);
            self.asked.notify_one();
        }
        drop(state);
        drop(former);
        Poll::Pending
    }

    /// The life of the thread that reads.
    fn serve(&self) {
        let mut state = lock(&self.state);
        loop {
            state = self
                .asked
                .wait_while(state, |state| state.wanted == 0)
                .unwrap_or_else(PoisonError::into_inner);
            let wanted = std::mem::take(&mut state.wanted);
            let mut bytes = std::mem::take(&mut state.bytes);
            drop(state);
            bytes.resize(wanted, 0);
            let read = loop {
                match io::stdin().lock().read(&mut bytes) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read,
                }
            };
            let (len, end) = match read {
                Ok(0) => (0, Some(Ok(()))),
                Ok(len) => (len, None),
                Err(error) => (0, Some(Err(error))),
            };
            bytes.truncate(len);
            state = lock(&self.state);
            (state.bytes, state.served, state.end) = (bytes, 0, end);
            state.is_reading = false;
            if let Some(waker) = state.waker.take() {
                drop(state);
                wake(waker);
                state = lock(&self.state);
            }
        }
    }
}

/// An output: who may write, and how it is done.
#[derive(Debug)]
struct Output {
    turn: Arc<Semaphore>,
    write: fn(&[u8]) -> io::Result<()>,
}

static OUT: LazyLock<Output> = LazyLock::new(|| Output {
    turn: Arc::new(Semaphore::new(1)),
    write: |bytes| {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    },
});

static ERR: LazyLock<Output> = LazyLock::new(|| Output {
    turn: Arc::new(Semaphore::new(1)),
    write: |bytes| {
        let mut err = io::stderr().lock();
        err.write_all(bytes)?;
        err.flush()
    },
});

impl Output {
    async fn write<B: IoBuf>(&self, buffer: B) -> (io::Result<usize>, B) {
        let Ok(turn) = Arc::clone(&self.turn).acquire_many_owned(1).await else {
            unreachable!("nobody closes it")
        };
        // It is taken from here, and comes back here: also if no thread ever begins.
        let place = Arc::new(Mutex::new(Some(buffer)));
        let (own, write) = (Arc::clone(&place), self.write);
        let written = offload::flat(move || {
            // Whoever is next comes when this is written, also if nobody waits for it any more.
            let _turn = turn;
            let Some(buffer) = lock(&own).take() else { return Ok(0) };
            let written = write(buffer.as_bytes()).map(|()| buffer.init_len());
            *lock(&own) = Some(buffer);
            written
        });
        let written = written.await.and_then(|written| written);
        let buffer = lock(&place).take().expect("whoever took it has put it back");
        (written, buffer)
    }

    async fn settle(&self) -> io::Result<()> {
        drop(self.turn.acquire().await);
        Ok(())
    }
}

macro_rules! writes {
    ($name:ident to $output:ident) => {
        impl AsyncWrite for $name {
            /// # Cancel safety
            ///
            /// A write that a thread has begun with is completed; one that none has begun with is not written.
            async fn write<B: IoBuf>(&mut self, buffer: B) -> (io::Result<usize>, B) {
                $output.write(buffer).await
            }

            async fn flush(&mut self) -> io::Result<()> {
                $output.settle().await
            }

            /// Waits until all is written; the process's output stays open.
            async fn shutdown(&mut self) -> io::Result<()> {
                $output.settle().await
            }
        }
    };
}

writes!(Stdout to OUT);
writes!(Stderr to ERR);
