//! Readiness of handles that belong to somebody else.

cfg_select! {
    target_os = "linux" => {
        mod linux;
        pub(crate) use linux::CASES;
    }
    _ => {
        use crate::case::Stage;

        cases![a_foreign_handle_is_waited_for];

        fn a_foreign_handle_is_waited_for(stage: &Stage) {
            stage.skip("only Linux has a door for descriptors of others")
        }
    }
}
