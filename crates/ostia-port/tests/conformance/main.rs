//! The port's conformance suite: what every back end owes, as named cases that run on each back end there is.
//!
//! A plain `cargo test` runs all of them on every back end of this machine; `OSTIA_BACKEND=uring|epoll|iocp|sim`
//! narrows it to one, and an argument to the cases whose names contain it. A case that cannot run somewhere says
//! `SKIPPED <case> on <back end>: <reason>`; one in which Wine is known to be wrong checks that it still is, and says
//! `WINE-DIFFERS <case> on <back end>`. Neither is counted as run, and `totals.txt` says how many must run.

#[macro_use]
mod case;
mod kit;
mod runner;
mod totals;

mod abandon;
mod accept;
mod bell;
mod cancel;
mod close;
mod datagram;
mod errors;
mod file;
mod limits;
mod local;
mod managed;
mod offload;
mod options;
mod order;
mod post;
mod ready;
mod tcp;
mod threads;
mod timeout;
mod wait;

fn main() {
    runner::run(&[
        post::CASES,
        wait::CASES,
        bell::CASES,
        timeout::CASES,
        order::CASES,
        cancel::CASES,
        abandon::CASES,
        close::CASES,
        threads::CASES,
        tcp::CASES,
        local::CASES,
        datagram::CASES,
        file::CASES,
        offload::CASES,
        managed::CASES,
        accept::CASES,
        errors::CASES,
        options::CASES,
        ready::CASES,
        limits::CASES,
    ])
}
