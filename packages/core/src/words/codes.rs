//! Reasons for machines why a text is no goal.

crate::codes! {
    GOAL_EMPTY = "goal_empty", "the goal is empty";
    GOAL_TOO_LONG = "goal_too_long", "the goal is longer than a sentence";
    GOAL_CONTROL_CHARACTER = "goal_control_character", "the goal has a control character";
    GOAL_INVISIBLE_CHARACTER = "goal_invisible_character", "the goal has a character that is not seen, or that changes the order of others";
    GOAL_WITHOUT_WORDS = "goal_without_words", "the goal has no words";
    GOAL_TWO_ALPHABETS = "goal_two_alphabets", "a word of the goal mixes letters of two alphabets that look alike";
    GOAL_NEGATED = "goal_negated", "the goal says what not to do, which the policy does not understand";
    GOAL_QUESTION = "goal_question", "the goal is a question";
    GOAL_NAMES_NOTHING = "goal_names_nothing", "the goal names nothing that the policy knows";
    GOAL_ASKS_TO_STOP = "goal_asks_to_stop", "the instruction asks to stop";
}
