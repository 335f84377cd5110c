//! Programs of chance: what their tasks do, and when the runtime ends, follows from a seed, as does everything else.

use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    net::SocketAddr,
    ops::ControlFlow,
    panic::resume_unwind,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use ostia_os::topology::Topology;
use ostia_rt::{
    Handle, JoinHandle, Pieces, Placement, Runtime, Slice, compute, compute_pieces,
    net::{TcpListener, TcpStream},
    offload,
    sim::{self, Options, State},
    spawn_local,
    sync::{Semaphore, mpsc, oneshot},
    time::{now, sleep, timeout},
    yield_now,
};

use crate::{
    dice::Dice,
    files,
    ledger::{End, Ledger, Life},
};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
/// How deep tasks spawn tasks.
const DEPTH_MAX: usize = 3;
/// Few operations at a time: hardly a program does not have to wait for room.
const OPS_MAX_FEW: usize = 8;

/// What one run of a program came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) trace: u64,
    pub(crate) ledger: u64,
    pub(crate) state: State,
    pub(crate) seen: BTreeMap<&'static str, usize>,
}

/// What all tasks of a program know.
#[derive(Clone)]
pub(crate) struct Program {
    handle: Handle,
    pub(crate) ledger: Ledger,
    addresses: Arc<Vec<SocketAddr>>,
    limit: Arc<Semaphore>,
    /// What was handed over to be sent will be, unless the connection breaks.
    pub(crate) sends_are_sure: bool,
}

/// Runs the program of a seed to its end, and holds it to what must be.
pub(crate) fn run(seed: u64) -> Run {
    let mut dice = Dice::new(seed ^ 0x0051_a000_0000);
    let shape = ["1x1", "1x4", "2x2", "4x8"][dice.below(4)];
    let options = if dice.once_in(4) { Options::new(seed) } else { Options::rough(seed) };
    let ops_max = if dice.once_in(3) { OPS_MAX_FEW } else { 65_536 };
    let mut world = Runtime::builder()
        .topology(Topology::synthetic(shape).expect("a shape"))
        .ops_max(ops_max)
        .slice(dice.time(2 * MS))
        .sim(options)
        .world()
        .expect("a simulation opens")
        .spurious(if dice.once_in(4) { 50 } else { 0 });
    let handle = world.handle();
    let ledger = Ledger::default();
    let program = Program {
        handle: handle.clone(),
        ledger: ledger.clone(),
        addresses: Arc::default(),
        limit: Arc::new(Semaphore::new(1 + dice.below(3))),
        sends_are_sure: options.lack == 0 && ops_max > 1000,
    };
    let is_cut_short = dice.once_in(3);
    let (grace, when) = (dice.time(20 * MS), dice.time(40 * MS));
    let root = root(program, dice);
    if is_cut_short {
        let task = handle.spawn(root);
        world.run_for(when).unwrap_or_else(|stuck| panic!("{stuck}"));
        ledger.ends();
        ledger.note(if handle.tasks().is_empty() { "ended by itself" } else { "ended while it worked" }, 0);
        let state = end(world, grace);
        assert!(task.is_finished(), "the runtime has ended, and a task has not");
        drop(task);
        return checked(&ledger, state);
    }
    // Sends that nobody will ever read keep their places: of few places there may then be too few.
    let is_starved = || ops_max == OPS_MAX_FEW && ledger.endless() > OPS_MAX_FEW / 2;
    if let Err(stuck) = world.run_until(root) {
        assert!(is_starved(), "{stuck}");
        ledger.note("starved", 0);
        ledger.ends();
        let state = end(world, grace);
        return checked(&ledger, state);
    }
    // Those whose handles were dropped go on, and what was given up ends.
    world.run_for(HOUR).unwrap_or_else(|stuck| panic!("{stuck}"));
    let slots = world.slots_in_use();
    if !is_starved() {
        assert_eq!(handle.tasks(), [], "tasks that do not end");
        assert!(slots <= ledger.endless(), "{slots} slots are in use, and nobody waits");
    }
    ledger.note("ended by itself", 0);
    ledger.ends();
    let state = end(world, grace);
    checked(&ledger, state)
}

fn end(mut world: sim::World, grace: Duration) -> (State, u64) {
    let kernel = world.kernel().clone();
    let workers = world.workers();
    let handle = world.handle();
    let report = world.end(grace, HOUR).unwrap_or_else(|stuck| panic!("{stuck}"));
    let trace = world.trace();
    assert_eq!((report.threads_joined, report.threads_left), (workers, 0), "{report}");
    assert_eq!((report.pending.len(), report.operations_leaked), (0, 0), "{report}");
    assert_eq!(handle.tasks(), [], "no task is left");
    (kernel.state(), trace)
}

fn checked(ledger: &Ledger, (state, trace): (State, u64)) -> Run {
    ledger.check();
    assert_eq!((state.handles, state.operations), (0, 0), "{state:?}");
    Run { trace, ledger: ledger.trace(), state, seen: ledger.seen() }
}

/// Everything that a program does.
async fn root(mut program: Program, mut dice: Dice) {
    let mut listeners = Vec::new();
    for node in 0..program.handle.nodes() {
        let binds = async { TcpListener::bind("127.0.0.1:0".parse().expect("an address")) };
        match program.handle.spawn_on(node, binds).await {
            Ok(listener) => listeners.push(listener.expect("a port of its own")),
            Err(_) => return program.ledger.hold(program.ledger.is_ending(), "a task did not end well"),
        }
    }
    let address = |listener: &TcpListener| listener.local_addr().expect("it is bound");
    program.addresses = Arc::new(listeners.iter().map(address).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let mut acceptors = Vec::new();
    for (node, listener) in listeners.into_iter().enumerate() {
        let accepts = accept(program.clone(), dice.fork(), listener, Arc::clone(&stop));
        acceptors.push(program.handle.spawn_on(node, accepts));
    }
    let tasks: Vec<_> = (0..1 + dice.below(6)).map(|_| program.spawn(&mut dice, 0)).collect();
    for task in tasks {
        // Outside of any task there are timers, too: they are a worker's that may be asleep.
        sleep(dice.time(2 * MS)).await;
        program.join(task, Asked::Nothing).await;
    }
    stop.store(true, Ordering::Relaxed);
    for acceptor in acceptors {
        program.join(acceptor, Asked::Nothing).await;
    }
}

/// What was asked of a task whose end is awaited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    ToEnd,
}

/// What a task panics with when its program says so.
struct Scripted;

impl Program {
    /// Spawns a task somewhere.
    fn spawn(&self, dice: &mut Dice, depth: usize) -> JoinHandle<()> {
        let work = work(self.clone(), dice.fork(), depth, self.ledger.task());
        // A future's type must not be part of itself.
        let work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work);
        let node = dice.below(self.handle.nodes());
        match dice.below(6) {
            0 => self.handle.spawn_at(Placement::RoundRobin, work),
            1 => self.handle.spawn_at(Placement::LeastLoaded, work),
            2 => self.handle.spawn_at(Placement::Node(node), work),
            3 => {
                let worker = dice.below(self.handle.workers(node));
                self.handle.spawn_at(Placement::Fixed { node, worker }, work)
            }
            4 => self.handle.spawn_on(node, work),
            _ => self.handle.spawn(work),
        }
    }

    /// Waits for the end of a task, and holds it to what was asked of it.
    async fn join(&self, task: JoinHandle<()>, asked: Asked) {
        let ledger = &self.ledger;
        match task.await {
            Ok(()) => ledger.note("child ended", 0),
            Err(error) if error.is_cancelled() && ledger.is_ending() => {
                ledger.note("child cancelled at the end", 0);
            }
            Err(error) if error.is_cancelled() => {
                ledger.hold(asked == Asked::ToEnd, "a task was cancelled, and nobody had asked for it");
                ledger.note("child aborted", 0);
            }
            Err(error) => {
                let panic = error.into_panic().expect("it is one or the other");
                ledger.hold(panic.is::<Scripted>(), "a task panicked that was not to");
                ledger.note("child panicked", 0);
            }
        }
    }
}

/// What a task does.
async fn work(program: Program, mut dice: Dice, depth: usize, life: Life) {
    life.runs();
    let ledger = &program.ledger;
    let mut place = sim::place().expect("a task runs on a worker");
    for step in 0..1 + dice.below(8) {
        match dice.below(18) {
            0 => yield_now().await,
            1 => {
                sleep(dice.time(5 * MS)).await;
                ledger.note("slept", life.number);
            }
            2 => sim::burn(dice.time(MS)),
            3 | 4 if depth < DEPTH_MAX => children(&program, &mut dice, depth).await,
            5 => locals(&program, &mut dice).await,
            6..=8 => client(&program, &mut dice).await,
            9 => computes(&program, &mut dice).await,
            10 => passes_on(&program, &mut dice).await,
            11 => limited(&program, &mut dice).await,
            14 => offloaded(&program, &mut dice).await,
            13 => woken_often(&program, &mut dice).await,
            15 => files::writes_and_reads(&program, &mut dice).await,
            16 => moves_a_timer(&program, &mut dice, place).await,
            12 if depth > 0 && dice.once_in(8) => {
                life.may_panic();
                resume_unwind(Box::new(Scripted));
            }
            _ => yields(&mut dice).await,
        }
        let now = sim::place().expect("a task runs on a worker");
        ledger.hold(now.0 == place.0, "a task left its node");
        if now != place {
            ledger.note("stolen", step);
        }
        place = now;
    }
}

async fn yields(dice: &mut Dice) {
    for _ in 0..dice.below(20) {
        yield_now().await;
    }
}

/// Waits while others wake it more often than is needed, and too late.
async fn woken_often(program: &Program, dice: &mut Dice) {
    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let rung = Arc::new(AtomicUsize::new(0));
    let ringers: Vec<_> = (0..1 + dice.below(3))
        .map(|_| {
            let (waker, rung, mut dice) = (waker.clone(), Arc::clone(&rung), dice.fork());
            let life = program.ledger.task();
            let node = dice.below(program.handle.nodes());
            program.handle.spawn_on(node, async move {
                life.runs();
                for _ in 0..1 + dice.below(4) {
                    (0..1 + dice.below(3)).for_each(|_| waker.wake_by_ref());
                    yield_now().await;
                }
                rung.fetch_add(1, Ordering::Relaxed);
                waker.wake();
            })
        })
        .collect();
    let count = ringers.len();
    let all_have =
        poll_fn(|_| if rung.load(Ordering::Relaxed) < count { Poll::Pending } else { Poll::Ready(()) });
    // Who is aborted at the runtime's end does not ring.
    if timeout(HOUR / 2, all_have).await.is_err() {
        let is_so = program.ledger.is_ending();
        program.ledger.hold(is_so, "a task that was woken was not polled");
    }
    for ringer in ringers {
        program.join(ringer, Asked::Nothing).await;
    }
    program.ledger.note("woken often", count);
}

/// A timer of this worker, moved by another one, which waits for it from then on.
async fn moves_a_timer(program: &Program, dice: &mut Dice, (node, _): (usize, usize)) {
    let mut rests = sleep(HOUR);
    let looked = poll_fn(|cx| Poll::Ready(Pin::new(&mut rests).poll(cx))).await;
    program.ledger.hold(looked.is_pending(), "a timer came an hour early");
    let (deadline, life) = (now() + dice.time(MS), program.ledger.task());
    let worker = dice.below(program.handle.workers(node));
    let ledger = program.ledger.clone();
    let task = program.handle.spawn_at(Placement::Fixed { node, worker }, async move {
        life.runs();
        rests.reset(deadline);
        let has_come = timeout(HOUR / 2, rests).await.is_ok();
        ledger.hold(has_come, "a timer that was moved did not come");
        ledger.note("moved a timer", worker);
    });
    program.join(task, Asked::Nothing).await;
}

/// Has somebody else work who may wait.
async fn offloaded(program: &Program, dice: &mut Dice) {
    let (number, time) = (dice.below(100), dice.time(MS));
    let work = offload(move || {
        sim::burn(time);
        number
    });
    let patience = if dice.once_in(3) { dice.time(MS) } else { HOUR / 2 };
    match timeout(patience, work).await {
        Ok(Ok(same)) => {
            program.ledger.hold(same == number, "an offloaded job gave another's result");
            program.ledger.note("offloaded", number);
        }
        Ok(Err(_)) => program.ledger.hold(program.ledger.is_ending(), "an offloaded job was dropped"),
        Err(_) => {
            program.ledger.hold(patience < HOUR / 2, "an offloaded job is never done");
            program.ledger.note("offload given up", 0);
        }
    }
}

/// Spawns some, and waits for them, aborts them, or lets them go.
async fn children(program: &Program, dice: &mut Dice, depth: usize) {
    let children: Vec<_> = (0..1 + dice.below(4)).map(|_| program.spawn(dice, depth + 1)).collect();
    for child in children {
        match dice.below(5) {
            0 => drop(child),
            1 => {
                let abort = child.abort_handle();
                if dice.once_in(2) {
                    sleep(dice.time(MS)).await;
                }
                abort.abort();
                program.join(child, Asked::ToEnd).await;
                program.ledger.hold(abort.is_finished(), "a task that was joined has not finished");
            }
            2 => {
                // Given up and asked again.
                let abort = child.abort_handle();
                let mut joins = pin!(program.join(child, Asked::ToEnd));
                if timeout(dice.time(MS), &mut joins).await.is_err() {
                    abort.abort();
                    joins.await;
                }
            }
            _ => program.join(child, Asked::Nothing).await,
        }
    }
}

/// Tasks that stay with their worker.
async fn locals(program: &Program, dice: &mut Dice) {
    // What spawns them has to stay, too, while it does.
    let tasks: Vec<_> = (0..1 + dice.below(3))
        .map(|_| {
            let (program, mut dice, life) = (program.clone(), dice.fork(), program.ledger.task());
            let home = sim::place();
            spawn_local(async move {
                life.runs();
                let stays = std::rc::Rc::new(());
                for _ in 0..1 + dice.below(6) {
                    match dice.below(3) {
                        0 => yield_now().await,
                        1 => sleep(dice.time(MS)).await,
                        _ => client(&program, &mut dice).await,
                    }
                    program.ledger.hold(sim::place() == home, "a local task left its worker");
                }
                program.ledger.note("local task", 0);
                drop(stays);
            })
        })
        .collect();
    for task in tasks {
        if dice.once_in(4) {
            task.abort();
            program.join(task, Asked::ToEnd).await;
        } else if !dice.once_in(4) {
            program.join(task, Asked::Nothing).await;
        }
    }
}

/// CPU work, in slices and in pieces.
async fn computes(program: &Program, dice: &mut Dice) {
    let step = dice.time(MS / 10);
    if dice.once_in(2) {
        let mut left = dice.below(50);
        compute(move |slice| {
            loop {
                if left == 0 {
                    return ControlFlow::Break(());
                }
                left -= 1;
                sim::burn(step);
                if slice.is_over() {
                    return ControlFlow::Continue(());
                }
            }
        })
        .await;
        program.ledger.note("computed", 0);
        return;
    }
    struct Work {
        total: usize,
        begun: AtomicUsize,
        done: AtomicUsize,
        step: Duration,
    }
    impl Pieces for Work {
        fn some(&self, slice: &Slice) -> bool {
            loop {
                if self.begun.fetch_add(1, Ordering::Relaxed) >= self.total {
                    return false;
                }
                sim::burn(self.step);
                self.done.fetch_add(1, Ordering::Relaxed);
                if slice.is_over() {
                    return true;
                }
            }
        }
    }
    let total = dice.below(50);
    let work = Arc::new(Work { total, begun: AtomicUsize::new(0), done: AtomicUsize::new(0), step });
    let pieces = compute_pieces(Arc::clone(&work));
    match dice.below(4) {
        0 => pieces.await,
        most => pieces.at_most(most).await,
    }
    program.ledger.hold(work.done.load(Ordering::Relaxed) == total, "pieces were not done, or twice");
    program.ledger.note("pieces", total);
}

/// Sends numbers to a task elsewhere, which answers with their sum.
async fn passes_on(program: &Program, dice: &mut Dice) {
    let (sender, mut receiver) = mpsc::channel(1 + dice.below(3));
    let (answer, sum) = oneshot::channel();
    let node = dice.below(program.handle.nodes());
    let (life, mut theirs) = (program.ledger.task(), dice.fork());
    let task = program.handle.spawn_on(node, async move {
        life.runs();
        let mut sum = 0;
        while let Some(number) = receiver.recv().await {
            sum += number;
            if theirs.once_in(4) {
                sleep(theirs.time(MS)).await;
            }
        }
        let _ = answer.send(sum);
    });
    let mut expected = 0;
    for number in 0..dice.below(12) {
        let sent = if dice.once_in(3) {
            timeout(dice.time(MS), sender.send(number)).await
        } else {
            Ok(sender.send(number).await)
        };
        match sent {
            Ok(Ok(())) => expected += number,
            // Given up before it was handed over.
            Err(_) => {}
            Ok(Err(_)) => {
                program.ledger.hold(program.ledger.is_ending(), "a receiver is gone, and nobody ended it");
                return;
            }
        }
    }
    drop(sender);
    match sum.await {
        Ok(sum) => program.ledger.hold(sum == expected, "what was sent is not what was received"),
        Err(_) => program.ledger.hold(program.ledger.is_ending(), "an answer never came"),
    }
    program.join(task, Asked::Nothing).await;
    program.ledger.note("passed on", expected);
}

/// Works with a permit.
async fn limited(program: &Program, dice: &mut Dice) {
    match timeout(dice.time(2 * MS), program.limit.acquire()).await {
        Ok(permit) => {
            sleep(dice.time(MS)).await;
            drop(permit);
            program.ledger.note("had a permit", 0);
        }
        Err(_) => program.ledger.note("permit given up", 0),
    }
}

/// Accepts connections, and has a task talk on each.
async fn accept(program: Program, mut dice: Dice, listener: TcpListener, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        match timeout(MS / 4 + dice.time(4 * MS), listener.accept()).await {
            Ok(Ok(stream)) => {
                program.ledger.note("accepted", 0);
                let life = program.ledger.task();
                let serves = serve(program.clone(), dice.fork(), stream, life);
                drop(program.handle.spawn(serves));
            }
            Ok(Err(_)) => program.ledger.note("accept failed", 0),
            Err(_) => program.ledger.note("accept given up", 0),
        }
    }
}

/// The client says first which connection it is.
async fn serve(program: Program, mut dice: Dice, stream: TcpStream, life: Life) {
    life.runs();
    let mut name = Vec::new();
    while name.len() < 8 {
        match timeout(100 * MS, stream.read(Vec::with_capacity(8 - name.len()))).await {
            Ok((Ok(1..), bytes)) => name.extend(bytes),
            _ => return,
        }
    }
    let flow = usize::from_le_bytes(name.try_into().expect("eight bytes"));
    let end = End { output: flow, input: flow + 1 }.other();
    talk(&program, &mut dice, &stream, end).await;
}

async fn client(program: &Program, dice: &mut Dice) {
    let ledger = &program.ledger;
    let address = program.addresses[dice.below(program.addresses.len())];
    let connect = TcpStream::connect(address);
    let connected = if dice.once_in(3) { timeout(dice.time(MS), connect).await } else { Ok(connect.await) };
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) => return ledger.note("connect failed", 0),
        Err(_) => return ledger.note("connect given up", 0),
    };
    ledger.note("connected", 0);
    let end = ledger.connection();
    ledger.begins(end.output);
    let (said, _) = stream.write(end.output.to_le_bytes().to_vec()).await;
    ledger.is_told(end.output);
    if said.is_ok() {
        talk(program, dice, &stream, end).await;
    }
}

/// Reads and writes as it comes.
async fn talk(program: &Program, dice: &mut Dice, stream: &TcpStream, end: End) {
    let ledger = &program.ledger;
    let mut may_write = true;
    for _ in 0..dice.below(12) {
        match dice.below(6) {
            0 | 1 if may_write => {
                let Some(bytes) = ledger.to_send(end.output, 1 + dice.below(2000)) else { continue };
                let write = async {
                    ledger.begins(end.output);
                    let (written, _) = stream.write(bytes).await;
                    ledger.is_told(end.output);
                    written
                };
                let patience = if dice.once_in(3) { dice.time(MS) } else { 50 * MS };
                match timeout(patience, write).await {
                    Ok(Ok(_)) => ledger.note("written", end.output),
                    Ok(Err(_)) => {
                        ledger.note("write failed", end.output);
                        ledger.send_failed(end.output);
                        may_write = false;
                    }
                    // It goes on by itself, and others may queue behind it.
                    Err(_) => {
                        ledger.note("write given up", end.output);
                        if !program.sends_are_sure {
                            ledger.send_failed(end.output);
                            may_write = false;
                        }
                    }
                }
            }
            2 | 3 => {
                let patience = if dice.once_in(2) { dice.time(MS) } else { 20 * MS };
                if !read(program, dice, stream, end, patience).await {
                    break;
                }
            }
            4 => sleep(dice.time(MS)).await,
            _ => yield_now().await,
        }
    }
    if dice.once_in(2) {
        // Behind everything that was handed over: what was given up is sent before this.
        let says = async {
            ledger.begins(end.output);
            let said = stream.shutdown().await;
            ledger.is_told(end.output);
            said
        };
        if may_write && timeout(50 * MS, says).await.is_ok_and(|said| said.is_ok()) {
            ledger.said_the_end(end.output);
            ledger.note("said the end", end.output);
        }
        while read(program, dice, stream, end, 20 * MS).await {}
    }
}

/// Reads once; false if nothing more will come, or not in time.
async fn read(program: &Program, dice: &mut Dice, stream: &TcpStream, end: End, patience: Duration) -> bool {
    let ledger = &program.ledger;
    match timeout(patience, stream.read(Vec::with_capacity(1 + dice.below(3000)))).await {
        Ok((Ok(_), bytes)) => {
            ledger.received(end.input, &bytes);
            ledger.note(if bytes.is_empty() { "end of stream" } else { "read" }, bytes.len());
            !bytes.is_empty()
        }
        Ok((Err(_), _)) => {
            ledger.note("read failed", end.input);
            false
        }
        Err(_) => {
            ledger.note("read given up", end.input);
            dice.once_in(2)
        }
    }
}
