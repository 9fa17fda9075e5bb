/// One result of the doctor's checks.
struct Finding: Equatable, Sendable {
    enum Level: String, Sendable {
        case good
        /// It works, but could be safer, or was not looked at.
        case advice
        /// Locks do not work, or are not safe.
        case wrong
    }

    let level: Level
    /// What was checked, in a word or two.
    let subject: String
    /// What was found and, if it is not good, what to do.
    let text: String
    /// The exit status that it causes.
    var status = ExitStatus.success

    static func good(_ subject: String, _ text: String) -> Self { Self(level: .good, subject: subject, text: text) }

    static func advice(_ subject: String, _ text: String) -> Self { Self(level: .advice, subject: subject, text: text) }

    static func wrong(_ subject: String, _ text: String, _ status: Int32) -> Self {
        Self(level: .wrong, subject: subject, text: text, status: status)
    }
}
