//! Reasons for machines why parameters are refused by a rule, and how they are made.

use efm_core::{Level, Reason, Text};

efm_core::codes! {
    PARAMETER_WRONG = "parameter_wrong", "a parameter is not of the form that its description gives; the text names it";
    PARAMETERS_CONTRADICT = "parameters_contradict", "parameters contradict each other; the text names them";
}

/// A parameter is not of the form that its description gives. `text` names it.
pub fn wrong(text: impl Into<Text>, remedy: impl Into<Text>) -> Reason {
    Reason::new(PARAMETER_WRONG, Level::Error, text, remedy)
}

/// Parameters contradict each other. `text` names them.
pub fn contradict(text: impl Into<Text>, remedy: impl Into<Text>) -> Reason {
    Reason::new(PARAMETERS_CONTRADICT, Level::Error, text, remedy)
}
