//! Readiness of handles that belong to somebody else.

#[cfg(target_os = "linux")]
mod linux;

cfg_select! {
    target_os = "linux" => {
        pub(crate) use self::linux::CASES;
    }
    _ => {
        use crate::case::Stage;

        cases![a_foreign_handle_is_waited_for];

        fn a_foreign_handle_is_waited_for(stage: &Stage) {
            stage.skip("what is adopted differs by system; of sockets tests/windows/raw.rs asks the same")
        }
    }
}
