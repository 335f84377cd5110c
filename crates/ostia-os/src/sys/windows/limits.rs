//! The working set's bounds, and a job's cap on CPU time.

use std::{io, num::NonZero, ptr};

use windows_sys::Win32::System::{
    JobObjects::{
        JOB_OBJECT_CPU_RATE_CONTROL_ENABLE, JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP,
        JOB_OBJECT_CPU_RATE_CONTROL_MIN_MAX_RATE, JOBOBJECT_CPU_RATE_CONTROL_INFORMATION,
        JobObjectCpuRateControlInformation, QueryInformationJobObject,
    },
    Threading::{ALL_PROCESSOR_GROUPS, GetActiveProcessorCount, GetCurrentProcess, GetProcessWorkingSetSize},
};

use super::outcome;
use crate::limits::Limit;

/// A table of handles grows as long as there is memory.
pub(crate) fn descriptors() -> io::Result<Limit> {
    Ok(Limit::NONE)
}

pub(crate) fn raise_descriptors() -> io::Result<Limit> {
    descriptors()
}

pub(crate) fn locked_memory() -> io::Result<Limit> {
    let (mut minimum, mut maximum) = (0usize, 0usize);
    // SAFETY: it takes nothing and gives a constant that stands for this process.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: both are valid places for the answer.
    outcome(unsafe { GetProcessWorkingSetSize(process, &raw mut minimum, &raw mut maximum) })?;
    Ok(Limit { current: Some(minimum as u64), maximum: None })
}

/// The hard cap of the process's job, which is a share of the whole machine.
pub(crate) fn cpu_quota(_allowed: NonZero<usize>) -> Option<f64> {
    let mut rate = JOBOBJECT_CPU_RATE_CONTROL_INFORMATION::default();
    let room = u32::try_from(size_of_val(&rate)).ok()?;
    // SAFETY: no handle stands for the process's own job; `rate` has `room` bytes and lives across the call.
    let result = unsafe {
        QueryInformationJobObject(
            ptr::null_mut(),
            JobObjectCpuRateControlInformation,
            (&raw mut rate).cast(),
            room,
            ptr::null_mut(),
        )
    };
    outcome(result).ok()?;
    // SAFETY: all fields of the union are integers, for which any bits are a value.
    let capped = unsafe { rate.Anonymous.CpuRate };
    // SAFETY: it takes a number and gives one.
    let machine = unsafe { GetActiveProcessorCount(ALL_PROCESSOR_GROUPS) };
    share(rate.ControlFlags, capped).map(|share| share * f64::from(machine))
}

/// The share of the machine that a job's control grants, from its flags and the 32 bits of its rate.
fn share(flags: u32, rate: u32) -> Option<f64> {
    // In hundredths of a per cent; with a range of rates the upper one is in the upper half.
    let rate = match flags {
        _ if flags & JOB_OBJECT_CPU_RATE_CONTROL_ENABLE == 0 => return None,
        _ if flags & JOB_OBJECT_CPU_RATE_CONTROL_MIN_MAX_RATE != 0 => rate >> 16,
        _ if flags & JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP != 0 => rate,
        _ => return None,
    };
    (1..10_000).contains(&rate).then(|| f64::from(rate) / 10_000.0)
}

#[cfg(test)]
mod tests {
    use windows_sys::Win32::System::JobObjects::JOB_OBJECT_CPU_RATE_CONTROL_WEIGHT_BASED;

    use super::*;

    #[test]
    fn only_a_hard_cap_is_a_share_of_the_machine() {
        let cap = JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP;
        assert_eq!(share(cap, 2_000), Some(0.2));
        assert_eq!(share(cap, 10_000), None);
        assert_eq!(share(cap, 0), None);
        assert_eq!(share(JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP, 2_000), None);
        assert_eq!(share(JOB_OBJECT_CPU_RATE_CONTROL_ENABLE, 2_000), None);
        let weight = JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_WEIGHT_BASED;
        assert_eq!(share(weight, 5), None);
        let range = JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_MIN_MAX_RATE;
        assert_eq!(share(range, 5_000 << 16 | 100), Some(0.5));
    }
}
