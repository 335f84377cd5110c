//! The adapters: what was written for other traits runs on our streams, and hyper's own client talks to hyper's server.

use std::{
    io,
    process::{Command, Stdio},
    time::Duration,
};

use futures_util::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Bytes, service::service_fn};
use ostia_rt::{
    compat::{
        Compat,
        hyper::{Executor, Timer},
    },
    net::{TcpListener, TcpStream},
    spawn,
    time::timeout,
};

use crate::common;

async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
    let at = listener.local_addr()?;
    let there = spawn(TcpStream::connect(at));
    let here = listener.accept().await?;
    Ok((here, there.await.unwrap()?))
}

#[test]
fn what_reads_lines_by_the_traits_of_futures_reads_them_from_a_stream() {
    common::on_each(|_| async {
        let (here, there) = pair().await.unwrap();
        let writer = spawn(async move {
            let mut there = Compat::from(there);
            for number in 0..1000 {
                there.write_all(format!("line {number}\n").as_bytes()).await?;
            }
            // More than is copied at a time.
            there.write_all(&vec![b'x'; 300_000]).await?;
            there.close().await
        });
        let mut here = Compat::from(here);
        let mut line = String::new();
        for number in 0..1000 {
            line.clear();
            here.read_line(&mut line).await.unwrap();
            assert_eq!(line, format!("line {number}\n"));
        }
        let mut rest = Vec::new();
        here.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len(), 300_000);
        assert!(rest.iter().all(|byte| *byte == b'x'));
        writer.await.unwrap().unwrap();
    });
}

#[test]
fn what_copies_by_the_traits_of_tokio_copies_both_ways() {
    common::on_each(|_| async {
        let (near, far) = pair().await.unwrap();
        let echo = spawn(async move {
            let far = Compat::from(far);
            let (mut reader, mut writer) = tokio::io::split(far);
            tokio::io::copy(&mut reader, &mut writer).await?;
            tokio::io::AsyncWriteExt::shutdown(&mut writer).await
        });
        let mut near = Compat::from(near);
        tokio::io::AsyncWriteExt::write_all(&mut near, b"there and back").await.unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut near).await.unwrap();
        let mut back = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut near, &mut back).await.unwrap();
        assert_eq!(back, "there and back");
        echo.await.unwrap().unwrap();
    });
}

#[test]
fn what_a_dropped_read_had_received_is_read_through_the_adapter() {
    common::on_each(|_| async {
        let (here, there) = pair().await.unwrap();
        // It is asked to end while it waits; the bytes come meanwhile, or later.
        let waited = timeout(Duration::from_millis(1), here.read(Vec::with_capacity(16))).await;
        assert!(waited.is_err());
        there.write_all(&b"kept"[..]).await.0.unwrap();
        drop(there);
        let mut text = String::new();
        futures_util::io::AsyncReadExt::read_to_string(&mut Compat::from(here), &mut text).await.unwrap();
        assert_eq!(text, "kept");
    });
}

#[test]
fn a_write_goes_on_although_the_adapter_is_dropped() {
    common::on_each(|_| async {
        let (here, there) = pair().await.unwrap();
        let mut here = Compat::from(here);
        let mut count = 0;
        // Until the system takes no more: then one write is under way.
        while let Ok(written) = timeout(
            Duration::from_millis(50),
            futures_util::io::AsyncWriteExt::write(&mut here, &[7; 60_000]),
        )
        .await
        {
            count += written.unwrap();
        }
        drop(here);
        let mut all = 0;
        let mut there = Compat::from(there);
        let mut buffer = vec![0; 65_536];
        loop {
            let read = futures_util::io::AsyncReadExt::read(&mut there, &mut buffer).await.unwrap();
            if read == 0 {
                break;
            }
            assert!(buffer[..read].iter().all(|byte| *byte == 7));
            all += read;
        }
        assert_eq!(all, count);
    });
}

#[test]
fn what_a_thread_that_is_no_worker_was_told_to_be_written_is_sent_although_it_drops_the_adapter() {
    for runtime in common::backends().iter().filter_map(|backend| common::runtime(*backend, 1)) {
        for _ in 0..100 {
            let (here, there) = runtime.block_on(pair()).unwrap();
            // Polled and dropped on this very thread; its operations are posted to the worker.
            let written = runtime.block_on(async {
                let mut here = Compat::from(here);
                futures_util::io::AsyncWriteExt::write(&mut here, b"told to be written").await.unwrap()
            });
            let mut back = Vec::new();
            runtime
                .block_on(futures_util::io::AsyncReadExt::read_to_end(&mut Compat::from(there), &mut back))
                .unwrap();
            assert_eq!(back, &b"told to be written"[..written]);
        }
    }
}

#[test]
fn hypers_client_talks_to_hypers_server() {
    common::on_each(|_| async {
        let (client, server) = pair().await.unwrap();
        let served = spawn(async move {
            let answer = |request: Request<hyper::body::Incoming>| async move {
                let body = request.into_body().collect().await?.to_bytes();
                hyper::Result::Ok(Response::new(Full::new(body)))
            };
            hyper::server::conn::http1::Builder::new()
                .timer(Timer)
                .header_read_timeout(Duration::from_secs(20))
                .serve_connection(Compat::from(server), service_fn(answer))
                .await
        });
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(Compat::from(client)).await.unwrap();
        hyper::rt::Executor::execute(&Executor, connection);
        for len in [0, 1, 1000, 100_000, 1_000_000] {
            let request = Request::post("/").body(Full::new(Bytes::from(vec![b'y'; len]))).unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), len);
        }
        drop(sender);
        served.await.unwrap().unwrap();
    });
}

/// A real client: the one that everybody has.
#[test]
fn curl_is_answered() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        use io::Write as _;
        writeln!(io::stderr(), "SKIPPED curl_is_answered: there is no curl here").unwrap();
        return;
    }
    for runtime in common::backends().iter().filter_map(|backend| common::runtime(*backend, 2)) {
        let listener = runtime.block_on(async { TcpListener::bind("127.0.0.1:0".parse().unwrap()) }).unwrap();
        let at = listener.local_addr().unwrap();
        let server = runtime.spawn(async move {
            loop {
                let stream = listener.accept().await.unwrap();
                let answer =
                    |_| async { hyper::Result::Ok(Response::new(Full::new(Bytes::from("hello, curl")))) };
                let served = hyper::server::conn::http1::Builder::new()
                    .serve_connection(Compat::from(stream), service_fn(answer));
                drop(spawn(served));
            }
        });
        let url = format!("http://{at}/");
        // Twice on one connection, and once more.
        let output =
            Command::new("curl").args(["--silent", "--show-error", "--max-time", "20", &url, &url]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "hello, curlhello, curl");
        server.abort();
    }
}
