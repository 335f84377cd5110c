//! Two jobs at a time.

use std::{path::Path, time::Duration};

use ostia_forge::{
    disk::memory::MemoryDisk,
    find::Sources,
    job::{Event, Job},
    row::Outcome,
    spec::{JobSpec, Output, Spec},
};
use ostia_rt::{
    sim::{self, Options},
    time,
};

use crate::{
    dice::Dice,
    run::{foundry, world},
};

const LARGE: u64 = 600;
const SMALL: u64 = 5;

fn sets(disk: &MemoryDisk, folder: &str, count: u64, first: u32) -> JobSpec {
    for number in 0..count {
        let words = (0..10 + number as u32 % 20).map(|word| first + 977 * word + number as u32);
        let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        disk.put(Path::new(folder).join(format!("set{number}.keys")), &bytes);
    }
    disk.put(Path::new(folder).join("ragged.keys"), b"abc");
    JobSpec {
        sources: Sources::Folder {
            dir: folder.into(),
            recursive: false,
            include: Vec::new(),
            exclude: Vec::new(),
        },
        out: Some(format!("{folder}-tables").into()),
        set: Spec { outputs: [Output::Table].into(), ..Spec::default() },
        ..JobSpec::default()
    }
}

/// Hears a job to its end: how many rows said done, how many failed, and when it was over.
async fn hear(mut job: Job) -> (u64, u64, std::time::Instant) {
    let (mut done, mut failed) = (0, 0);
    while let Some(event) = job.next().await {
        if let Event::Ended(rows) = event {
            done += rows.iter().filter(|row| row.outcome == Outcome::Done).count() as u64;
            failed += rows.iter().filter(|row| row.outcome == Outcome::Failed).count() as u64;
        }
    }
    let counts = job.end().await.expect("nothing goes wrong").totals.counts;
    assert_eq!((counts.done, counts.failed, counts.found), (done, failed, done + failed));
    (done, failed, time::now())
}

#[test]
fn of_two_jobs_each_has_its_own_counts_and_the_small_one_ends_first() {
    for seed in 0..if cfg!(windows) { 5 } else { 40 } {
        let mut dice = Dice::new(seed);
        let disk = MemoryDisk::new();
        let (large, small) = (sets(&disk, "large", LARGE, 1), sets(&disk, "small", SMALL, 1_000_000));
        disk.fail(|_, _| {
            sim::burn(Duration::from_micros(20));
            None
        });
        let mut options = Options::new(seed);
        options.look = Duration::from_micros(dice.below(20));
        let mut world = world(dice.one_of(&["1x1", "1x2", "2x2"]), options);
        let foundry = foundry(&world, &disk);
        let handle = world.handle();
        let heard = world.run_until(async {
            let large = foundry.start(large).expect("it can be begun");
            // It is well under way.
            while large.view().counts.done < 20 {
                time::sleep(Duration::from_micros(50)).await;
            }
            assert!(large.view().counts.done < LARGE / 2);
            let small = foundry.start(small).expect("it can be begun");
            let large = handle.spawn(hear(large));
            let small = handle.spawn(hear(small));
            (large.await.expect("it does not panic"), small.await.expect("it does not panic"))
        });
        let (large, small) = heard.unwrap_or_else(|stuck| panic!("seed {seed}: {stuck}"));
        assert_eq!((large.0, large.1, small.0, small.1), (LARGE, 1, SMALL, 1), "seed {seed}");
        assert!(small.2 < large.2, "seed {seed}: the small job waited for the large one");
        let of = |folder: &str| disk.files().keys().filter(|path| path.starts_with(folder)).count() as u64;
        assert_eq!((of("large-tables"), of("small-tables")), (LARGE, SMALL), "seed {seed}");
    }
}
