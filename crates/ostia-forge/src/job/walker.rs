//! The walk of a job: finds sets, a chunk at a time, and gives each its name or its bad row.

use std::sync::Arc;

use ostia_rt::{offload, sync::mpsc};

use super::{JobError, Shared, account::Due, events::Event, keeper::Ended, window::Waiting};
use crate::{
    disk::Disk,
    find::{Found, Walk},
    names::{self, Claims},
    row::Row,
    set::{SetError, Times},
    spec::JobSpec,
};

/// Sets that are found at a time.
const CHUNK: usize = 128;
/// How many chunks may wait for the window.
pub(super) const CHUNKS: usize = 8;

/// The walk, and the names that are taken.
#[derive(Debug)]
pub(super) struct Walker {
    walk: Walk,
    /// What was found until now, and not handed on.
    found: Vec<Found>,
    claims: Claims,
}

impl Walker {
    /// Looks for the first sets: where there are none, nothing is to be made ready.
    pub(super) fn new(spec: &JobSpec, disk: &Arc<dyn Disk>) -> Result<Walker, JobError> {
        let walk = Walk::new(&spec.sources, Arc::clone(disk)).map_err(JobError::Walk)?;
        let mut walk = walk.read_as(spec.set.format);
        let found = walk.next_some(CHUNK);
        if found.is_empty() {
            return Err(JobError::NoSets(spec.sources.clone()));
        }
        Ok(Walker { walk, found, claims: Claims::new(&spec.set) })
    }

    /// Walks to the end, or to the end of the job.
    pub(super) async fn walk(
        self,
        job: &Shared,
        to: mpsc::Sender<Vec<Waiting>>,
        ended: mpsc::Sender<Vec<Ended>>,
        events: mpsc::Sender<Event>,
    ) -> Result<(), JobError> {
        let Walker { mut walk, mut found, mut claims } = self;
        while !found.is_empty() && !job.is_cancelled() {
            let mut waiting = Vec::with_capacity(found.len());
            let mut refused = Vec::new();
            for found in std::mem::take(&mut found) {
                match enter(job, &mut claims, found) {
                    Ok(set) => waiting.push(set),
                    Err(set) => refused.push(*set),
                }
            }
            if !refused.is_empty() {
                job.deliver(refused, &ended).await;
            }
            let sets = job.sight.account.counts().found;
            let _ = events.send(Event::Found { sets, is_all: false }).await;
            if to.send(waiting).await.is_err() {
                break;
            }
            let more = offload(move || {
                let found = walk.next_some(CHUNK);
                (walk, found)
            });
            match more.await {
                Ok(more) => (walk, found) = more,
                Err(error) => {
                    job.sight.fail();
                    return Err(JobError::lost(error));
                }
            }
        }
        job.sight.has_found_all.store(true, std::sync::atomic::Ordering::Relaxed);
        let sets = job.sight.account.counts().found;
        let _ = events.send(Event::Found { sets, is_all: true }).await;
        Ok(())
    }
}

/// From here on the set is due. It gets its name, or its bad row.
fn enter(job: &Shared, claims: &mut Claims, found: Found) -> Result<Waiting, Box<(Due, Ended)>> {
    let Found { path, format, bytes } = found;
    let due = job.sight.account.enter(&path);
    let named = match format {
        Err(why) => Err(SetError::Found { path: path.clone(), why }),
        Ok(_) => names::of_path(&path).map_err(|why| SetError::Name { path: path.clone(), why }),
    };
    let claimed = named.and_then(|name| claims.claim(&path, &name).map(|()| name));
    match claimed {
        Ok(name) => Ok(Waiting { due, name, bytes }),
        Err(error) => {
            let row = Row::failed(&path, &error, Times::default());
            Err(Box::new((due, Ended::row(row))))
        }
    }
}
