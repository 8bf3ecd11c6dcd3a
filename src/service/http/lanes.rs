//! Queues for computing. Each kind of work has one of its own, so that small requests keep their
//! latency while a big one runs; a queue is bounded, no client may fill it alone, and clients take
//! turns.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Gauge, Histogram};

use super::options::Limits;
use super::turns::Turns;
use crate::service::Cancel;
use crate::service::problem::Problem;

/// A queue with turns; cloning it is cheap and names the same queue.
#[derive(Clone)]
pub struct Lane(Arc<Inner>);

struct Inner {
    name: &'static str,
    turns: Turns,
    at_once: usize,
    waiting: usize,
    per_client: usize,
    deadline: Duration,
    /// Requests in the queue, waiting or computing.
    inside: AtomicUsize,
    clients: Mutex<HashMap<String, usize>>,
    figures: Figures,
}

/// What is measured of a queue.
pub struct Figures {
    /// Requests in it.
    pub depth: Gauge,
    /// Seconds until a turn came.
    pub wait: Histogram,
    /// Seconds of computing.
    pub compute: Histogram,
}

/// A place in a queue, given back when dropped.
struct Place {
    lane: Lane,
    client: String,
}

/// Tells the computation that nobody waits for it any more, when dropped.
struct Abandon(Cancel);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Lane {
    /// A queue that lets `at_once` compute; how many wait, and how long, is in the limits.
    pub fn new(name: &'static str, at_once: usize, limits: &Limits, figures: Figures) -> Self {
        Self(Arc::new(Inner {
            name,
            turns: Turns::new(at_once),
            at_once,
            waiting: limits.waiting,
            per_client: limits.in_queue_per_client,
            deadline: limits.deadline,
            inside: AtomicUsize::new(0),
            clients: Mutex::default(),
            figures,
        }))
    }

    /// Requests in the queue, waiting or computing.
    pub fn inside(&self) -> usize {
        self.0.inside.load(Ordering::Relaxed)
    }

    /// Computes on a thread of its own when its turn comes. If the caller goes away or the deadline
    /// passes, the flag is set, and the turn ends when the computation has noticed.
    pub async fn run<T, W>(&self, client: &str, work: W) -> Result<T, Problem>
    where
        T: Send + 'static,
        W: FnOnce(&Cancel) -> T + Send + 'static,
    {
        let deadline = self.0.deadline;
        tokio::time::timeout(deadline, self.wait_and_run(client, work)).await.unwrap_or_else(|_| {
            let detail = format!("the request took more than {} s, waiting included", deadline.as_secs_f64());
            Err(Problem::new(503, "deadline", "Too slow", detail).retry_after(1))
        })
    }

    async fn wait_and_run<T, W>(&self, client: &str, work: W) -> Result<T, Problem>
    where
        T: Send + 'static,
        W: FnOnce(&Cancel) -> T + Send + 'static,
    {
        let place = self.enter(client)?;
        let entered = Instant::now();
        let turn = self.0.turns.take(client).await;
        self.0.figures.wait.record(entered.elapsed());
        let cancel = Cancel::default();
        let abandon = Abandon(cancel.clone());
        let done = tokio::task::spawn_blocking(move || {
            let (place, _turn) = (place, turn);
            let started = Instant::now();
            let done = work(&cancel);
            place.lane.0.figures.compute.record(started.elapsed());
            done
        })
        .await;
        drop(abandon);
        done.map_err(|error| match error.try_into_panic() {
            // The layer around all routes turns it into an answer, and it is logged there.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Problem::new(503, "stopping", "The service stops", "ask another instance, or later"),
        })
    }

    fn enter(&self, client: &str) -> Result<Place, Problem> {
        let mut clients = self.0.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = clients.get(client).copied().unwrap_or(0);
        let inside = self.inside();
        if inside >= self.0.at_once + self.0.waiting {
            return Err(self.full(format!(
                "{inside} requests wait or compute in the queue for {}, its limit",
                self.0.name
            )));
        }
        if mine >= self.0.per_client {
            return Err(self.full(format!(
                "{mine} requests of this client wait or compute in the queue for {}, its limit; send fewer at once",
                self.0.name
            )));
        }
        clients.insert(client.to_owned(), mine + 1);
        self.0.inside.fetch_add(1, Ordering::Relaxed);
        self.0.figures.depth.increment(1.0);
        Ok(Place { lane: self.clone(), client: client.to_owned() })
    }

    fn full(&self, detail: String) -> Problem {
        Problem::new(429, "queue-full", "Too many requests", detail).retry_after(1)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let inner = &self.lane.0;
        let mut clients = inner.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.client);
            }
        }
        inner.inside.fetch_sub(1, Ordering::Relaxed);
        inner.figures.depth.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    fn lane(waiting: usize, in_queue_per_client: usize, deadline: Duration) -> Lane {
        let limits = Limits { waiting, in_queue_per_client, deadline, ..Limits::default() };
        let figures = Figures { depth: Gauge::noop(), wait: Histogram::noop(), compute: Histogram::noop() };
        Lane::new("tests", 1, &limits, figures)
    }

    /// Starts work that computes until it is abandoned or told to end.
    fn occupy(
        runtime: &tokio::runtime::Runtime,
        lane: &Lane,
        client: &'static str,
    ) -> (tokio::task::JoinHandle<Result<bool, Problem>>, mpsc::Sender<()>) {
        let (end, ended) = mpsc::channel();
        let lane = lane.clone();
        let task = runtime.spawn(async move {
            let work = move |cancel: &Cancel| {
                while !cancel.is_cancelled() {
                    if ended.recv_timeout(Duration::from_millis(1)) != Err(mpsc::RecvTimeoutError::Timeout) {
                        return false;
                    }
                }
                true
            };
            lane.run(client, work).await
        });
        (task, end)
    }

    fn wait_until(what: impl Fn() -> bool) {
        while !what() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_full_queue_and_a_greedy_client_are_told_to_wait() {
        let runtime = runtime();
        let lane = lane(2, 2, Duration::from_secs(60));
        let first = occupy(&runtime, &lane, "a");
        let second = occupy(&runtime, &lane, "a");
        wait_until(|| lane.inside() == 2);
        let greedy = runtime.block_on(lane.run("a", |_| ())).unwrap_err();
        assert_eq!((greedy.status, greedy.retry_after_seconds), (429, Some(1)));
        let third = occupy(&runtime, &lane, "b");
        wait_until(|| lane.inside() == 3);
        assert_eq!(runtime.block_on(lane.run("c", |_| ())).unwrap_err().status, 429);
        for (task, end) in [first, second, third] {
            end.send(()).unwrap();
            assert_eq!(runtime.block_on(task).unwrap(), Ok(false));
        }
        wait_until(|| lane.inside() == 0);
        assert!(lane.0.clients.lock().unwrap().is_empty(), "clients are forgotten");
    }

    #[test]
    fn an_abandoned_request_stops_computing_and_gives_its_turn_back() {
        let runtime = runtime();
        let lane = lane(0, 1, Duration::from_secs(60));
        let (task, _end) = occupy(&runtime, &lane, "a");
        wait_until(|| lane.0.turns.free() == 0);
        task.abort();
        wait_until(|| lane.inside() == 0 && lane.0.turns.free() == 1);
        assert_eq!(runtime.block_on(lane.run("b", |_| 3)), Ok(3));
    }

    #[test]
    fn a_request_beyond_its_deadline_is_answered_and_stops_computing() {
        let runtime = runtime();
        let lane = lane(0, 1, Duration::from_millis(20));
        let (task, _end) = occupy(&runtime, &lane, "a");
        assert_eq!(runtime.block_on(task).unwrap().unwrap_err().status, 503);
        wait_until(|| lane.inside() == 0);
    }

    #[test]
    fn a_client_with_one_request_waits_for_one_of_another_client() {
        let runtime = runtime();
        let lane = lane(10, 8, Duration::from_secs(60));
        let (task, end) = occupy(&runtime, &lane, "greedy");
        wait_until(|| lane.inside() == 1);
        let (tell, told) = mpsc::channel();
        let mut asked = Vec::new();
        for client in ["greedy", "greedy", "greedy", "modest"] {
            let (lane_of, tell) = (lane.clone(), tell.clone());
            asked.push(runtime.spawn(async move { lane_of.run(client, move |_| tell.send(client)).await }));
            wait_until(|| lane.0.turns.waiting() == asked.len());
        }
        end.send(()).unwrap();
        assert_eq!(runtime.block_on(task).unwrap(), Ok(false));
        for asked in asked {
            runtime.block_on(asked).unwrap().unwrap().unwrap();
        }
        let order: Vec<&str> = told.try_iter().collect();
        assert_eq!(order, ["greedy", "modest", "greedy", "greedy"]);
    }
}
