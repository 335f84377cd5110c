//! What tasks cost on one worker, without any input or output: CPU time an operation.

use serde_json::Value;

use crate::{
    gate::{Gates, Limit},
    harness::{
        child,
        contest::Contest,
        processor,
        program::{Program, Sample, Settings, named, names, steady},
    },
    rt::{
        brief, compio, glommio,
        monoio::Monoio,
        ours,
        runtime::{Runtime, Yield},
        smol::Smol,
        tokio::Tokio,
    },
};

/// What a task does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// It begins another one and waits for its end.
    Spawn,
    /// It lets 99 others run that do the same.
    Yield,
    /// It wakes itself, and there is no other.
    Wake,
    /// It sends to another one over a channel, which answers.
    Channel,
}

/// What an operation may cost and what it should, in nanoseconds.
type Limits = Option<(f64, f64)>;

/// Operations, what they may be named by, and their limits.
const OPERATIONS: [(Operation, &str, Limits); 4] = [
    (Operation::Spawn, "spawn-and-await", Some((250.0, 120.0))),
    (Operation::Yield, "yield-100-tasks", Some((40.0, 30.0))),
    (Operation::Wake, "self-wake-1-task", Some((60.0, 40.0))),
    (Operation::Channel, "channel-round-trip", None),
];

/// Tasks that let each other run.
const MANY: usize = 100;

/// Operations between two looks at the clock: some milliseconds of them, so that their beginning and end do not count.
const STEP: usize = 50_000;

type Run = fn(operation: Operation, settings: Settings) -> Result<Sample, String>;

const PEERS: &[Program<Run>] = &[
    ("tokio", run::<Tokio>),
    ("compio", run::<compio::Plain>),
    ("compio-tuned", run::<compio::Tuned>),
    ("monoio", run::<Monoio>),
    ("smol", run::<Smol>),
    ("glommio", run::<glommio::Glommio>),
];

const OURS: &[Program<Run>] = &[("ours-uring", run::<ours::Uring>), ("ours-epoll", run::<ours::Epoll>)];

fn programs() -> Vec<Program<Run>> {
    [OURS, PEERS].concat()
}

/// What they may be named by.
pub(crate) fn cells() -> Vec<String> {
    OPERATIONS.map(|(_, name, _)| name.to_owned()).to_vec()
}

/// The program's side.
pub(crate) fn serve(name: &str, operation: &str, settings: Settings) -> Result<Sample, String> {
    processor::pin(0)?;
    let found = OPERATIONS.iter().find(|(_, known, _)| *known == operation);
    named(&programs(), name)?(found.ok_or("there is no such operation")?.0, settings)
}

/// All programs in turns.
pub(crate) fn compare(
    wanted: &[usize],
    rounds: usize,
    settings: Settings,
    gates: &mut Gates,
) -> Result<Value, String> {
    let cases: Vec<String> = wanted.iter().map(|cell| OPERATIONS[*cell].1.to_owned()).collect();
    let columns = &["CPU ns an operation", "operations/s"];
    let contest = Contest::hold(rounds, columns, &cases, names(&programs()), |case, name| {
        let sample = child::sample(brief(settings), &["rt", "tasks", name, &cases[case]])?;
        Ok(vec![sample.nanoseconds(), sample.speed()])
    });
    gates.failed(contest.failures());
    contest.print("Tasks", &names(PEERS));
    for name in names(OURS) {
        for (case, cell) in wanted.iter().enumerate() {
            if let (Some((gate, goal)), Some(cost)) = (OPERATIONS[*cell].2, contest.rounds(case, name, 0)) {
                let what = format!("tasks, {}, CPU ns, {name}", contest.case(case));
                gates.all(what, cost, Limit::AtMost(gate), Some(goal));
            }
        }
    }
    Ok(contest.json(&names(PEERS)))
}

fn run<R: Runtime>(operation: Operation, settings: Settings) -> Result<Sample, String> {
    let mut runtime = R::open()?;
    steady(settings, || {
        runtime.run(operation);
        Ok(STEP as u64)
    })
}

impl Operation {
    /// What is done between two looks at the clock.
    pub(crate) async fn step<R: Runtime>(self) {
        match self {
            Operation::Spawn => {
                for _ in 0..STEP {
                    R::spawn(async {}).await;
                }
            }
            Operation::Yield => {
                in_turns::<R, _>(MANY, || async {
                    for _ in 0..STEP / MANY {
                        R::yield_now().await;
                    }
                })
                .await
            }
            Operation::Wake => {
                in_turns::<R, _>(1, || async {
                    for _ in 0..STEP {
                        Yield::default().await;
                    }
                })
                .await
            }
            Operation::Channel => channel::<R>().await,
        }
    }
}

/// As many tasks, which run until they have ended.
async fn in_turns<R: Runtime, F: Future<Output = ()> + Send + 'static>(tasks: usize, task: fn() -> F) {
    let tasks: Vec<_> = (0..tasks).map(|_| R::spawn(task())).collect();
    for task in tasks {
        task.await;
    }
}

/// A channel that belongs to no runtime, so that what differs is how tasks are woken and run.
async fn channel<R: Runtime>() {
    let (ask, asked) = async_channel::bounded(1);
    let (answer, answered) = async_channel::bounded(1);
    let other = R::spawn(async move {
        while let Ok(()) = asked.recv().await {
            answer.send(()).await.expect("the asking task waits for it");
        }
    });
    R::spawn(async move {
        for _ in 0..STEP {
            ask.send(()).await.expect("the answering task waits for it");
            answered.recv().await.expect("the answering task has had a question");
        }
    })
    .await;
    other.await;
}
