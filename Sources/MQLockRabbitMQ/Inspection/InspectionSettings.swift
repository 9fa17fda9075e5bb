import MQLock

/// Which users a provider answers and obeys, and what it says about itself.
struct InspectionSettings: Sendable {
    let answersQuestions: Bool
    /// Users whose requests to yield are obeyed.
    let yieldUsers: Set<String>
    let warning = Once()

    init(_ configuration: RabbitMQLocks.Configuration, ownUser: String?) {
        answersQuestions = configuration.answersQuestions
        yieldUsers = configuration.yieldUsers ?? Set([ownUser].compactMap(\.self))
    }
}
