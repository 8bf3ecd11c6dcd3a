//! Which engine to use.

/// What a choice may be.
pub const DEVICE: &str = "auto, cpu, gpu, gpu:NAME, gpus, or several such as cpu,gpu or gpu:NAME,gpu:OTHER";

/// Which engine to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A hardware GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU engine.
    Cpu,
    /// A GPU, a software adapter included; its name must contain the text or its bus id be it, if any.
    Gpu(Option<String>),
    /// Devices side by side, which share the paths; at least one is a GPU.
    Several(Vec<Device>),
}

/// One device among several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// The CPU engine.
    Cpu,
    /// The first GPU of that name or bus id that no device before it has taken.
    Gpu(Option<String>),
    /// Every hardware GPU that no device before it has taken.
    AllGpus,
}

impl DeviceChoice {
    /// Reads what [`DEVICE`] says. A name may hold commas: what follows one belongs to the name unless
    /// it begins another device.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "auto" {
            return Some(Self::Auto);
        }
        let mut parts: Vec<String> = Vec::new();
        for part in text.split(',') {
            match parts.last_mut() {
                Some(last) if Device::parse(part).is_none() && last.starts_with("gpu:") => {
                    last.push(',');
                    last.push_str(part);
                }
                _ => parts.push(part.to_owned()),
            }
        }
        let mut devices: Vec<Device> = parts.iter().map(|part| Device::parse(part)).collect::<Option<_>>()?;
        let twice = |device| devices.iter().filter(|other| **other == device).count() > 1;
        match devices.as_slice() {
            [Device::Cpu] => Some(Self::Cpu),
            [Device::Gpu(_)] => match devices.pop() {
                Some(Device::Gpu(name)) => Some(Self::Gpu(name)),
                _ => None,
            },
            _ if twice(Device::Cpu) || twice(Device::AllGpus) => None,
            _ => Some(Self::Several(devices)),
        }
    }

    /// Whether a GPU was asked for, which computes in f32 only.
    pub fn is_on_gpu(&self) -> bool {
        matches!(self, Self::Gpu(_) | Self::Several(_))
    }
}

impl Device {
    fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "cpu" => Some(Self::Cpu),
            "gpu" => Some(Self::Gpu(None)),
            "gpus" => Some(Self::AllGpus),
            text => {
                let name = text.strip_prefix("gpu:").map(str::trim).filter(|name| !name.is_empty())?;
                Some(Self::Gpu(Some(name.to_owned())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_read() {
        let gpu = |name: &str| Device::Gpu(Some(name.to_owned()));
        for (text, expected) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("gpu", DeviceChoice::Gpu(None)),
            ("gpu:0000:01:00.0", DeviceChoice::Gpu(Some("0000:01:00.0".to_owned()))),
            (
                "gpu:llvmpipe (LLVM 15.0.6, 256 bits)",
                DeviceChoice::Gpu(Some("llvmpipe (LLVM 15.0.6, 256 bits)".to_owned())),
            ),
            ("gpus", DeviceChoice::Several(vec![Device::AllGpus])),
            ("cpu,gpu", DeviceChoice::Several(vec![Device::Cpu, Device::Gpu(None)])),
            ("gpu:A, b,gpu:A, b,cpu", DeviceChoice::Several(vec![gpu("A, b"), gpu("A, b"), Device::Cpu])),
            ("gpu,gpu", DeviceChoice::Several(vec![Device::Gpu(None), Device::Gpu(None)])),
        ] {
            assert_eq!(DeviceChoice::parse(text), Some(expected), "{text}");
        }
        for bad in ["", "GPU", "gpu:", "cpu,", "cpu,cpu", "gpus,gpus", "auto,cpu", "cpu,tpu", "gpu,:A"] {
            assert_eq!(DeviceChoice::parse(bad), None, "{bad}");
        }
    }
}
