//! todo
/// todo
pub const HORIZON: usize = 16;
/// todo
pub struct Expert;
/// todo
pub struct ExpertView;
/// todo
pub struct Rollout;
