//! Which device keeps the cube, and what becomes of the service when it is lost: the cube is made again
//! on the CPU, with the same bits.

use std::sync::{Arc, Mutex};

use super::version::{Making, Version};
use super::{Cancel, Desk, DeskFault, lock, write};
use crate::engine::cpu::CpuKeeper;
use crate::engine::resident::Keeper;
use crate::engine::{DeviceReport, EngineFault};

/// Devices of a desk.
pub(super) struct Devices {
    /// The one that keeps new cubes.
    keeper: Mutex<Arc<dyn Keeper>>,
    /// Why the one before was given up, and how often that has happened.
    given_up: Mutex<(Option<String>, u64)>,
    /// Held while the service moves from one to another.
    moving: Mutex<()>,
}

/// How the device is.
pub(super) struct DeviceStatus {
    /// What computes.
    pub report: DeviceReport,
    /// Bytes of earlier cubes that wait for the next one.
    pub reserve_bytes: u64,
    /// Why it cannot compute now.
    pub fault: Option<String>,
    /// Why the one before was given up.
    pub given_up: Option<String>,
    /// How often one was.
    pub fallbacks: u64,
}

impl Devices {
    pub fn new(keeper: Arc<dyn Keeper>) -> Self {
        Self { keeper: Mutex::new(keeper), given_up: Mutex::default(), moving: Mutex::default() }
    }

    /// Who keeps new cubes.
    pub fn keeper(&self) -> Arc<dyn Keeper> {
        Arc::clone(&lock(&self.keeper))
    }

    pub fn status(&self) -> DeviceStatus {
        let keeper = self.keeper();
        let (given_up, fallbacks) = lock(&self.given_up).clone();
        let fault = keeper.check().err().map(|fault| fault.to_string());
        let reserve_bytes = keeper.reserve_bytes();
        DeviceStatus { report: keeper.device(), reserve_bytes, fault, given_up, fallbacks }
    }
}

impl Desk {
    /// An answer; where the device is lost on the way, it is asked for again once the CPU has taken its
    /// place. While another thread sees to that, the fault is the answer.
    pub(super) fn steady<T>(&self, ask: impl Fn() -> Result<T, DeskFault>) -> Result<T, DeskFault> {
        let keeper = self.devices.keeper();
        match ask() {
            Err(DeskFault::Device(_)) if keeper.check().is_err() => {
                self.leave(&keeper)?;
                ask()
            }
            answer => answer,
        }
    }

    /// Moves the service to the CPU where its device is lost; nothing where it is well. Whoever serves
    /// asks for it now and then, for a service that nobody asks anything.
    pub fn look_after_device(&self) -> Result<(), DeskFault> {
        let keeper = self.devices.keeper();
        match keeper.check() {
            Ok(()) => Ok(()),
            Err(_) => self.leave(&keeper),
        }
    }

    /// Makes the current version again on the CPU: the same market and accounts, the same figures. A
    /// request that is cancelled meanwhile does not end it.
    fn leave(&self, lost: &Arc<dyn Keeper>) -> Result<(), DeskFault> {
        let reason = lost.check().err().unwrap_or_else(|| EngineFault::Lost("it was given up".to_owned()));
        let Ok(_moving) = self.devices.moving.try_lock() else { return Err(DeskFault::Device(reason)) };
        let _revaluing = lock(&self.revaluing);
        let _changing = lock(&self.changing);
        if !Arc::ptr_eq(&self.devices.keeper(), lost) {
            return Ok(());
        }
        let reason = format!("{} gave up: {reason}", lost.device().name);
        let keeper: Arc<dyn Keeper> = Arc::new(CpuKeeper::new(&reason));
        let before = self.version();
        let making = Making {
            number: before.number,
            received: before.received,
            scenario: before.scenario().clone(),
            accounts: before.entries().values().map(|entry| entry.account.clone()).collect(),
            keeper: Arc::clone(&keeper),
            before: None,
            limit: self.config.memory_limit,
        };
        let version = Version::new(making, &self.pools, &Cancel::default())?;
        *write(&self.current) = Arc::new(version);
        *lock(&self.devices.keeper) = keeper;
        let mut given_up = lock(&self.devices.given_up);
        *given_up = (Some(reason), given_up.1 + 1);
        Ok(())
    }
}

/// A device as answers name it.
pub(super) fn named(report: &DeviceReport) -> String {
    format!("{} {} ({})", report.engine, report.detail, report.name)
}
