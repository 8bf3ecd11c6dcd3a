//! Turns to compute, shared out between clients: whoever waits longest among the clients is next, and
//! then stands behind all others, however many requests it has.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// So many turns at once; cloning names the same ones.
#[derive(Clone)]
pub struct Turns(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// Clients with requests that wait, the next one first; each client's requests in their order.
    waiting: VecDeque<(String, VecDeque<oneshot::Sender<Turn>>)>,
}

/// A turn; the next in line has it when it is dropped. Without turns it is none.
pub struct Turn(Option<Turns>);

impl Turns {
    /// `at_once` turns.
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: at_once, waiting: VecDeque::new() })))
    }

    /// Waits for a turn.
    pub async fn take(&self, client: &str) -> Turn {
        let given = {
            let mut state = self.lock();
            // Nobody waits while a turn is free.
            if state.free > 0 {
                state.free -= 1;
                return Turn(Some(self.clone()));
            }
            state.wait(client)
        };
        given.await.expect("a turn is handed on, never lost")
    }

    /// Turns that nobody has.
    #[cfg(test)]
    pub fn free(&self) -> usize {
        self.lock().free
    }

    /// Requests that wait.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.lock().waiting.iter().map(|(_, requests)| requests.len()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&mut self, client: &str) -> oneshot::Receiver<Turn> {
        // Those that have left make room, so that no more stand here than may wait.
        self.waiting.retain_mut(|(_, requests)| {
            requests.retain(|give| !give.is_closed());
            !requests.is_empty()
        });
        let (give, given) = oneshot::channel();
        match self.waiting.iter_mut().find(|(name, _)| name == client) {
            Some((_, requests)) => requests.push_back(give),
            None => self.waiting.push_back((client.to_owned(), VecDeque::from([give]))),
        }
        given
    }

    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let (client, mut requests) = self.waiting.pop_front()?;
        let next = requests.pop_front();
        if !requests.is_empty() {
            self.waiting.push_back((client, requests));
        }
        next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        loop {
            let next = {
                let mut state = turns.lock();
                let next = state.next();
                state.free += usize::from(next.is_none());
                next
            };
            let Some(next) = next else { return };
            match next.send(Self(Some(turns.clone()))) {
                // If it leaves with the turn on its way, its channel drops the turn, which hands it on.
                Ok(()) => return,
                // It has left: what comes back is no turn any more, and the next one has it.
                Err(mut back) => back.0 = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests that wait, in the order in which they came; returns the order in which they are served.
    async fn served(turns: &Turns, clients: &[&'static str]) -> String {
        let first = turns.take("first").await;
        let (tell, told) = std::sync::mpsc::channel();
        let mut tasks = Vec::new();
        for &client in clients {
            let (turns_of, tell) = (turns.clone(), tell.clone());
            tasks.push(tokio::spawn(async move {
                let turn = turns_of.take(client).await;
                tell.send(client).unwrap();
                drop(turn);
            }));
            // On one thread it waits in the queue once this task has been polled.
            tokio::task::yield_now().await;
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        drop(tell);
        told.into_iter().collect()
    }

    #[tokio::test]
    async fn clients_take_turns() {
        let turns = Turns::new(1);
        assert_eq!(served(&turns, &["a", "a", "a", "a", "b", "b", "c"]).await, "abcabaa");
        assert_eq!(served(&turns, &["a", "b", "a"]).await, "aba");
        assert_eq!(turns.lock().free, 1);
    }

    #[tokio::test]
    async fn a_turn_is_handed_on_past_those_that_have_left() {
        let turns = Turns::new(1);
        let first = turns.take("a").await;
        let leave = |client: &'static str| {
            let turns = turns.clone();
            tokio::spawn(async move { turns.take(client).await })
        };
        let (one, two) = (leave("a"), leave("b"));
        tokio::task::yield_now().await;
        one.abort();
        let _ = one.await;
        drop(first);
        drop(two.await.unwrap());
        // Very many that leave take no room, and no stack when the turn is handed on.
        let first = turns.take("a").await;
        for _ in 0..100_000 {
            drop(turns.lock().wait("a"));
        }
        assert!(turns.waiting() <= 1);
        drop(first);
        assert_eq!(turns.lock().free, 1);
        // One that leaves with the turn on its way.
        let first = turns.take("a").await;
        let given = turns.lock().wait("c");
        drop(first);
        assert_eq!(turns.lock().free, 0);
        drop(given);
        assert_eq!(turns.lock().free, 1);
    }
}
