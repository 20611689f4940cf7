//! A system without a service manager that we know.

use super::definition::Definition;
use super::{Begin, ServiceFile, ServiceManager, ServiceRuntime, ServiceView, Unavailable};

/// Knows no service.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoServiceManager;

const ABSENT: &str = "no service manager that this build knows was found";

impl ServiceManager for NoServiceManager {
    fn view(&self) -> ServiceView {
        ServiceView {
            label: "none",
            unit: None,
            loaded: false,
            loaded_text: "enabled",
            not_loaded_text: "not installed",
            command: None,
            runtime: ServiceRuntime {
                detail: Some(ABSENT.to_owned()),
                ..ServiceRuntime::default()
            },
        }
    }

    fn check(&self) -> Result<(), Unavailable> {
        Err(Unavailable {
            message: ABSENT.to_owned(),
            hints: vec![
                "Run the gateway under your own supervisor, or in the foreground: openclaw gateway"
                    .to_owned(),
            ],
        })
    }

    fn files(&self, _: &Definition) -> Result<Vec<ServiceFile>, String> {
        Err(ABSENT.to_owned())
    }

    fn install(&self, _: &[ServiceFile], _: Begin) -> Result<Vec<String>, String> {
        Err(ABSENT.to_owned())
    }

    fn uninstall(&self) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    fn remove_legacy(&self) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    fn start(&self) -> Result<(), String> {
        Err(ABSENT.to_owned())
    }

    fn stop(&self) -> Result<(), String> {
        Err(ABSENT.to_owned())
    }

    fn restart(&self) -> Result<(), String> {
        Err(ABSENT.to_owned())
    }

    fn start_hint(&self) -> Option<String> {
        None
    }

    fn logs_hint(&self) -> Option<String> {
        None
    }
}
